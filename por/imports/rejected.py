"""The refused rows of files, given back in the shape in which they were sent, with their faults beside them."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

from por.imports.opening import ERRORS, Columns, Opened, columns_in, is_errors, split
from por.imports.reading import RowError, Unfit


class Rejected:
    """The faults of all rows. They are kept on disk, because a file may have millions, and come in any order."""

    def __init__(self) -> None:
        self._kept = sqlite3.connect("")  # a file that only this connection sees
        self._kept.execute("CREATE TABLE fault (file TEXT, line INTEGER, text TEXT)")

    def __enter__(self) -> Rejected:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def __call__(self, error: RowError) -> None:
        text = f"{error.column}: {error.reason}" if error.column else error.reason
        if error.value:
            text += f" (“{error.value}”)"
        self._kept.execute("INSERT INTO fault VALUES (?, ?, ?)", (error.file, error.line, text))

    def has_rows(self, path: Path, columns: Columns, names: Sequence[str]) -> bool:
        """Return whether rows of the file were refused, under any of these names.

        If its header was refused, all of it has to be sent again.
        """
        known = {name for (name,) in self._kept.execute("SELECT DISTINCT file FROM fault")}
        if not known.intersection(names):
            return False
        with path.open("rb") as sent:
            return columns_in(sent, columns) > 0

    def write(self, path: Path, columns: Columns, names: Sequence[str], to: IO[bytes]) -> None:
        """Write the refused rows of a file, in UTF-8."""
        with Opened(path, columns) as opened:
            separator = opened.header.separator
            header = split(opened.head, separator)
            old = next((place for place, name in enumerate(header) if is_errors(name)), None)
            text = io.TextIOWrapper(to, encoding="utf-8-sig", newline="", write_through=True)
            rows = csv.writer(text, delimiter=separator, lineterminator="\r\n")
            rows.writerow([*_without(header, old), ERRORS])
            for raw, faults in self._rows(names, opened):
                try:
                    rows.writerow([*_without(split(raw, separator), old), faults])
                except Unfit:  # it cannot be split, so it stays as it is
                    text.write(raw.decode("utf-8", "replace").rstrip("\r\n"))
                    rows.writerow(["", faults])
            text.detach()

    def _rows(self, names: Sequence[str], opened: Opened) -> Iterator[tuple[bytes, str]]:
        """Yield the refused rows in their order, each with its faults."""
        found = self._kept.execute(
            f"SELECT line, text FROM fault WHERE file IN ({', '.join('?' * len(names))}) ORDER BY line, rowid", names
        )
        faults = (
            (line, " ".join(text for _line, text in several)) for line, several in groupby(found, lambda one: one[0])
        )
        wanted = next(faults, None)
        for line, raw in enumerate(opened.lines(), opened.header.lines + 1):
            if wanted is None:
                return
            if line == wanted[0]:
                yield raw, wanted[1]
                wanted = next(faults, None)


def _without(cells: Sequence[str], place: int | None) -> Sequence[str]:
    return cells if place is None or place >= len(cells) else [*cells[:place], *cells[place + 1 :]]
