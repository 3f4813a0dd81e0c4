"""An estate as a whole: the files that the rooms register, and importing those that are present."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.db import transaction

from por.imports.loading import File, Report, import_file

_files: list[File[Any]] = []
_last: list[Callable[[], int]] = []


def register(*files: File[Any], last: Callable[[], int] | None = None) -> None:
    """Register a room's files, in the order in which they are imported; called in its apps.py.

    `last` is called once all files of all rooms are imported, and returns how many associations it ended.
    """
    _files.extend(files)
    if last is not None:
        _last.append(last)


def files() -> tuple[File[Any], ...]:
    """Return all files that an estate may have, in the order they are imported: each after the files it refers to."""
    return tuple(_files)


def names() -> list[str]:
    """Return the names of the files of an estate, in the order they are imported."""
    return [file.name for file in _files]


def present(directory: Path) -> list[Path]:
    """Return the files of an estate that are in the directory."""
    return [directory / name for name in names() if (directory / name).is_file()]


def import_all(directory: Path, report: Report) -> int:
    """Import the files in the directory; return how many associations ended. Call it within `only_import()`.

    A dry run is one transaction, which is rolled back at its end. Otherwise each batch is a transaction of its own, so
    an import that was stopped is simply repeated.
    """
    there = present(directory)
    with transaction.atomic() if report.dry_run else nullcontext():
        for file in _files:
            if directory / file.name in there:
                import_file(directory / file.name, file, report)
        ended = sum(end() for end in _last)
        if report.dry_run:
            transaction.set_rollback(True)
    return ended
