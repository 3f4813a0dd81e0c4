"""Staging: COPY puts the lines of a file into an unlogged table, where one statement sees all of them.

A line that is obviously valid goes to the database as it is. Every other line is read cell by cell, and is either
written in canonical form or refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from django.db import connection

from por.imports.opening import Columns, Opened
from por.imports.picking import Unstaged
from por.imports.reading import Cells, Unfit, faults_of, missing

#: Patterns of the cells of a plain line: as ISO 8601 and PostgreSQL write them, without quotes. Zeros are no GUID.
GUID = r"(?!0{8}-0{4}-0{4}-0{4}-0{12})[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
MONTH = r"20[0-9]{2}-(?:0[1-9]|1[0-2])"
DAY = r"20[0-9]{2}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
NUMBER = r"[0-9]{1,9}"
MONEY = r"[0-9]{1,12}(?:\.[0-9]{1,2})?"

TEXT = 25  # the number of the type in PostgreSQL

#: Called once for each refused line, with all of its faults.
Refuse = Callable[[int, Sequence[Unfit]], None]
Plain = Callable[[bytes], bytes | None]


class Staged:
    """The table `estate_staged_<file>`: `line`, then the columns of the file in the order of its header.

    `parse` turns the cells of a line into an object with the same fields, or raises Unfit. `plain`, if given, returns
    the line for COPY if `parse` would certainly accept it, and None for any other line. `unstaged` collects what other
    lines name in the column `named_by`.
    """

    def __init__(self, file: str, parse: Callable[[Cells], Any], plain: Plain | None, named_by: str = "") -> None:
        self.table = f"estate_staged_{file}"
        self._file = file
        self._parse = parse
        self._plain = plain
        self._named_by = named_by
        self.unstaged = Unstaged()
        self.count = 0
        #: Our columns that the file does not have, by their names in the table, and its columns that we ignore.
        self.absent: Sequence[str] = ()
        self.ignored: Sequence[str] = ()
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

    def fill(
        self,
        path: Path,
        columns: Columns,
        refuse: Refuse,
        moved: Callable[[int], None],
        only: Collection[int] | None = None,
    ) -> None:
        """Read the whole file, or only some of its lines, into the empty table.

        A wrong header is refused as the first line of the file.
        """
        self.empty()
        try:
            opened = Opened(path, columns)
        except Unfit as unfit:
            refuse(1, [unfit])
            moved(path.stat().st_size)
            return
        staged = dict(zip(columns.every, self.names, strict=True))
        self.absent, self.ignored = [staged[column] for column in opened.absent], opened.header.ignored
        with connection.cursor() as cursor, opened:
            cursor.copy_expert(
                f"COPY {self.table} (line, {', '.join(self.names)})"
                f" FROM STDIN (FORMAT csv, ENCODING 'UTF8'{self._empty})",
                _Stream(self._blocks(opened, refuse, moved, only)),
            )
            self.count = cursor.rowcount
            cursor.execute("SELECT estate_analyze_staged(%s)", [self._file])

    def _blocks(
        self, opened: Opened, refuse: Refuse, moved: Callable[[int], None], only: Collection[int] | None
    ) -> Iterator[bytes]:
        plain = self._plain if opened.is_exact else None
        values_of = attrgetter(*self.names)
        line = opened.header.lines
        for size, block in opened.blocks():
            found = []
            for raw in block:
                line += 1
                if only is not None and line not in only:
                    continue
                copied = plain(raw.rstrip(b"\r\n")) if plain else None
                if copied is None:
                    cells = None
                    try:
                        cells = opened.cells(line, raw)
                        copied = _csv(values_of(self._parse(cells))) if cells else None
                    except Unfit as unfit:
                        refuse(line, faults_of(cells, self._parse) if cells else [unfit])
                        if self._named_by:
                            self.unstaged.add(cells.written(self._named_by) if cells else "")
                if copied is not None:
                    found.append(b"%d,%b\n" % (line, copied))
            moved(size)
            if found:
                yield b"".join(found)

    def take_twins(self, key: Sequence[str]) -> dict[int, int]:
        """Delete each line with the same key as an earlier one; return the earlier line by the deleted one.

        No part of the key is ever unknown.
        """
        parts = ", ".join(f"{part} AS key_{place}" for place, part in enumerate(key))
        several = f"SELECT {parts}, min(line) AS first FROM {self.table} GROUP BY {', '.join(key)} HAVING count(*) > 1"
        same = " AND ".join(f"{part} = key_{place}" for place, part in enumerate(key))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({several}) AS several")
            if not cursor.fetchone()[0]:
                return {}
            cursor.execute(
                f"DELETE FROM {self.table} USING ({several}) AS several WHERE {same} AND line > first"
                " RETURNING line, first"
            )
            self.count -= cursor.rowcount
            return dict(sorted(cursor.fetchall()))

    def beside(self, unit: str, lines: Iterable[int]) -> set[int]:
        """Return the lines of the units that these lines are about."""
        units = f"SELECT {unit} FROM {self.table} WHERE line = ANY(%s)"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT line FROM {self.table} WHERE {unit} IN ({units})", [list(lines)])
            return {line for (line,) in cursor.fetchall()}

    def complete(self, key: Sequence[str], stored: str, needed: Collection[str], refuse: Refuse) -> None:
        """Give the columns that the file does not have the values that are stored, so that they change nothing.

        `stored` is a SELECT of what is stored, with the columns of this table. A line about something new is refused if
        it has to have one of these columns.
        """
        absent = [name for name in self.absent if not any(name in part for part in key)]
        if not absent or not self.count:
            return
        parts = ", ".join(f"{part} AS key_{place}" for place, part in enumerate(key))
        same = " AND ".join(f"known.key_{place} = keyed.key_{place}" for place in range(len(key)))
        taken = ", ".join(f"{name} = known.{name}" for name in absent)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {self.table} AS staged SET {taken}
                FROM (SELECT line, {parts} FROM {self.table}) AS keyed
                JOIN (SELECT {parts}, {", ".join(absent)} FROM ({stored}) AS one) AS known ON {same}
                WHERE staged.line = keyed.line
                """
            )
            for column in needed:
                cursor.execute(f"DELETE FROM {self.table} WHERE {column} IS NULL RETURNING line")
                self.count -= cursor.rowcount
                for (line,) in sorted(cursor.fetchall()):
                    refuse(line, [missing(column)])


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
