"""Reading the files of an estate line by line. A bad line is refused with place and reason; the others are read."""

from __future__ import annotations

import csv
import re
import uuid
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import BinaryIO, NamedTuple, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

R = TypeVar("R")

LONGEST_LINE = 65_536  # bytes; the longest real line has a tenth of it
LARGEST_NUMBER = 2**31 - 1
BOM = b"\xef\xbb\xbf"

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
WHOLE = re.compile(r"\d{1,10}", re.ASCII)
MONEY = re.compile(r"\d{1,12}(\.\d{1,2})?", re.ASCII)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
#: The years of days. At both ends of the calendar there is no day before or after, in some time zone.
FIRST, LAST = "1000", "9998"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
FORMULA = ("=", "+", "-", "@")


class RowError(NamedTuple):
    """A line that was refused. `code` is stable for programs, `reason` is for people."""

    file: str
    line: int
    column: str
    code: str
    reason: str


class Unfit(Exception):
    """A line cannot be imported; `column` is empty if no single cell is at fault."""

    def __init__(self, column: str, code: str, reason: str) -> None:
        super().__init__(column, code, reason)
        self.column = column
        self.code = code
        self.reason = reason


class Cells:
    """The cells of one line by column. Each method returns the value of one cell, and raises Unfit if it is invalid."""

    __slots__ = ("_cells", "line")

    def __init__(self, line: int, cells: dict[str, str]) -> None:
        self.line = line
        self._cells = cells

    def given(self, column: str) -> str:
        """Return the text of the cell; empty means unknown."""
        return self._cells[column]

    def required(self, column: str) -> str:
        if value := self._cells[column]:
            return value
        raise Unfit(column, "missing_value", _("Enter a value."))

    def text(self, column: str, *, most: int) -> str:
        """Return a text for people: without control characters, and nothing that a spreadsheet runs as a formula."""
        value = self._cells[column]
        if len(value) > most:
            raise Unfit(column, "too_long", _("Enter %(most)s characters or fewer.") % {"most": most})
        if CONTROL.search(value):
            raise Unfit(column, "control_character", _("The value contains a control character. Remove it."))
        if value.startswith(FORMULA):
            raise Unfit(
                column,
                "formula_cell",
                _("A spreadsheet would read this value as a formula. Change its first character."),
            )
        return value

    def choice(self, column: str, allowed: Collection[str], *, default: str | None = None) -> str:
        """Return one of the allowed values; for an empty cell the default, if there is one."""
        value = self._cells[column] if default is not None else self.required(column)
        if not value and default is not None:
            return default
        if value not in allowed:
            raise Unfit(
                column, "unknown_value", _("Enter one of these values: %(values)s.") % {"values": ", ".join(allowed)}
            )
        return value

    def guid(self, column: str) -> uuid.UUID | None:
        value = self._cells[column]
        if not value:
            return None
        if not GUID.fullmatch(value):
            raise Unfit(column, "malformed_guid", _("Enter a GUID: 32 hexadecimal digits with hyphens."))
        return uuid.UUID(value)

    def required_guid(self, column: str) -> uuid.UUID:
        self.required(column)
        value = self.guid(column)
        assert value is not None
        return value

    def day(self, column: str) -> date | None:
        value = self._cells[column]
        if not value:
            return None
        try:
            if DAY.fullmatch(value) and FIRST <= value[:4] <= LAST:
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise Unfit(column, "malformed_date", _("Enter a date as year-month-day, for example 2026-03-31."))

    def required_day(self, column: str) -> date:
        self.required(column)
        value = self.day(column)
        assert value is not None
        return value

    def month(self, column: str) -> date:
        """Return the first day of a month written as year-month."""
        value = self.required(column)
        try:
            if MONTH.fullmatch(value) and FIRST <= value[:4] <= LAST:
                return date.fromisoformat(f"{value}-01")
        except ValueError:
            pass
        raise Unfit(column, "malformed_month", _("Enter a month as year-month, for example 2026-03."))

    def number(self, column: str) -> int | None:
        value = self._cells[column]
        if not value:
            return None
        if not WHOLE.fullmatch(value) or int(value) > LARGEST_NUMBER:
            raise Unfit(column, "malformed_number", _("Enter a whole number, 0 or more."))
        return int(value)

    def money(self, column: str) -> Decimal | None:
        value = self._cells[column]
        if not value:
            return None
        if not MONEY.fullmatch(value):
            raise Unfit(column, "malformed_number", _("Enter an amount of 0 or more, for example 1250.40."))
        return Decimal(value)

    def country(self, column: str) -> str:
        value = self._cells[column]
        if value and not COUNTRY.fullmatch(value):
            raise Unfit(column, "malformed_country", _("Enter a country code of two capital letters, for example SE."))
        return value

    def email(self, column: str) -> str:
        value = self.text(column, most=254)
        if value:
            try:
                validate_email(value)
            except ValidationError:
                raise Unfit(column, "malformed_email", _("Enter a valid email address.")) from None
        return value


def header_of(file: BinaryIO, columns: Collection[str]) -> list[str]:
    """Read the first line; return its names. Raises Unfit if they are not these columns."""
    names = _split(file.readline().removeprefix(BOM))
    if sorted(names) != sorted(columns):
        wanted = ",".join(columns)
        raise Unfit(
            "", "wrong_header", _("The first line must contain these column names: %(columns)s.") % {"columns": wanted}
        )
    return names


def cells_of(line: int, raw: bytes, names: Sequence[str]) -> Cells | None:
    """Return the cells of one line; None if it is empty. Raises Unfit if it cannot be read.

    A line is one row. Line breaks within quotes are not allowed, so that an open quote affects only one row.
    """
    cells = _split(raw)
    if not cells:
        return None
    if len(cells) != len(names):
        raise Unfit(
            "",
            "wrong_number_of_cells",
            _("The line has %(found)s cells, but the header has %(wanted)s.")
            % {"found": len(cells), "wanted": len(names)},
        )
    return Cells(line, dict(zip(names, cells, strict=True)))


def _split(raw: bytes) -> list[str]:
    """Return the cells of one line, without surrounding blanks; an empty list for an empty line."""
    if len(raw) > LONGEST_LINE:
        raise Unfit(
            "", "line_too_long", _("The line is too long. The limit is %(most)s bytes.") % {"most": LONGEST_LINE}
        )
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise Unfit("", "not_utf8", _("The line is not in UTF-8. Save the file as UTF-8.")) from None
    try:
        return [cell.strip() for row in csv.reader((text,), strict=True) for cell in row]
    except csv.Error:
        raise Unfit("", "bad_quoting", _("The quotation marks in the line do not match. Check them.")) from None


def parents_first(
    rows: Iterable[R], key: Callable[[R], Hashable], parent: Callable[[R], Hashable], refuse: Callable[[R], None]
) -> list[R]:
    """Return the rows in their order, but each after its parent. Call `refuse` for rows in a circle; leave them out."""
    by_key = {key(row): row for row in rows}
    ordered: list[R] = []
    settled: set[Hashable] = set()
    for start in list(by_key):
        chain: dict[Hashable, R] = {}
        at: Hashable = start
        while at in by_key and at not in settled and at not in chain:
            chain[at] = by_key[at]
            at = parent(by_key[at])
        settled |= chain.keys()
        circle = list(chain).index(at) if at in chain else len(chain)
        for row in list(chain.values())[circle:]:
            refuse(row)
        ordered += reversed(list(chain.values())[:circle])
    return ordered
