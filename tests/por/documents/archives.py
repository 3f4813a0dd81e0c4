"""Archives for tests, good and bad, written byte by byte where Python's zipfile would not write them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

SAMPLES = Path(__file__).with_name("samples")
DOCX = SAMPLES / "word-tbl-cell-props.docx"
XLSX = SAMPLES / "excel-table01.xlsx"


def changed(base: Path, *, extra: dict[str, bytes] | None = None, swap: tuple[bytes, bytes] | None = None) -> bytes:
    """Return a document with more members, or with some bytes of its XML replaced by others."""
    out = BytesIO()
    with ZipFile(base) as old, ZipFile(out, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(*swap) if swap else content)
        for name, content in (extra or {}).items():
            new.writestr(name, content)
    return out.getvalue()


@dataclass(frozen=True)
class Entry:
    """An entry as its list of contents says it. `at` and `size` are as in the archive, unless given."""

    name: bytes
    content: bytes
    at: int | None = None
    size: int | None = None
    flags: int = 0
    attributes: int = 0


@cache
def packed(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def entries(base: Path) -> list[Entry]:
    with ZipFile(base) as archive:
        return [Entry(name.encode(), archive.read(name)) for name in archive.namelist()]


def local(one: Entry) -> bytes:
    data = packed(one.content)
    size = len(one.content) if one.size is None else one.size
    head = (b"PK\3\4", 20, one.flags, 8, 0, 33, zlib.crc32(one.content), len(data), size, len(one.name), 0)
    return struct.pack("<4s5H3L2H", *head) + one.name + data


def archive(written: Iterable[Entry], *, between: bytes = b"", comment: bytes = b"", count: int | None = None) -> bytes:
    """Return an archive of these entries. One with a place of its own is listed only."""
    body, listed, number = b"", b"", 0
    for one in written:
        at = len(body) if one.at is None else one.at
        size = len(one.content) if one.size is None else one.size
        data = packed(one.content)
        head = (
            b"PK\1\2",
            0x314,
            20,
            one.flags,
            8,
            0,
            33,
            zlib.crc32(one.content),
            len(data),
            size,
            len(one.name),
            0,
            0,
        )
        listed += struct.pack("<4s6H3L5H2L", *head, 0, 0, one.attributes, at) + one.name
        if one.at is None:
            body += local(one) + between
        number += 1
    number = number if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(listed), len(body), len(comment))
    return body + listed + end + comment


def overlapping(count: int) -> bytes:
    """Return an archive that lists one entry many times, under other names of the same length."""
    first = Entry(b"word/m00000.xml", b"<a>" + b" " * 900_000 + b"</a>")
    others = [replace(first, name=b"word/m%05d.xml" % number, at=0) for number in range(1, count)]
    return archive([first, *others])


def quoted(count: int) -> bytes:
    """Return an archive in which each entry has all later ones within its own bytes."""
    kernel = packed(b"<a>" + b" " * 900_000 + b"</a>")
    body, listed, inner = b"", [], kernel
    for number in range(count):
        name = b"word/q%04d.xml" % number
        head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, len(inner), len(inner), len(name), 0)
        listed.append((name, len(inner)))
        inner = head + name + inner
    body, place, central = inner, 0, b""
    for name, size in reversed(listed):
        head = (b"PK\1\2", 0x314, 20, 0, 0, 0, 33, 0, size, size, len(name), 0, 0, 0, 0, 0, place)
        central += struct.pack("<4s6H3L5H2L", *head) + name
        place += 30 + len(name)
    return body + central + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central), len(body), 0)
