"""Files of proofs in tests: a directory for them, and small ones of real programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.files.storage import storages

from por.files import proofs

SAMPLES = Path(__file__).parent / "por" / "documents" / "samples"
PDF = (SAMPLES / "fpdf2.pdf").read_bytes()
PNG = (SAMPLES / "pillow-palette.png").read_bytes()


def use_directory(settings: Any, place: Path) -> Path:
    """Keep files in this directory; return it."""
    backend = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(place / "files")}}
    settings.STORAGES = settings.STORAGES | {"default": backend}
    return place / "files"


def stored_names() -> set[str]:
    """Return the names of all files of proofs in the storage."""
    return {one.name for folder in (proofs.QUARANTINE, proofs.PROOFS) for one in storages["default"].listing(folder)}
