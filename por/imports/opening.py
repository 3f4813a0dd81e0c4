"""Opening a file: its encoding, its line ends, what separates its cells, and which of its columns we know."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import IO

from django.utils.translation import gettext as _

from por.imports import values
from por.imports.formats import ENCODINGS, UNSAID, Formats, Written
from por.imports.reading import Cells, Unfit, visible

BLOCK = 1 << 18  # bytes read in one go
HEAD = 65_536  # bytes in which the end of the first line is looked for
LONGEST_LINE = 65_536  # bytes; the longest real line has a tenth of it
BOM = codecs.BOM_UTF8
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

#: In the order in which they are tried.
SEPARATORS = ",;\t|"
#: The first line of a file that tells a spreadsheet its separator.
TELLS = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
#: The first line that PowerShell writes unless told not to.
OF_POWERSHELL = "#TYPE "
#: How many lines of titles may stand above the header.
TITLES = 10
#: A line below is the header instead, if it has so many times as many filled cells.
FULL = 0.7
#: How many lines one row may have, because of line breaks within quotation marks.
LINES_OF_ROW = 50
#: The column with the faults of a row that comes back. Sent again, it says nothing.
ERRORS = "errors"
#: How alike a name and a column must be for the name to be a slip of the pen.
ALIKE = 0.8


@dataclass(frozen=True)
class Columns:
    """The columns of a file of ours: all, those that must be there, and those with numbers and with days."""

    every: Sequence[str]
    required: Collection[str]
    numbers: Collection[str] = ()
    days: Collection[str] = ()
    may_resemble: bool = False  # whether a file may have other columns with names like these
    months: Collection[str] = ()  # those of the days that may be a month alone
    #: The columns that take some values only: the values, and the table of words for them in values.yaml.
    closed: Mapping[str, tuple[Sequence[str], str]] = field(default_factory=dict)
    #: How numbers and days are written, where the cells of the file do not tell.
    written: Written = UNSAID
    #: One of ENCODINGS, for lines that are not in UTF-8; "" if nobody has said it.
    encoding: str = ""
    #: The line with the names of the columns, where somebody has said it; 0 to look for it below TITLES at most.
    header_line: int = 0


@dataclass(frozen=True)
class Header:
    """The first lines of a file. `columns` has our name for each column of the file, and None for those we ignore."""

    lines: int
    separator: str
    columns: Sequence[str | None]
    ignored: Sequence[str]


class Opened:
    """An open file. Its lines are in UTF-8, whatever the encoding of the file. Raises Unfit if it cannot be read."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path = path
        self._wanted = columns
        self._file = path.open("rb")
        try:
            blocks = blocks_of(self._file, columns.encoding)
            first = next(blocks, [])
            self.header, self.head = header_of(first, columns)
            self._blocks = self._rows_in(chain([first], blocks))
            self._first = next(self._blocks, [])
        except BaseException:
            self._file.close()
            raise
        self.formats = Formats(lambda: self._texts(columns.numbers), lambda: self._texts(columns.days), columns.written)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def is_exact(self) -> bool:
        """Return whether the file has all columns by their own names, in their order, with commas between them."""
        return self.header.separator == "," and list(self.header.columns) == list(self._wanted.every)

    @property
    def absent(self) -> list[str]:
        """Return our columns that the file does not have."""
        return [column for column in self._wanted.every if column not in self.header.columns]

    def blocks(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the lines after the header in blocks, each with the number of bytes that were read for it."""
        done, block = 0, self._first[self.header.lines :]
        while True:
            at = self._file.tell()
            yield at - done, block
            done = at
            following = next(self._blocks, None)
            if following is None:
                return
            block = following

    def cells(self, line: int, raw: bytes) -> Cells | None:
        """Return the cells of one line; None if all are empty. Raises Unfit if it cannot be read."""
        cells = split(raw, self.header.separator)
        columns = self.header.columns
        if not any(cells):
            return None
        if len(cells) > len(columns) and not any(cells[len(columns) :]):
            cells = cells[: len(columns)]  # separators at the end
        if len(cells) != len(columns):
            text = _("The line has %(found)s cells, but the header has %(wanted)s.")
            raise Unfit("", "wrong_number_of_cells", text % {"found": len(cells), "wanted": len(columns)})
        return Cells(line, {name: cell for name, cell in zip(columns, cells, strict=True) if name}, self.formats)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines after the header. The file is read once more."""
        with self._path.open("rb") as file:
            skipped = self.header.lines
            for block in self._rows_in(blocks_of(file, self._wanted.encoding)):
                yield from block[skipped:]
                skipped = 0

    def _rows_in(self, blocks: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
        """Yield the blocks with each row in one line: one with line breaks within quotes, then an empty line for each.

        Lines are put together only if they make one row and none of them could be one, so that an open quote affects
        only its own line.
        """
        waiting: list[bytes] = []
        for block in blocks:
            lines = waiting + block
            is_open = b'"' in b"".join(lines) and any(map(_opens, lines))  # most files have no quotes at all
            rows, waiting = self._put_together(lines, is_last=False) if is_open else (lines, [])
            if rows:
                yield rows
        if waiting:
            yield self._put_together(waiting, is_last=True)[0]

    def _put_together(self, lines: list[bytes], *, is_last: bool) -> tuple[list[bytes], list[bytes]]:
        """Return the lines with each row in one, and those at the end that have to wait for the next block."""
        rows: list[bytes] = []
        place = 0
        while place < len(lines):
            if not _opens(lines[place]):
                rows.append(lines[place])
                place += 1
                continue
            most = min(place + LINES_OF_ROW, len(lines))
            end = next((one + 1 for one in range(place + 1, most) if _opens(lines[one])), None)
            if end is None and most == len(lines) and not is_last:
                return rows, lines[place:]
            together = lines[place:end] if end is not None and self._are_one_row(lines[place:end]) else [lines[place]]
            rows += [_one(together), *[b""] * (len(together) - 1)]
            place += len(together)
        return rows, []

    def _are_one_row(self, lines: list[bytes]) -> bool:
        count = len(self.header.columns)
        return _count(_one(lines), self.header.separator) == count and not any(
            _count(line, self.header.separator) == count for line in lines[1:]
        )

    def _texts(self, columns: Collection[str]) -> Iterator[str]:
        """Yield the cells of these columns in all lines that can be read."""
        places = [place for place, name in enumerate(self.header.columns) if name in columns]
        for raw in self.lines():
            with suppress(Unfit):
                cells = split(raw, self.header.separator)
                if len(cells) == len(self.header.columns):
                    yield from [visible(cells[place]) for place in places]


def columns_in(file: IO[bytes], wanted: Columns) -> int:
    """Return how many of these columns a file has, by its first line; 0 if it cannot be one with these columns."""
    file.seek(0)
    try:
        header, _head = header_of(next(blocks_of(file, wanted.encoding), []), wanted)
        return sum(column is not None for column in header.columns)
    except Unfit:
        return 0


def blocks_of(file: IO[bytes], told: str = "") -> Iterator[list[bytes]]:
    """Yield the lines of a file in blocks, in UTF-8 and with any line ends. No block is empty.

    `told` is the encoding of those lines that are not in UTF-8. Without it, they stay as they are, and are refused.
    """
    for block in _blocks_of(file):
        yield [as_utf8(line, told) for line in block] if told else block


def as_utf8(line: bytes, told: str) -> bytes:
    """Return a line in UTF-8. Text in another encoding is hardly ever UTF-8 by chance, so such a line is left alone.

    A byte that stands for nothing in the encoding stays, so that the line is refused.
    """
    if line.isascii():
        return line
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode(ENCODINGS[told], "surrogateescape").encode("utf-8", "surrogateescape")
    return line


def _blocks_of(file: IO[bytes]) -> Iterator[list[bytes]]:
    head = file.read(HEAD)
    encoding = next((name for mark, name in UTF16.items() if head.startswith(mark)), None)
    end = re.search(rb"\r\n?|\n", head)
    marks = re.match(rb"(?:\xef\xbb\xbf)*", head)
    assert marks is not None  # it matches nothing at least
    file.seek(2 if encoding else marks.end())
    if encoding or (end and end[0] == b"\r" and end.end() < HEAD):
        yield from _translated(file, encoding)
        return
    while block := file.readlines(BLOCK):
        yield block


def _translated(file: IO[bytes], encoding: str | None) -> Iterator[list[bytes]]:
    """Yield the lines of a file in UTF-16, or with the line ends of an old Mac.

    Half a character becomes bytes that are no UTF-8, so that its line alone is refused. Of a line that is far too long
    no more is kept than shows it.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass") if encoding else None
    rest = b""
    while True:
        chunk = file.read(BLOCK)
        is_last = not chunk
        if decoder:
            try:
                chunk = decoder.decode(chunk, is_last).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                chunk = b"\xff"
        text = rest + chunk
        held = b"\r" if text.endswith(b"\r") and not is_last else b""  # its line feed may follow
        text = text.removesuffix(held)
        *lines, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = rest[: LONGEST_LINE + 1] + held
        if is_last and rest:
            lines.append(rest)
        if lines:
            yield lines
        if is_last:
            return


def header_of(block: Sequence[bytes], wanted: Columns) -> tuple[Header, bytes]:
    """Return the header among the first lines, and its line. Raises Unfit if no names are those of the columns.

    There may be titles above it. If no columns are wanted, it is the first line that is about as full as any.
    """
    told, first_fault, likely = None, None, None
    tried = 0
    if not wanted.every and 0 < wanted.header_line <= len(block):
        lines = _whole_header(block, wanted.header_line)
        raw = _one(lines)
        separator = max(SEPARATORS, key=lambda one: _likeness(_text_of_header(raw), one, wanted))
        names = split(raw, separator)
        return Header(wanted.header_line + len(lines) - 1, separator, *_known(names, wanted)), raw
    for count in range(1, len(block) + 1):
        if tried > max(TITLES, wanted.header_line):
            break
        lines = _whole_header(block, count)
        raw = _one(lines)
        try:
            text = _text_of_header(raw)
        except Unfit as unfit:
            if not wanted.every and likely is None:
                raise
            first_fault, tried = first_fault or unfit, tried + 1
            continue
        if match := TELLS.fullmatch(text.strip(" ")):
            told = match[1]
            continue
        if not text.strip(f'" {SEPARATORS}') or text.lstrip('"').startswith(OF_POWERSHELL):
            continue
        tried += 1
        try:
            separator = told or max(SEPARATORS, key=lambda one: _likeness(text, one, wanted))
            names = split(raw, separator)
            header = Header(count + len(lines) - 1, separator, *_known(names, wanted))
        except Unfit as unfit:
            if not wanted.every and likely is None:
                raise
            first_fault = first_fault or unfit
        else:
            if wanted.every:
                return header, raw
            filled = sum(map(bool, names))
            if likely is None or filled * FULL > likely[0]:
                likely = filled, header, raw
    if likely is not None:
        return likely[1:]
    raise first_fault or _wrong(wanted)


def _text_of_header(raw: bytes) -> str:
    if b"\0" in raw[:LONGEST_LINE]:
        raise Unfit("", "not_utf8", _("The file is not text in UTF-8. Save it as CSV in UTF-8."))
    return _decoded(raw)


def _whole_header(block: Sequence[bytes], count: int) -> Sequence[bytes]:
    """Return the line with this number, and those that follow if a line break stands within its quotation marks."""
    lines = block[count - 1 : count]
    if _opens(lines[0]):
        end = next((one + 1 for one in range(count, min(count + TITLES, len(block))) if _opens(block[one])), count)
        lines = block[count - 1 : end]
    return lines


def _one(lines: Sequence[bytes]) -> bytes:
    """Return lines as one, which has the line breaks in it."""
    return lines[0] if len(lines) == 1 else b"\n".join(line.rstrip(b"\r\n") for line in lines)


def _opens(raw: bytes) -> bool:
    """Return whether a line has a quotation mark that is not closed in it, or closes one."""
    return bool(raw.count(b'"') & 1)


def _count(raw: bytes, separator: str) -> int:
    """Return how many cells a line has; 0 if it cannot be split."""
    try:
        return len(split(raw, separator))
    except Unfit:
        return 0


def split(raw: bytes, separator: str) -> list[str]:
    """Return the cells of one line, without surrounding blanks; an empty list for an empty line."""
    text = _decoded(raw)
    try:
        return [cell.strip() for row in csv.reader((text,), delimiter=separator, strict=True) for cell in row]
    except csv.Error:
        raise Unfit("", "bad_quoting", _("The quotation marks in the line do not match. Check them.")) from None


def _decoded(raw: bytes) -> str:
    if len(raw) > LONGEST_LINE:
        text = _("The line is too long. The limit is %(most)s bytes.")
        raise Unfit("", "line_too_long", text % {"most": LONGEST_LINE})
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise Unfit("", "not_utf8", _("The line is not in UTF-8. Save the file as UTF-8.")) from None


def _likeness(text: str, separator: str, wanted: Columns) -> tuple[int, int]:
    """Return how well the first line fits if this separates its cells: known columns, then cells."""
    known = set(map(values.normal, wanted.every))
    cells = text.split(separator)
    return sum(values.normal(cell.strip(' "')) in known for cell in cells), len(cells)


def _known(names: Sequence[str], wanted: Columns) -> tuple[list[str | None], list[str]]:
    """Return our column for each name, and the names that we ignore. Raises Unfit if the file cannot be meant."""
    ours = {values.normal(column): column for column in wanted.every}
    columns = [ours.get(values.normal(name)) for name in names]
    found = [column for column in columns if column]
    if twice := next((column for column in found if found.count(column) > 1), None):
        text = _("The first line names the column %(column)s twice. Keep only one of them.")
        raise Unfit("", "wrong_header", text % {"column": twice})
    absent = {} if wanted.may_resemble else {normal: one for normal, one in ours.items() if one not in found}
    for name, column in zip(names, columns, strict=True):
        if column is None and (near := get_close_matches(values.normal(name), list(absent), 1, ALIKE)):
            text = _("We do not know the column %(name)s. If it is %(column)s, write that; if not, rename it.")
            raise Unfit("", "wrong_header", text % {"name": name[:100], "column": absent[near[0]]})
    if missing := [column for column in wanted.every if column in wanted.required and column not in found]:
        raise _wrong(wanted, missing)
    unknown = [name for name, column in zip(names, columns, strict=True) if column is None]
    return columns, [name for name in unknown if name and not is_errors(name)]


def is_errors(name: str) -> bool:
    return values.normal(name) == ERRORS


def _wrong(wanted: Columns, missing: Sequence[str] = ()) -> Unfit:
    text = _("The first line must contain these column names: %(columns)s.")
    columns = missing or [column for column in wanted.every if column in wanted.required]
    return Unfit("", "wrong_header", text % {"columns": ", ".join(columns)})
