"""The beginning of a file, looked at before its import: its columns, rows and values, and what it leaves open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from por.imports import values
from por.imports.formats import Unreadable, Unsettled
from por.imports.opening import UTF16, Columns, Opened, split
from por.imports.reading import Unfit, visible
from por.imports.rules import LOOKED_AT

#: How many distinct values of a column are counted: many more than a page asks about.
COUNTED = 1000


@contextmanager
def beginning_of(file: IO[bytes]) -> Iterator[Path]:
    """Yield the first whole lines of a file, as a file of their own."""
    with TemporaryDirectory(prefix="por-sample-") as place:
        path = Path(place) / "beginning.csv"
        file.seek(0)
        path.write_bytes(_whole_lines(file.read(LOOKED_AT)))
        yield path


def _whole_lines(head: bytes) -> bytes:
    """Leave out the last line if it is cut off: half a number could be read as another one."""
    if len(head) < LOOKED_AT:
        return head
    encoding = next((name for mark, name in UTF16.items() if head.startswith(mark)), None)
    if encoding is None:
        return head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
    text = head.decode(encoding, "ignore")
    return text[: max(text.rfind("\n"), text.rfind("\r")) + 1].encode(encoding)


class Table:
    """The columns and rows of a beginning, whatever they are. Raises Unfit if it cannot be read."""

    def __init__(self, path: Path) -> None:
        with Opened(path, Columns((), ())) as opened:
            self._separator = opened.header.separator
            self._lines = list(opened.lines())
            self.names = split(opened.head, self._separator)

    def rows(self) -> Iterator[list[str]]:
        """Yield the cells of each line that has as many as the header."""
        for raw in self._lines:
            with suppress(Unfit):
                cells = split(raw, self._separator)
                if any(cells) and len(cells) == len(self.names):
                    yield [visible(cell) for cell in cells]

    @property
    def choosable(self) -> list[str]:
        """Return the names of the columns that can be chosen: those that have a name of their own."""
        return [name for name in self.names if name and self.names.count(name) == 1]

    def values_of(self, name: str) -> Sequence[str]:
        """Return the distinct values of a column, in any spelling of its name, the most frequent first."""
        given = values.normal(name)
        place = next((place for place, one in enumerate(self.names) if values.normal(one) == given), None)
        return [] if place is None else [value for value, _count in self._counts[place].most_common()]

    @cached_property
    def _counts(self) -> list[Counter[str]]:
        """Return how often each value of each column occurs. Of a column with very many, the first are counted."""
        counts: list[Counter[str]] = [Counter() for _name in self.names]
        for row in self.rows():
            for count, cell in zip(counts, row, strict=True):
                if len(count) <= COUNTED or cell in count:
                    count[cell] += 1
        return counts


def left_open(path: Path, columns: Columns) -> dict[str, str]:
    """Return what the cells leave open, `decimals` or `days`, each with a cell that can be read in two ways."""
    found: dict[str, str] = {}
    with Opened(path, columns) as opened:
        for line, raw in enumerate(opened.lines(), opened.header.lines + 1):
            cells = None
            with suppress(Unfit):
                cells = opened.cells(line, raw)
            for name, several in (("decimals", columns.numbers), ("days", columns.days)):
                read = opened.formats.number if name == "decimals" else opened.formats.day
                for column in several if cells and name not in found else ():
                    text = cells.given(column) if cells else ""
                    with suppress(Unreadable):
                        try:
                            text and read(text)
                        except Unsettled:
                            found[name] = text
                            break
            if len(found) == 2:
                break
    return found
