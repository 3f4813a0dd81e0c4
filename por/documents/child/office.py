"""Documents of Word and workbooks of Excel: which of the two, and that nothing in them starts, hides or fetches."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers import expat

from por.documents.child.archives import Member, members_of, unpacked
from por.documents.child.facts import Facts, text_of
from por.documents.child.faults import Fault
from por.documents.kinds import Kind

_MAIN = {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml": Kind.DOCX,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml": Kind.XLSX,
}
_MACRO_TYPE = re.compile(r"macroenabled|vbaproject|activex|ms-office\.vba|ms-excel\.(intl)?macrosheet", re.IGNORECASE)
_MACRO_NAME = re.compile(r"vba\w*\.bin$|/activex/|/(intl)?macrosheets/", re.IGNORECASE)
#: What may be elsewhere: the target of a link, and the workbook that a cell once took a number from.
_ELSEWHERE = ("/hyperlink", "/externalLinkPath", "/xlExternalLinkPath/xlPathMissing")
_PROPERTIES = {"title": "title", "creator": "author", "created": "created"}
#: What the content of a member must not begin with.
_HIDDEN = {
    b"PK\3\4": "archive_nested",
    b"Rar!": "archive_nested",
    b"7z\xbc\xaf": "archive_nested",
    b"\x1f\x8b": "archive_nested",
    b"\xd0\xcf\x11\xe0": "office_embedded",
    b"%PDF": "office_embedded",
    b"MZ": "office_embedded",
    b"\x7fELF": "office_embedded",
}

Start = Callable[[str, Mapping[str, str]], None]


def look_into(data: memoryview) -> tuple[Kind, Facts]:
    """Return whether it is a document or a workbook, and what it says of itself. Raises Fault."""
    members = members_of(data)
    kind = _kind_of(data, members)
    if any(_MACRO_NAME.search(f"/{name}") for name in members):
        raise Fault("file_macro")
    facts: Facts = {}
    for name, member in members.items():
        if name.endswith((".xml", ".rels")):
            start = _no_part_elsewhere if name.endswith(".rels") else None
            read_xml(data, member, start, facts if name == "docProps/core.xml" else None)
        else:
            _check_content(data, member)
    return kind, facts


def _kind_of(data: memoryview, members: Mapping[str, Member]) -> Kind:
    """Return what the list of content types says, if the main part is there."""
    if "[Content_Types].xml" not in members or "_rels/.rels" not in members:
        raise Fault("file_type")
    types: dict[str, str] = {}

    def note(tag: str, attributes: Mapping[str, str]) -> None:
        types[attributes.get("PartName", "")] = attributes.get("ContentType", "")
        if _MACRO_TYPE.search(attributes.get("ContentType", "")):
            raise Fault("file_macro")

    read_xml(data, members["[Content_Types].xml"], note)
    kinds = {_MAIN[kind] for part, kind in types.items() if kind in _MAIN and part.lstrip("/") in members}
    if len(kinds) != 1:
        raise Fault("file_type")
    return kinds.pop()


def _no_part_elsewhere(tag: str, attributes: Mapping[str, str]) -> None:
    if _MACRO_TYPE.search(attributes.get("Type", "").rpartition("/")[2]):
        raise Fault("file_macro")
    if attributes.get("TargetMode") == "External" and not attributes.get("Type", "").endswith(_ELSEWHERE):
        raise Fault("office_elsewhere")


def _check_content(data: memoryview, member: Member) -> None:
    head = b""
    for piece in unpacked(data, member):  # to the end: the sizes of a bomb are not what its list says
        head = head or piece[:8]
    for mark, code in _HIDDEN.items():
        if head.startswith(mark):
            raise Fault(code)


def read_xml(data: memoryview, member: Member, start: Start | None, facts: Facts | None = None) -> None:
    """Read an XML file to its end. No file of Office declares entities, so one that does is an attack."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: Any) -> None:
        raise Fault("office_xml")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    if start:
        parser.StartElementHandler = start
    if facts is not None:
        _note_properties(parser, facts)
    try:
        for piece in unpacked(data, member):
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError:
        raise Fault("file_damaged") from None


def _note_properties(parser: expat.XMLParserType, facts: Facts) -> None:
    pieces: list[str] = []

    def end(tag: str) -> None:
        if name := _PROPERTIES.get(tag.rpartition(" ")[2]):
            facts[name] = text_of("".join(pieces))

    parser.StartElementHandler = lambda tag, attributes: pieces.clear()
    parser.EndElementHandler = end
    parser.CharacterDataHandler = pieces.append
