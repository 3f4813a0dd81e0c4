"""What the web server serves under /static/: the product's own files, and those of packages that pages use."""

from __future__ import annotations

import re
from pathlib import Path

from django.contrib.staticfiles.finders import find, get_finders

from por.web.staticfiles import USED

ROOT = Path(__file__).parents[3]


def collected() -> set[str]:
    return {path for finder in get_finders() for path, _storage in finder.list([])}


def test_every_file_that_a_page_names_is_collected() -> None:
    named = {
        name
        for folder in ("templates", "por", "associations", "competencies")
        for page in (ROOT / folder).rglob("*.html")
        for name in re.findall(r"""\bstatic[ (]["']([^"']+)["']""", page.read_text(encoding="utf-8"))
    }
    assert named >= USED
    assert named <= collected()
    assert all(find(name) for name in named)


def test_only_the_own_files_and_the_used_ones_of_packages_are_collected() -> None:
    own = {path.relative_to(ROOT / "static").as_posix() for path in (ROOT / "static").rglob("*") if path.is_file()}
    assert collected() == own | USED
    assert not find("rest_framework/js/default.js")
