"""Pictures of the pages of a document, for those who may see it without opening it."""

from __future__ import annotations

import struct
from typing import IO

from por.documents import children
from por.documents.checking import on_disk
from por.documents.kinds import Kind

#: The types whose pages are drawn. Of the others there are facts and a download.
DRAWN = {Kind.PDF, Kind.PNG, Kind.JPG}


def draw(file: IO[bytes], kind: Kind) -> list[bytes] | None:
    """Return the first pages as PNG; None if the type has no pictures or the file cannot be drawn."""
    if kind not in DRAWN:
        return None
    pictures = []
    try:
        with on_disk(file) as readable, children.answer_of("draw", readable, children.DRAW) as answer:
            while head := answer.read(4):
                pictures.append(answer.read(*struct.unpack(">L", head)))
    except children.Died:
        return None
    return pictures or None
