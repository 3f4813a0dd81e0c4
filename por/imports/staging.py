"""Staging: COPY puts the lines of a file into an unlogged table, where one statement sees all of them.

A line that is obviously valid goes to the database as it is. Every other line is read cell by cell, and is either
written in canonical form or refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from django.db import connection
from django.utils.translation import gettext as _

from por.imports.reading import Cells, Unfit, cells_of, header_of

BLOCK = 1 << 18  # bytes read in one go

#: Patterns of the cells of a plain line: as ISO 8601 and PostgreSQL write them, without quotes.
GUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
MONTH = r"20[0-9]{2}-(?:0[1-9]|1[0-2])"
DAY = r"20[0-9]{2}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
NUMBER = r"[0-9]{1,9}"
MONEY = r"[0-9]{1,12}(?:\.[0-9]{1,2})?"

TEXT = 25  # the number of the type in PostgreSQL

Refuse = Callable[[int, Unfit], None]
Plain = Callable[[bytes], bytes | None]


class Staged:
    """The table `estate_staged_<file>`: `line`, then the columns of the file in the order of its header.

    `parse` turns the cells of a line into an object with the same fields, or raises Unfit. `plain`, if given, returns
    the line for COPY if `parse` would certainly accept it, and None for any other line.
    """

    def __init__(self, file: str, parse: Callable[[Cells], Any], plain: Plain | None) -> None:
        self.table = f"estate_staged_{file}"
        self._file = file
        self._parse = parse
        self._plain = plain
        self.count = 0
        with connection.cursor() as cursor:
            described = connection.introspection.get_table_description(cursor, self.table)
            texts = [column.name for column in described if column.type_code == TEXT]
        self.names = [column.name for column in described if column.name != "line"]
        # An empty text cell is an empty text, as in all of our tables; any other empty cell is unknown.
        self._empty = f", FORCE_NOT_NULL ({', '.join(texts)})" if texts else ""

    def empty(self) -> None:
        """Empty the tables of staged and found lines of the file."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT estate_empty(%s)", [self._file])

    def fill(self, path: Path, header: str, refuse: Refuse, moved: Callable[[int], None]) -> None:
        """Read the whole file into the empty table. A wrong header is refused as the first line of the file."""
        self.empty()
        with connection.cursor() as cursor, path.open("rb") as file:
            try:
                names = header_of(file, header.split(","))
            except Unfit as unfit:
                refuse(1, unfit)
                moved(path.stat().st_size)
                return
            moved(file.tell())
            plain = self._plain if names == header.split(",") else None
            cursor.copy_expert(
                f"COPY {self.table} (line, {', '.join(self.names)})"
                f" FROM STDIN (FORMAT csv, ENCODING 'UTF8'{self._empty})",
                _Stream(self._blocks(file, names, plain, refuse, moved)),
            )
            self.count = cursor.rowcount
            cursor.execute("SELECT estate_analyze_staged(%s)", [self._file])

    def _blocks(
        self,
        file: BinaryIO,
        names: list[str],
        plain: Plain | None,
        refuse: Refuse,
        moved: Callable[[int], None],
    ) -> Iterator[bytes]:
        values_of = attrgetter(*self.names)
        line = 1
        while block := file.readlines(BLOCK):
            found = []
            for raw in block:
                line += 1
                copied = plain(raw.rstrip(b"\r\n")) if plain else None
                if copied is None:
                    try:
                        cells = cells_of(line, raw, names)
                        copied = _csv(values_of(self._parse(cells))) if cells else None
                    except Unfit as unfit:
                        refuse(line, unfit)
                if copied is not None:
                    found.append(b"%d,%b\n" % (line, copied))
            moved(sum(map(len, block)))
            if found:
                yield b"".join(found)

    def refuse_doubles(self, key: Sequence[str], refuse: Refuse) -> None:
        """Delete and refuse each line with the same key as an earlier one; no part of the key is ever unknown."""
        parts = ", ".join(f"{part} AS key_{place}" for place, part in enumerate(key))
        several = f"SELECT {parts}, min(line) AS first FROM {self.table} GROUP BY {', '.join(key)} HAVING count(*) > 1"
        same = " AND ".join(f"{part} = key_{place}" for place, part in enumerate(key))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({several}) AS several")
            if not cursor.fetchone()[0]:
                return
            cursor.execute(
                f"DELETE FROM {self.table} USING ({several}) AS several WHERE {same} AND line > first"
                " RETURNING line, first"
            )
            self.count -= cursor.rowcount
            for line, first in sorted(cursor.fetchall()):
                refuse(
                    line,
                    Unfit(
                        "",
                        "duplicate_row",
                        _("This line repeats line %(line)s. Keep only one of them.") % {"line": first},
                    ),
                )


class _Stream:
    """The stream that COPY reads from, one block after the other."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks

    def read(self, size: int = -1) -> bytes:
        return next(self._blocks, b"")


def _csv(values: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue().encode()
