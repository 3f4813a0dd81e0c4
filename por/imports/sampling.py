"""The beginning of a file, looked at before its import: its columns, rows and values, and what it leaves open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from por.imports import values
from por.imports.formats import ENCODINGS, Unreadable, Unsettled
from por.imports.mapping_shape import MOST_TITLES
from por.imports.opening import SEPARATORS, UTF16, Columns, Opened, blocks_of, split
from por.imports.reading import Unfit, guid_of, visible
from por.imports.rules import LOOKED_AT

#: How many distinct values of a column are counted: many more than a page asks about.
COUNTED = 1000
#: How many lines tell the encoding of a file, and how many words show it.
LINES_READ, WORDS_SHOWN = 1000, 3
#: How many lines are shown, of which one has the names of the columns.
LINES_SHOWN = 20
#: How much of a line is looked at, before and after its first letter that is not English: a line may be endless.
AROUND = 60
OTHER_BYTE = re.compile(rb"[\x80-\xff]")
#: A word with a letter that is not English.
OTHER_WORDS = re.compile(r"[\w'’&-]*[^\x00-\x7f][^\s;,|\"]*")
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


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


def encodings_of(file: IO[bytes]) -> dict[str, str]:
    """Return the encodings in which the text of a file may be, the likeliest first, each with some words as they read.

    There are none if the file is in Unicode: most of its lines with other letters than English ones are in UTF-8. The
    likeliest has letters where the others have signs, or capitals within words.
    """
    file.seek(0)
    in_utf8, others = 0, list[bytes]()
    for block in blocks_of(BytesIO(file.read(LOOKED_AT))):
        for line in block:
            if not line.isascii():
                try:
                    line.decode("utf-8")
                    in_utf8 += 1
                except UnicodeDecodeError:
                    place = next(OTHER_BYTE.finditer(line)).start()
                    others.append(line[max(0, place - AROUND) : place + AROUND])
    if len(others) <= in_utf8:
        return {}
    found = {}
    for name, codec in ENCODINGS.items():
        with suppress(UnicodeDecodeError):
            text = b"\n".join(others[:LINES_READ]).decode(codec)
            strange = sum(not (two[1].isascii() or _fits(*two)) for two in zip(" " + text, text, strict=False))
            found[name] = strange, ", ".join(dict.fromkeys(OTHER_WORDS.findall(text)[:WORDS_SHOWN]))
    return {name: words for name, (_strange, words) in sorted(found.items(), key=lambda one: one[1][0])}


def _fits(before: str, letter: str) -> bool:
    return letter.isalpha() and not (letter.isupper() and before.islower())


def likely(file: IO[bytes]) -> str:
    """Return the likeliest encoding of a file; "" if it is in Unicode."""
    return next(iter(encodings_of(file)), "")


def likely_of(path: Path) -> str:
    with path.open("rb") as file:
        return likely(file)


class Table:
    """The columns and rows of a beginning, whatever they are. Raises Unfit if it cannot be read.

    Where nobody has said the encoding or the line with the names of the columns, it takes the likeliest, to be shown.
    """

    def __init__(self, path: Path, *, encoding: str = "", header_line: int = 0) -> None:
        wanted = Columns((), (), encoding=encoding or likely_of(path), header_line=header_line)
        with path.open("rb") as file:
            self.top = next(blocks_of(file, wanted.encoding), [])[:MOST_TITLES]
        wanted = replace(wanted, header_line=header_line or _line_of_names(self.top))
        with Opened(path, wanted) as opened:
            self._separator = opened.header.separator
            self._lines = list(opened.lines())
            self.names = split(opened.head, self._separator)
            self.header_line = opened.header.lines - opened.head.rstrip().count(b"\n")
            self.encoding = wanted.encoding

    @property
    def first_lines(self) -> list[tuple[int, str]]:
        """Return the first lines of the file that are not empty, with their numbers: one has the names."""
        texts = ((number, line.decode("utf-8", "replace").strip()) for number, line in enumerate(self.top, 1))
        return [(number, text) for number, text in texts if text.strip(f'" {SEPARATORS}')][:LINES_SHOWN]

    @property
    def has_names(self) -> bool:
        """Return whether the line with the names is one: an ID or an address is no name of a column."""
        return not any(guid_of(name) or MAIL.fullmatch(name) for name in self.names)

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


def _line_of_names(lines: Sequence[bytes]) -> int:
    """Return the line in which most names of columns are known, if there are several; 0 if there is no such line."""
    words = {name for column, names in values.headers().items() for name in (values.normal(column), *names)}
    best = 0, 0
    for number, line in enumerate(lines, 1):
        with suppress(Unfit):
            count = max(len(words & set(map(values.normal, split(line, one)))) for one in SEPARATORS)
            best = max(best, (count, -number))
    return -best[1] if best[0] > 1 else 0


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
