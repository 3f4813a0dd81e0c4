"""PDF: that it is whole and open, and that nothing in it starts or hides. Every object is looked at, used or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import pikepdf

from por.documents.child.facts import Facts, text_of
from por.documents.child.faults import Fault
from por.documents.kinds import MOST_OBJECTS

TAIL = 1024
_END = re.compile(rb"startxref\s+\d+\s+%%EOF")
_FACTS = {"/Title": "title", "/Author": "author", "/Producer": "producer"}
#: What says that an object does something or has a file in it, by the code of the refusal.
_KEYS = {
    "pdf_script": ["JS", "JavaScript", "XFA"],
    "pdf_embedded_file": ["EF", "EmbeddedFiles", "Collection"],
}
_NAMES = {
    "pdf_script": ["JavaScript"],
    "pdf_embedded_file": ["EmbeddedFile", "FileAttachment"],
    "pdf_action": ["Launch", "ImportData", "SubmitForm", "GoToE", "Rendition", "RichMediaExecute", "RichMedia", "Movie"]
    + ["Sound", "Screen", "3D", "PRC", "U3D"],
}


def _either(names: dict[str, list[str]]) -> str:
    return "|".join(f"(?P<{code}>{'|'.join(words)})" for code, words in names.items())


#: In the text of an object as the library writes it: one space between tokens, and escapes in names resolved.
_KEY = re.compile(rf"/(?:{_either(_KEYS)}) ".encode())
_NAME = re.compile(rf"(?:/(?:S|Subtype|Type) |^)/(?:{_either(_NAMES)})(?: |$)".encode())
_STRINGS = re.compile(rb"\((?:[^\\()]|\\.)*\)", re.DOTALL)
#: In the bytes of the file, whether a reader finds its way there or not: another reader might.
_IN_BYTES = re.compile(
    rb"/(?:(?P<file_encrypted>Encrypt)|(?P<pdf_script>JavaScript)|(?P<pdf_embedded_file>EmbeddedFile)|(?P<pdf_action>Launch))\b"
)


def look_into(data: memoryview, file: BinaryIO) -> Facts:
    """Return the number of pages and what it says of itself. Raises Fault."""
    tail = bytes(data[-TAIL:])
    if not (ends := list(_END.finditer(tail))):
        raise Fault("file_polyglot" if _END.search(data) else "file_truncated")
    if tail[ends[-1].end() :].strip(b"\0\t\r\n\f "):
        raise Fault("file_polyglot")
    _refuse(_IN_BYTES.search(data))
    try:
        with pikepdf.open(
            file, attempt_recovery=False, suppress_warnings=True, access_mode=pikepdf.AccessMode.stream
        ) as document:
            return _facts_of(document)
    except pikepdf.PasswordError:
        raise Fault("file_encrypted") from None
    except pikepdf.PdfError:
        raise Fault("file_damaged") from None


def _facts_of(document: pikepdf.Pdf) -> Facts:
    if document.is_encrypted:
        raise Fault("file_encrypted")
    if len(document.objects) > MOST_OBJECTS:
        raise Fault("file_too_complex")
    for text in _texts(document):
        text = _STRINGS.sub(b"", text)
        _refuse(_KEY.search(text))
        _refuse(_NAME.search(text))
    if not len(document.pages):
        raise Fault("file_damaged")
    facts: Facts = {"pages": len(document.pages)}
    for key, name in _FACTS.items():
        if key in document.docinfo:
            facts[name] = text_of(document.docinfo[key])
    return facts


def _texts(document: pikepdf.Pdf) -> Iterator[bytes]:
    """Yield each object as text; of a stream, what describes it."""
    yield document.trailer.unparse()
    for one in document.objects:
        described = one.stream_dict if isinstance(one, pikepdf.Stream) else one
        if isinstance(described, pikepdf.Object):
            yield described.unparse(resolved=True)


def _refuse(found: re.Match[bytes] | None) -> None:
    if found:
        raise Fault(str(found.lastgroup))
