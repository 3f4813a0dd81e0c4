"""The pages of a document are drawn in a child process. A file that breaks it has no pictures, and that is all."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Dictionary, Name
from PIL import Image

from por.documents import children
from por.documents.kinds import ENDINGS, MOST_PAGES_DRAWN, PICTURE_SIDE, Kind
from por.documents.previewing import DRAWN, draw
from tests.por.documents import bad
from tests.por.documents.archives import SAMPLES
from tests.por.documents.some import first_of_each

GOOD = sorted(path for path in SAMPLES.iterdir() if ENDINGS.get(path.suffix[1:]) in DRAWN)


def drawn(content: bytes, kind: Kind) -> list[Image.Image]:
    pictures = draw(BytesIO(content), kind)
    assert pictures is not None
    return [Image.open(BytesIO(picture)) for picture in pictures]


@pytest.mark.parametrize("path", first_of_each(GOOD, lambda path: path.suffix, lambda path: path.name))
def test_every_good_file_has_pictures_with_something_on_them(path: Path) -> None:
    pictures = drawn(path.read_bytes(), ENDINGS[path.suffix[1:]])
    assert {picture.format for picture in pictures} == {"PNG"}
    assert max(max(picture.size) for picture in pictures) <= PICTURE_SIDE
    assert any(len(set(picture.convert("L").getextrema())) == 2 for picture in pictures)


def test_every_page_is_drawn_up_to_a_number() -> None:
    assert len(drawn(bad.sample("pypdf-merged.pdf"), Kind.PDF)) == 3
    document = pikepdf.new()
    for _ in range(MOST_PAGES_DRAWN + 1):
        document.add_blank_page()
    out = BytesIO()
    document.save(out)
    assert len(drawn(out.getvalue(), Kind.PDF)) == MOST_PAGES_DRAWN


def test_picture_tells_nothing_of_where_and_with_what_it_was_taken() -> None:
    with Image.open(SAMPLES / "camera.jpg") as original:
        assert original.getexif()
    (picture,) = drawn(bad.sample("camera.jpg"), Kind.JPG)
    assert not picture.getexif()
    assert picture.info == {}


def test_picture_is_turned_as_the_camera_says() -> None:
    out = BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(out, "JPEG", exif=turned)
    assert drawn(out.getvalue(), Kind.JPG)[0].size == (20, 40)


def test_large_picture_becomes_small() -> None:
    out = BytesIO()
    Image.new("L", (4000, 3000), 90).save(out, "JPEG")
    assert drawn(out.getvalue(), Kind.JPG)[0].size == (PICTURE_SIDE, PICTURE_SIDE * 3 // 4)


def test_types_without_pages_have_no_pictures() -> None:
    for name in ("libreoffice.docx", "openpyxl.xlsx", "python-email.eml"):
        assert draw(BytesIO(bad.sample(name)), ENDINGS[name[-4:].lstrip(".")]) is None


def endless() -> bytes:
    """Return a PDF of few bytes that is well-formed: each of its forms draws the next one many times."""

    def fill(document: pikepdf.Pdf) -> None:
        form = document.make_stream(b"0 0 5 5 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
        for _ in range(9):
            inner = Dictionary(XObject=Dictionary(F=form))
            form = document.make_stream(
                b"/F Do " * 30, Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9], Resources=inner
            )
        document.pages[0].Resources = Dictionary(XObject=Dictionary(F=form))
        document.pages[0].Contents = document.make_stream(b"/F Do")

    return bad.pdf(fill)


def vast() -> bytes:
    """Return a PDF of few bytes with a picture of gigabytes."""

    def fill(document: pikepdf.Pdf) -> None:
        picture = document.make_stream(
            bytes(1000), Type=Name.XObject, Subtype=Name.Image, Width=30_000, Height=30_000, BitsPerComponent=8
        )
        picture.ColorSpace = Name.DeviceRGB
        document.pages[0].Resources = Dictionary(XObject=Dictionary(F=picture))
        document.pages[0].Contents = document.make_stream(b"600 0 0 600 0 0 cm /F Do")

    return bad.pdf(fill)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bad.sample("typst.pdf")[:2000], Kind.PDF),
        (b"%PDF-1.7\n%%EOF", Kind.PDF),
        (bad.sample("poppler.jpg")[:500], Kind.JPG),
        (bad.picture(60_000, 60_000, b""), Kind.PNG),
        (b"GIF89a\1\0\1\0\0\0\0;", Kind.PNG),
        (b"", Kind.PDF),
    ],
    ids=["half", "nothing", "half a picture", "bomb", "gif", "empty"],
)
def test_broken_file_has_no_pictures(content: bytes, kind: Kind) -> None:
    assert draw(BytesIO(content), kind) is None


def test_page_that_takes_for_ever_ends_its_child_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "DRAW", replace(children.DRAW, seconds=1))
    assert draw(BytesIO(endless()), Kind.PDF) is None
    assert len(drawn(bad.sample("fpdf2.pdf"), Kind.PDF)) == 1


@pytest.mark.crawl
def test_page_with_a_vast_picture_takes_no_more_than_its_memory() -> None:
    draw(BytesIO(vast()), Kind.PDF)
    assert len(drawn(bad.sample("fpdf2.pdf"), Kind.PDF)) == 1
