"""Pictures of the first pages. What draws them is large and old, so it runs in the limited child only."""

from __future__ import annotations

import importlib
import struct
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

import pypdfium2
from PIL import Image, ImageOps

from por.documents.kinds import MOST_DRAWN, MOST_PAGES_DRAWN, MOST_PIXELS, PICTURE_SIDE

LARGEST_SCALE = 4  # a small page is not blown up further
# The library would load its formats when it meets the first file of theirs, and then it is too late.
Image.preinit()
for name in ("TiffImagePlugin", "MpoImagePlugin"):  # of what cameras write into their pictures
    importlib.import_module(f"PIL.{name}")
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def draw(file: BinaryIO, out: BinaryIO) -> None:
    """Write each picture as PNG, with its length before it."""
    is_pdf = file.read(5) == b"%PDF-"
    file.seek(0)
    left = MOST_DRAWN
    for picture in _pages(file) if is_pdf else _picture(file):
        frame = BytesIO()
        picture.save(frame, "PNG")
        left -= frame.tell()
        if left < 0:
            return
        out.write(struct.pack(">L", frame.tell()) + frame.getbuffer())


def _pages(file: BinaryIO) -> Iterator[Image.Image]:
    document = pypdfium2.PdfDocument(file)
    for number in range(min(len(document), MOST_PAGES_DRAWN)):
        page = document[number]
        scale = min(PICTURE_SIDE / max(page.get_size()), LARGEST_SCALE)
        yield page.render(scale=scale).to_pil()
        page.close()


def _picture(file: BinaryIO) -> Iterator[Image.Image]:
    with Image.open(file, formats=["PNG", "JPEG"]) as picture:
        picture.draft("RGB", (PICTURE_SIDE, PICTURE_SIDE))  # of a large JPEG, only what is needed
        picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
        shown = ImageOps.exif_transpose(picture).convert("RGBA")
    ground = Image.new("RGBA", shown.size, "white")
    yield Image.alpha_composite(ground, shown).convert("RGB")  # and nothing of what the file said of itself
