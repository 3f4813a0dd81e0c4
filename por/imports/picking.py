"""What is known of the lines of one file before it is written: the chosen line of each key, and the sums of lines."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from decimal import Decimal

from django.utils.translation import gettext as _

from por.imports.reading import Unfit, guid_of, visible

#: How many rows that do not become rows of ours are remembered.
MOST_UNSTAGED = 100_000


class Lines:
    """The chosen line of each key. They are kept on disk, because a file may have millions."""

    def __init__(self, *, oldest: bool = False) -> None:
        better = "excluded.day < day OR (day = '' AND excluded.day > '')" if oldest else "excluded.day > day"
        self._add = (
            "INSERT INTO chosen VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            f" SET day = excluded.day, line = excluded.line WHERE excluded.day > '' AND ({better})"
        )
        self._kept = sqlite3.connect("")
        self._kept.execute("CREATE TABLE chosen (key TEXT PRIMARY KEY, day TEXT, line INTEGER)")
        self._kept.execute("CREATE INDEX by_line ON chosen (line)")

    def add(self, key: str, day: str, line: int) -> None:
        self._kept.execute(self._add, (key, day, line))

    def __contains__(self, line: int) -> bool:
        return self._kept.execute("SELECT 1 FROM chosen WHERE line = ?", (line,)).fetchone() is not None


class Sums:
    """The rows of each key added up: the first line of a key has the sums. They are kept on disk.

    If one row of a key is refused, none of the key is taken: corrected and sent again alone, it would replace the sum.
    """

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self._kept = sqlite3.connect("")
        self._kept.execute("CREATE TABLE summed (key TEXT PRIMARY KEY, first INTEGER, cells TEXT)")
        self._kept.execute("CREATE TABLE line (line INTEGER PRIMARY KEY, key TEXT)")

    def add(self, key: str, line: int, row: list[str] | None) -> None:
        """Add a row to the sums of its key; None is a row that was refused."""
        self._kept.execute("INSERT INTO line VALUES (?, ?)", (line, key))
        found = self._kept.execute("SELECT first, cells FROM summed WHERE key = ?", (key,)).fetchone()
        first, sums = (found[0], json.loads(found[1])) if found else (line, row)
        if found and sums and row:
            for place in self._places:
                parts = [Decimal(one) for one in (sums[place], row[place]) if one]
                sums[place] = f"{sum(parts, Decimal(0)):f}" if parts else ""
        cells = json.dumps(sums if sums and row else None)
        self._kept.execute("INSERT OR REPLACE INTO summed VALUES (?, ?, ?)", (key, first, cells))

    def of(self, line: int) -> list[str] | None:
        """Return the sums of a line; None if they stand at an earlier one. Raises Unfit if a part of them failed."""
        first, cells = self._kept.execute(
            "SELECT first, cells FROM line JOIN summed USING (key) WHERE line = ?", (line,)
        ).fetchone()
        row: list[str] | None = json.loads(cells)
        if row is None:
            text = _("Another row of the same sum failed. Correct that row, and import all of them together.")
            raise Unfit("", "sum_incomplete", text)
        return row if first == line else None


class Unstaged:
    """What lines name that are not in the table, because they were refused or left out; and lines that cannot be read.

    Past a bound, a line counts as one that cannot be read, so that millions of bad lines do not fill the memory.
    """

    def __init__(self) -> None:
        self.ids: set[uuid.UUID] = set()
        self.unread = 0

    def add(self, text: str) -> None:
        """Add what a cell names: a GUID."""
        found = guid_of(visible(text))
        if found is None or len(self.ids) >= MOST_UNSTAGED:
            self.unread += 1
        else:
            self.ids.add(found)
