"""What a file is, by its content alone."""

from __future__ import annotations

import encodings
import importlib
import pkgutil
import re
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from por.documents.child import mail, office, pictures
from por.documents.child.archives import end_of_archive
from por.documents.child.facts import Facts
from por.documents.child.faults import Fault
from por.documents.kinds import Kind

#: The bytes in which programs look for the mark of a type, wherever in them it is.
HEAD = 1024
PDF = b"%PDF-"
MARKS = {PDF: Kind.PDF, pictures.PNG: Kind.PNG, pictures.JPG: Kind.JPG, b"PK\3\4": Kind.DOCX}
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_OFFICE = re.compile(re.escape("EncryptedPackage".encode("utf-16-le")))
#: Archives that programs find anywhere in a file, and discs and tapes at one place.
_ANYWHERE = re.compile(rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c")
_AT = {257: b"ustar", 0x8001: b"CD001"}
_PAGES = (b"<script", b"<html", b"<!doctype html", b"<?php", b"<svg")


def load(data: memoryview) -> None:
    """Load all code that a file may need. The child can load none once it is limited."""
    head = bytes(data[:HEAD])
    kind = next((kind for mark, kind in MARKS.items() if head.startswith(mark)), None)
    if kind in {Kind.PDF, None}:
        importlib.import_module("por.documents.child.pdf")
    if kind is None:  # a mail, perhaps, and those have any encoding
        for module in pkgutil.iter_modules(encodings.__path__):
            with suppress(ImportError):  # two are of Windows
                importlib.import_module(f"encodings.{module.name}")
    else:
        importlib.import_module("encodings.cp437")  # of names in archives


def look_into(data: memoryview, file: BinaryIO, depth: int = 0) -> tuple[Kind, Facts]:
    """Return what a file is and what it says of itself. Raises Fault if it may not be kept."""
    head = bytes(data[:HEAD])
    kind = _kind_of(data, head)
    _check_alone(data, head, kind)
    match kind:
        case Kind.PDF:
            from por.documents.child import pdf  # takes as long to load as all else, and few need it

            return kind, pdf.look_into(data, file)
        case Kind.PNG:
            return kind, pictures.look_into_png(data)
        case Kind.JPG:
            return kind, pictures.look_into_jpg(data)
        case Kind.EML:
            return kind, mail.look_into(data, _look_into_bytes, depth)
    return office.look_into(data)


def _look_into_bytes(content: bytes, depth: int) -> tuple[Kind, Facts]:
    return look_into(memoryview(content), BytesIO(content), depth)


def _kind_of(data: memoryview, head: bytes) -> Kind:
    """Return the type that a file begins as; DOCX stands for both types of Office."""
    if not head:
        raise Fault("file_empty")
    for mark, kind in MARKS.items():
        if head.startswith(mark):
            return kind
        if mark.startswith(head):
            raise Fault("file_truncated")
    if head.startswith(OLD_OFFICE):
        raise Fault("file_encrypted" if ENCRYPTED_OFFICE.search(data) else "file_type")
    if mail.is_mail(bytes(data[: mail.HEAD])):
        return Kind.EML
    raise Fault("file_type")


def _check_alone(data: memoryview, head: bytes, kind: Kind) -> None:
    """Refuse a file that other programs would take for something else."""
    if kind is not Kind.PDF and PDF in head:
        raise Fault("file_polyglot")
    if kind is not Kind.DOCX and end_of_archive(data):
        raise Fault("file_polyglot")
    if any(bytes(data[place : place + len(mark)]) == mark for place, mark in _AT.items()):
        raise Fault("file_polyglot")
    if kind in {Kind.EML, Kind.DOCX}:  # the words of a mail may be a page, and archives are looked into
        return
    if any(page in head.lower() for page in _PAGES) or _ANYWHERE.search(data):
        raise Fault("file_polyglot")
