"""An estate as a whole: the files each room hands up, and loading all of them that are there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.db import transaction

from por.imports.loading import File, Report, load_file

_files: list[File[Any]] = []
_last: list[Callable[[], int]] = []


def register(*files: File[Any], last: Callable[[], int] | None = None) -> None:
    """Hands up a room's files, in the order in which they are loaded; called in its apps.py.

    `last` is done once all files of all rooms are loaded, and says how many associations it ended.
    """
    _files.extend(files)
    if last is not None:
        _last.append(last)


def files() -> tuple[File[Any], ...]:
    """All there can be, in the order they are loaded: each after what it refers to. Lines are of any kind."""
    return tuple(_files)


def names() -> list[str]:
    return [file.name for file in _files]


def present(directory: Path) -> list[Path]:
    return [directory / name for name in names() if (directory / name).is_file()]


def load(directory: Path, report: Report) -> int:
    """Loads what lies in the directory, within `one_load()`; returns how many associations had to end.

    A dry run is one transaction, taken back at its end; else each batch stands by itself, so that a load that was
    stopped is simply repeated.
    """
    there = present(directory)
    with transaction.atomic() if report.dry_run else nullcontext():
        for file in _files:
            if directory / file.name in there:
                load_file(directory / file.name, file, report)
        ended = sum(end() for end in _last)
        if report.dry_run:
            transaction.set_rollback(True)
    return ended
