"""Zip archives, read entry by entry. Python's own zipfile notices no entries that lie on each other."""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from por.documents.child.faults import Fault
from por.documents.kinds import LARGEST_RATIO, LARGEST_UNPACKED, MOST_MEMBERS, SMALL_MEMBER

_END = struct.Struct("<4s4H2LH")
_LISTED = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
#: What may stand behind the bytes of an entry: a record with its size, if the size was not known before.
LONGEST_DESCRIPTOR = 24
ENCRYPTED = 0x1
SIZE_FOLLOWS = 0x8
STORED, DEFLATED = 0, 8
BLOCK = 1 << 18
_BAD_NAME = re.compile(r"[\x00-\x1f\x7f\\:]|^/|(^|/)\.\.?(/|$)|//")


@dataclass(frozen=True)
class Member:
    """A file in an archive. Its entry begins at `at`, its packed bytes at `start`."""

    name: str
    at: int
    start: int
    packed: int
    size: int
    crc: int
    method: int

    @property
    def end(self) -> int:
        return self.start + self.packed


def members_of(data: memoryview) -> dict[str, Member]:
    """Return the files in an archive by their names, if its entries fill it exactly. Nothing is unpacked."""
    end = len(data) - _END.size
    if end < 0 or bytes(data[end : end + 4]) != b"PK\5\6":
        raise Fault("file_polyglot" if end_of_archive(data) else "file_truncated")
    _, disk, first_disk, here, count, length, place, comment = _END.unpack_from(data, end)
    if disk or first_disk or here != count or comment or place + length > end:
        raise Fault("file_damaged")
    if place + length < end:
        raise Fault("file_polyglot")
    if count > MOST_MEMBERS:
        raise Fault("archive_too_many")
    found: dict[str, Member] = {}
    for member in _listed(data, place, end, count):
        if member.name in found:
            raise Fault("archive_names")
        found[member.name] = member
    _check_places(sorted(found.values(), key=lambda one: (one.at, one.end)), place)
    _check_sizes(found.values())
    return found


def end_of_archive(data: memoryview) -> bool:
    """Return whether a program that unpacks archives would find one at the end of these bytes."""
    tail = bytes(data[-(_END.size + 65_535) :])
    place = tail.rfind(b"PK\5\6")
    while place >= 0:
        if place + _END.size <= len(tail):
            length, start = struct.unpack_from("<2L", tail, place + 12)
            listed = len(data) - len(tail) + place - length
            if 0 <= start <= listed and bytes(data[listed : listed + 4]) in {b"PK\1\2", b"PK\5\6"}:
                return True
        place = tail.rfind(b"PK\5\6", 0, place)
    return False


def unpacked(data: memoryview, member: Member) -> Iterator[bytes]:
    """Yield the content of a member in pieces, and never more than its entry says."""
    packed = data[member.start : member.end]
    left, crc = member.size, 0
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    for place in range(0, len(packed), BLOCK):
        block: bytes | memoryview = packed[place : place + BLOCK]
        while block:
            if member.method == STORED:
                piece, block = bytes(block), b""
            else:
                try:
                    piece = unpacker.decompress(block, BLOCK)
                except zlib.error:
                    raise Fault("file_damaged") from None
                block = unpacker.unconsumed_tail
            left -= len(piece)
            if left < 0:
                raise Fault("archive_ratio")
            crc = zlib.crc32(piece, crc)
            if piece:
                yield piece
    if left or crc != member.crc or (member.method == DEFLATED and (not unpacker.eof or unpacker.unused_data)):
        raise Fault("file_damaged")


def _listed(data: memoryview, place: int, end: int, count: int) -> Iterator[Member]:
    """Yield the members in the list of contents, each found at its place."""
    places: set[int] = set()
    for _ in range(count):
        if place + _LISTED.size > end or bytes(data[place : place + 4]) != b"PK\1\2":
            raise Fault("file_damaged")
        (_, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, attributes, at) = _LISTED.unpack_from(
            data, place
        )
        raw = bytes(data[place + _LISTED.size :][: lengths[0]])
        if flags & ENCRYPTED:
            raise Fault("file_encrypted")
        if method not in {STORED, DEFLATED} or (method == STORED and packed != size):
            raise Fault("file_damaged")
        name = raw.decode("utf-8" if flags & 0x800 else "cp437", "replace")
        if _BAD_NAME.search(name) or stat.S_ISLNK(attributes >> 16):
            raise Fault("archive_names")
        if at in places:
            raise Fault("archive_overlap")
        places.add(at)
        start = _start(data, at, raw, flags, packed, size)
        yield Member(name, at, start, packed, size, crc, method)
        place += _LISTED.size + sum(lengths)
    if place != end:
        raise Fault("file_damaged")


def _start(data: memoryview, at: int, name: bytes, flags: int, packed: int, size: int) -> int:
    """Return where the packed bytes of an entry begin. The entry itself must say what the list says."""
    if at + _LOCAL.size > len(data) or bytes(data[at : at + 4]) != b"PK\3\4":
        raise Fault("file_damaged")
    fields: tuple[int, ...] = _LOCAL.unpack_from(data, at)[1:]
    _, own_flags, _, _, _, _, own_packed, own_size, name_length, extra = fields
    is_same = flags & SIZE_FOLLOWS or 0xFFFFFFFF in {own_packed, own_size} or (own_packed, own_size) == (packed, size)
    if own_flags & ENCRYPTED or not is_same or bytes(data[at + _LOCAL.size :][:name_length]) != name:
        raise Fault("file_damaged")
    return at + _LOCAL.size + name_length + extra


def _check_places(members: list[Member], end: int) -> None:
    """Refuse entries that lie on each other, and bytes between them that belong to none."""
    place = 0
    for member in members:
        if member.at < place or member.end > end:
            raise Fault("archive_overlap")
        if member.at - place > (LONGEST_DESCRIPTOR if place else 0):
            raise Fault("file_polyglot")
        place = member.end
    if end - place > LONGEST_DESCRIPTOR:
        raise Fault("file_polyglot")


def _check_sizes(members: Collection[Member]) -> None:
    for member in members:
        if member.size > max(SMALL_MEMBER, member.packed * LARGEST_RATIO):
            raise Fault("archive_ratio")
    if sum(member.size for member in members) > LARGEST_UNPACKED:
        raise Fault("archive_ratio")
