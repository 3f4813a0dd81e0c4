"""PNG and JPEG, read block by block. Nothing is decoded here: a picture of few bytes can have billions of pixels."""

from __future__ import annotations

import re
import struct
import zlib

from por.documents.child.facts import Facts
from por.documents.child.faults import Fault
from por.documents.kinds import MOST_PIXELS, MOST_SCANS

PNG = b"\x89PNG\r\n\x1a\n"
JPG = b"\xff\xd8\xff"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
BLOCK = 1 << 18
#: Unpacked bytes of the texts and the colour profile of a PNG.
LARGEST_TEXT = 4 * 1024 * 1024
#: Where the pixels of a JPEG are interrupted by a block, or end.
_MARK = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SIZES = {0xC0, 0xC1, 0xC2}
_OTHER_SIZES = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}


def look_into_png(data: memoryview) -> Facts:
    """Return the size of a PNG in pixels. Raises Fault unless it is whole and what its header says."""
    place, last = len(PNG), b""
    facts: Facts = {}
    pixels = _Pixels()
    while last != b"IEND":
        if place + 12 > len(data):
            raise Fault("file_truncated")
        length = int.from_bytes(data[place : place + 4], "big")
        last = bytes(data[place + 4 : place + 8])
        if place + 12 + length > len(data):
            raise Fault("file_truncated")
        content = data[place + 8 : place + 8 + length]
        if zlib.crc32(content, zlib.crc32(last)) != int.from_bytes(data[place + 8 + length :][:4], "big"):
            raise Fault("file_damaged")
        if (last == b"IHDR") != (not facts):
            raise Fault("file_damaged")
        if last == b"IHDR":
            facts = pixels.begin(content)
        elif last == b"IDAT":
            pixels.take(content)
        elif last in {b"zTXt", b"iTXt", b"iCCP"}:
            _check_text(last, bytes(content))
        place += 12 + length
    if place < len(data):
        raise Fault("file_polyglot")
    pixels.finish()
    return facts


class _Pixels:
    """The pixels of a PNG: so many bytes as its header says, and no more."""

    def begin(self, header: memoryview) -> Facts:
        if len(header) != 13:
            raise Fault("file_damaged")
        width, height, depth, colour, _, _, interlaced = struct.unpack(">2L5B", header)
        if not width or not height or colour not in _CHANNELS or depth not in {1, 2, 4, 8, 16}:
            raise Fault("file_damaged")
        if width * height > MOST_PIXELS:
            raise Fault("picture_too_large")
        bits = depth * _CHANNELS[colour]
        # One byte before each line; interlaced, a picture has at most twice the lines, each rounded up.
        self.most = (
            height * (1 + (width * bits + 7) // 8) if not interlaced else (width * bits // 8 + 24) * (height + 8) * 2
        )
        self.least = 0 if interlaced else self.most
        self.taken = 0
        self.unpacker = zlib.decompressobj()
        return {"width": width, "height": height}

    def take(self, content: memoryview) -> None:
        rest: bytes | memoryview = content
        while rest and not self.unpacker.eof:
            try:
                self.taken += len(self.unpacker.decompress(rest, BLOCK))
            except zlib.error:
                raise Fault("file_damaged") from None
            rest = self.unpacker.unconsumed_tail
            if self.taken > self.most:
                raise Fault("picture_bomb")
        if self.unpacker.unused_data:
            raise Fault("file_polyglot")

    def finish(self) -> None:
        if not self.unpacker.eof or self.taken < max(1, self.least):
            raise Fault("file_truncated")


def _check_text(kind: bytes, content: bytes) -> None:
    """Refuse a packed text or colour profile that unpacks to far more than one has."""
    rest = content.partition(b"\0")[2]
    if kind == b"iTXt":
        if rest[:1] != b"\1":
            return
        packed = rest[2:].split(b"\0", 2)[-1]
    else:
        packed = rest[1:]
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, LARGEST_TEXT)
    except zlib.error:
        raise Fault("file_damaged") from None
    if unpacker.unconsumed_tail:
        raise Fault("picture_bomb")


def look_into_jpg(data: memoryview) -> Facts:
    """Return the size of a JPEG in pixels. Raises Fault unless it ends where its picture ends."""
    place, scans = 2, 0
    facts: Facts = {}
    while True:
        if place + 4 > len(data) and bytes(data[place : place + 2]) != b"\xff\xd9":
            raise Fault("file_truncated")
        if data[place] != 0xFF:
            raise Fault("file_damaged")
        mark = data[place + 1]
        if mark == 0xFF:  # fills up
            place += 1
            continue
        if mark == 0xD9:
            break
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        if length < 2 or place + 2 + length > len(data):
            raise Fault("file_truncated")
        if mark in _OTHER_SIZES:
            raise Fault("file_damaged")
        if mark in _SIZES:
            facts = _size_of(content, facts)
        place += 2 + length
        if mark == 0xDA:
            scans += 1
            if scans > MOST_SCANS:
                raise Fault("picture_bomb")
            found = _MARK.search(data, place)
            if not found:
                raise Fault("file_truncated")
            place = found.end() - 2
    if not facts or not scans:
        raise Fault("file_damaged")
    if bytes(data[place + 2 :]).strip(b"\0\r\n "):
        raise Fault("file_polyglot")
    return facts


def _size_of(content: memoryview, before: Facts) -> Facts:
    if len(content) < 6 or before:
        raise Fault("file_damaged")
    height, width = struct.unpack(">2H", content[1:5])
    if not width or not height:
        raise Fault("file_damaged")
    if width * height > MOST_PIXELS:
        raise Fault("picture_too_large")
    return {"width": width, "height": height}
