"""An estate as a whole: the files that the rooms register, and importing those that are present."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from django.db import transaction
from django.utils.translation import gettext as _

from por.errors import Refused
from por.imports.loading import File, Report, analyze_grown, import_file, stage_ahead
from por.imports.mapping import Mapping, Source, best, profiles
from por.imports.opening import Columns, columns_in
from por.imports.rejected import Rejected
from por.imports.second import second_connection

#: The endings of names of files that may belong to an estate under another name.
ENDINGS = (".csv", ".tsv", ".txt")

_files: list[File[Any]] = []
_last: list[Callable[[Report], None]] = []


def register(*files: File[Any], last: Callable[[Report], None] | None = None) -> None:
    """Register a room's files, in the order in which they are imported; called in its apps.py.

    `last` is called once all files of all rooms are imported, and adds what it did to the report.
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


def recognized(file: IO[bytes]) -> str | None:
    """Return the name that a file has in an estate, by the columns in its first line; None if they tell of none."""
    found = {one.name: columns_in(file, one.columns) for one in _files}
    most = max(found.values())
    likest = [name for name, count in found.items() if count == most]
    return likest[0] if most and len(likest) == 1 else None


def is_only_named_like_ours(file: IO[bytes], name: str) -> bool:
    """Return whether a file with the name of one of ours is an export: Partner Center calls its list customers.csv too.

    Its columns are not ours, and are those of a mapping of the product.
    """
    return not columns_in(file, columns()[name]) and best(file, profiles()) is not None


def _are_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return not is_only_named_like_ours(file, path.name)


def present(directory: Path) -> dict[str, Path]:
    """Return the files of an estate that are in the directory, by their names: by their own or by their first line.

    Raises Refused if two files have the same columns: nobody could tell which one is right.
    """
    paths = {name: directory / name for name in names() if (directory / name).is_file()}
    found = {name: path for name, path in paths.items() if _are_ours(path)}
    for path in sorted(directory.glob("*")):
        if path.suffix.lower() in ENDINGS and path not in found.values() and path.is_file():
            with path.open("rb") as file:
                name = recognized(file)
            if name in found:
                text = _("%(one)s and %(other)s have the same columns. Keep only one of them.")
                raise Refused("file_twice", text % {"one": found[name].name, "other": path.name})
            if name:
                found[name] = path
    return found


def columns() -> dict[str, Columns]:
    """Return the columns of each file of an estate."""
    return {file.name: file.columns for file in _files}


def source(path: Path, mapping: Mapping, told: MappingOf[str, str], name: str = "") -> Source:
    """Return a file of another program with its mapping. Raises Refused if that is for a file that we do not have."""
    return Source(path, mapping, told, columns(), {file.name: file.key for file in _files}, name=name)


def mapped(
    directory: Path, mappings: Sequence[Mapping], told: dict[str, str], kept: Sequence[Mapping] = ()
) -> list[Source]:
    """Return the other files in the directory that a mapping is for: a given one, one that is kept, or one of ours.

    Raises Refused if a file does not say something that its rows need, and nobody told it.
    """
    known = present(directory).values()
    found = []
    for path in sorted(directory.glob("*")):
        if path.suffix.lower() in ENDINGS and path not in known and path.is_file():
            with path.open("rb") as file:
                encoding = told.get("encoding", "")
                fitting = best(file, mappings, encoding) or best(file, [*kept, *profiles()], encoding)
            if fitting is not None:
                found.append(source(path, fitting, told))
                found[-1].check_told()
    return found


def write_rejected(
    files: MappingOf[str, Path],
    sources: Sequence[Source],
    rejected: Rejected,
    opened: Callable[[str], AbstractContextManager[IO[bytes]]],
    encoding: str = "",
) -> int:
    """Write the refused rows of each file to what `opened` returns for its name; return how many files have any."""
    ours = _in_encoding(encoding)
    sent = [(one.name, files[one.name], one.columns, [one.name]) for one in ours if one.name in files]
    sent += [(source.name, source.path, source.columns, source.names) for source in sources]
    count = 0
    for name, path, columns, names in sent:
        if rejected.has_rows(path, columns, names):
            with opened(name) as to:
                rejected.write(path, columns, names, to)
            count += 1
    return count


def _in_encoding(encoding: str) -> list[File[Any]]:
    """Return the files of an estate, to be read in this encoding where they are not in Unicode."""
    return [replace(one, columns=replace(one.columns, encoding=encoding)) for one in _files]


def import_all(files: MappingOf[str, Path], report: Report, sources: Sequence[Source] = (), encoding: str = "") -> None:
    """Import the files, given by their names, and the mapped ones. `encoding` is that of files not in Unicode.

    Call it within `only_import()`. A dry run is one transaction, which is rolled back at its end. Otherwise each batch
    is a transaction of its own, so an import that was stopped is simply repeated.
    """
    with transaction.atomic() if report.dry_run else nullcontext(), TemporaryDirectory(prefix="por-mapped-") as scratch:
        for source in sources:
            report.notes += source.notes()
        ours = _in_encoding(encoding)
        with second_connection() as second:
            report.second = second
            given = [file for file in ours if file.name in files]
            ahead = {file.name: stage_ahead(files[file.name], file, report, second) for file in given} if second else {}
            for file in ours:
                if file.name in files:
                    import_file(files[file.name], file, report, ahead=ahead.get(file.name))
                for source in sources:
                    if file.name in source.mapping.files:
                        import_file(Path(scratch) / file.name, file, report, source)
        for finish in _last:
            finish(report)
        analyze_grown()
        if report.dry_run:
            transaction.set_rollback(True)
