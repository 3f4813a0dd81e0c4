"""Reading the cells of one line. A bad line is refused with place and reason; the others are read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from por import names
from por.errors import Refused
from por.imports import values
from por.imports.formats import Formats, Unreadable, Unsettled

R = TypeVar("R")

LARGEST_NUMBER = 2**31 - 1
#: The longest amount: none of a real file has half of these digits.
MOST_DIGITS, MOST_DECIMALS = 12, 18

MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: A spreadsheet runs a text that begins with one of these. Names may begin with + or @; our own CSV files mask them.
FORMULA = ("=", "-")


class RowError(NamedTuple):
    """A fault of a line that was refused. `code` is stable for programs, `reason` is for people."""

    file: str
    line: int
    column: str
    code: str
    reason: str
    value: str = ""


class Unfit(Exception):
    """A line cannot be imported; `column` is empty if no single cell is at fault."""

    def __init__(self, column: str, code: str, reason: str, value: str = "") -> None:
        super().__init__(column, code, reason)
        self.column = column
        self.code = code
        self.reason = reason
        self.value = value


class Cells:
    """The cells of one line by column. Each method returns the value of one cell, and raises Unfit if it is invalid.

    A column that the file does not have is like an empty cell; `has` tells the two apart.
    """

    __slots__ = ("_cells", "_formats", "line")

    def __init__(self, line: int, cells: Mapping[str, str], formats: Formats) -> None:
        self.line = line
        self._cells = cells
        self._formats = formats

    def has(self, column: str) -> bool:
        return column in self._cells

    def written(self, column: str) -> str:
        """Return the cell as it is written."""
        return self._cells.get(column, "")

    def refuse(self, column: str, code: str, reason: str) -> str:
        """Refuse the value of a cell that was read in a way of its own."""
        raise Unfit(column, code, reason)

    def given(self, column: str) -> str:
        """Return the cell without invisible characters; empty means unknown, and so do words such as NULL."""
        value = visible(self._cells.get(column, ""))
        return "" if values.is_empty(value) else value

    def required(self, column: str) -> str:
        if value := self.given(column):
            return value
        raise missing(column)

    def name(self, column: str, *, most: int) -> str:
        """Return the text of a cell that needs one; a name may be a word such as None."""
        if value := self._text(column, self._cells.get(column, ""), most):
            return value
        raise missing(column)

    def text(self, column: str, *, most: int) -> str:
        return self._text(column, self.given(column) and self._cells[column], most)

    def _text(self, column: str, value: str, most: int) -> str:
        """Return a text for people: nothing that hides in it, and nothing that a spreadsheet runs as a formula."""
        try:
            value = names.clean(value)
        except Refused as refused:
            raise Unfit(column, "direction_mark", str(refused)) from None
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

    def choice(self, column: str, allowed: Collection[str], *, words: str = "", default: str | None = None) -> str:
        """Return one of the allowed values; for an empty cell the default, if there is one.

        `words` names the table in values.yaml of the words that other programs write for them.
        """
        value = visible(self._cells.get(column, ""))
        if value in allowed:
            return value
        if values.is_empty(value):
            if default is None:
                raise missing(column)
            return default
        word = values.meaning(words, value, allowed)
        if word is not None and word.is_sure and word.value in allowed:
            return word.value
        given = {"value": value[:100], "values": ", ".join(allowed), "likely": word.value if word else ""}
        if word is None:
            raise Unfit(column, "unknown_value", _("Enter one of these values: %(values)s.") % given)
        if not word.value:
            text = _("“%(value)s” is none of our values. Enter one of these values: %(values)s.")
            raise Unfit(column, "unknown_value", text % given)
        text = _(
            "“%(value)s” does not always mean the same. If it means %(likely)s, enter that. The values: %(values)s."
        )
        raise Unfit(column, "unknown_value", text % given)

    def yes_or_no(self, column: str) -> bool:
        return self.choice(column, ("0", "1"), words="boolean") == "1"

    def guid(self, column: str) -> uuid.UUID | None:
        """Return a GUID, written with or without hyphens and braces. The GUID of zeros means "none"."""
        value = self.given(column)
        if not value:
            return None
        found = guid_of(value)
        if found is None:
            raise Unfit(column, "malformed_guid", _("Enter a GUID: 32 hexadecimal digits with hyphens."))
        return found if found.int else None

    def required_guid(self, column: str) -> uuid.UUID:
        self.required(column)
        value = self.guid(column)
        if value is None:
            raise missing(column)
        return value

    def day(self, column: str) -> date | None:
        value = self.given(column)
        if not value:
            return None
        try:
            return self._formats.day(value)
        except Unreadable:
            pass
        except Unsettled:
            text = _(
                "“%(value)s” can mean two days, and the other dates in this file do not tell which. Write it as "
                "year-month-day."
            )
            raise Unfit(column, "malformed_date", text % {"value": value[:100]}) from None
        raise Unfit(column, "malformed_date", _("Enter a date as year-month-day, for example 2026-03-31."))

    def required_day(self, column: str) -> date:
        self.required(column)
        value = self.day(column)
        if value is None:
            raise missing(column)
        return value

    def month(self, column: str) -> date:
        """Return the first day of a month written as year-month, or as its first day."""
        value = self.required(column)
        try:
            day = self._formats.day(f"{value}-01" if MONTH.fullmatch(value) else value)
        except Unreadable:
            day = None
        except Unsettled:
            text = _(
                "“%(value)s” can mean two days, and the other dates in this file do not tell which. Write it as "
                "year-month-day."
            )
            raise Unfit(column, "malformed_month", text % {"value": value[:100]}) from None
        if day is None or day.day != 1:
            raise Unfit(column, "malformed_month", _("Enter a month as year-month, for example 2026-03."))
        return day

    def number(self, column: str) -> int | None:
        value = self._number(column, _("Enter a whole number, 0 or more."))
        if value is None:
            return None
        if value != int(value) or not 0 <= value <= LARGEST_NUMBER:
            raise Unfit(column, "malformed_number", _("Enter a whole number, 0 or more."))
        return int(value)

    def money(self, column: str) -> Decimal | None:
        """Return an amount with all its decimals; below 0 for a credit."""
        what = _("Enter an amount, for example 1250.40.")
        value = self._number(column, what)
        if value is None:
            return None
        _sign, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)  # it is finite
        if len(digits) + exponent > MOST_DIGITS or -exponent > MOST_DECIMALS:
            text = _("Enter an amount with at most %(whole)s digits and %(decimals)s decimals.")
            given = {"whole": MOST_DIGITS, "decimals": MOST_DECIMALS}
            raise Unfit(column, "malformed_number", text % given)
        return value

    def required_money(self, column: str) -> Decimal:
        self.required(column)
        value = self.money(column)
        if value is None:
            raise missing(column)
        return value

    def currency(self, column: str) -> str:
        """Return the code of a currency in capital letters."""
        code = self.required(column).upper()
        if code not in values.currencies():
            text = _("Enter the code of a currency, three letters, for example EUR.")
            raise Unfit(column, "malformed_currency", text)
        return code

    def _number(self, column: str, what: str) -> Decimal | None:
        value = self.given(column)
        if not value:
            return None
        try:
            return self._formats.number(value)
        except Unreadable:
            raise Unfit(column, "malformed_number", what) from None
        except Unsettled:
            text = _(
                "“%(value)s” can be read in two ways, and the other numbers in this file do not tell which. Write it "
                "without a sign between thousands, and decimals as in 1250.40."
            )
            raise Unfit(column, "malformed_number", text % {"value": value[:100]}) from None

    def country(self, column: str) -> str:
        value = visible(self._cells.get(column, ""))
        if COUNTRY.fullmatch(value) or values.is_empty(value):
            return value if COUNTRY.fullmatch(value) else ""
        word = values.meaning("market", value, ())
        if word is None or not word.is_sure:
            raise Unfit(column, "malformed_country", _("Enter a country code of two capital letters, for example SE."))
        return word.value

    def email(self, column: str) -> str:
        value = self.text(column, most=254)
        if value:
            try:
                validate_email(value)
            except ValidationError:
                raise Unfit(column, "malformed_email", _("Enter a valid email address.")) from None
        return value


#: What stands in for a cell that has a fault, by the method that was asked for it.
STAND_INS = {
    **dict.fromkeys(("refuse", "given", "required", "name", "text", "choice", "country", "currency", "email"), ""),
    "yes_or_no": False,
    "required_guid": uuid.UUID(int=0),
    **dict.fromkeys(("required_day", "month"), date(2000, 1, 1)),
}
LONGEST_VALUE = 200  # characters of a value that a report shows


class FaultFinder:
    """The cells of a line that was refused, read on: each fault is kept, and something stands in for its cell."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self.line = cells.line
        self.has = cells.has
        self.faults: dict[str, Unfit] = {}

    def __getattr__(self, method: str) -> Callable[..., Any]:
        read = getattr(self._cells, method)

        def tried(column: str, *given: Any, **more: Any) -> Any:
            try:
                return read(column, *given, **more)
            except Unfit as fault:
                fault.value = self._cells.written(column)[:LONGEST_VALUE]
                self.faults.setdefault(column, fault)
                return STAND_INS.get(method)

        return tried


def faults_of(cells: Cells, parse: Callable[[Any], Any]) -> list[Unfit]:
    """Return all faults of a line that `parse` refuses: of its cells, or else the one between its cells."""
    finder = FaultFinder(cells)
    try:
        parse(finder)
    except Unfit as unfit:
        if not finder.faults:
            unfit.value = cells.written(unfit.column)[:LONGEST_VALUE]
            return [unfit]
    return list(finder.faults.values())


def guid_of(text: str) -> uuid.UUID | None:
    """Return the GUID that a text is, with or without hyphens and braces; None if it is none."""
    bare = text[1:-1] if text[:1] + text[-1:] in ("{}", "()") else text
    return uuid.UUID(bare) if GUID.fullmatch(bare) else None


def visible(text: str) -> str:
    """Return the text without characters that nobody sees, for values that are no names."""
    return text if text.isascii() else names.DIRECTION.sub("", names.NO_WIDTH.sub("", text)).strip()


def missing(column: str) -> Unfit:
    """Return the refusal of an empty cell that needs a value."""
    return Unfit(column, "missing_value", _("Enter a value."))


def parents_first(rows: Iterable[R], key: Callable[[R], Hashable], parent: Callable[[R], Hashable]) -> list[R]:
    """Return the rows in their order, but each after its parent. Rows in a circle come last."""
    ordered, circles = split_circles(rows, key, parent)
    return ordered + circles


def split_circles(
    rows: Iterable[R], key: Callable[[R], Hashable], parent: Callable[[R], Hashable]
) -> tuple[list[R], list[R]]:
    """Return the rows in their order, but each after its parent, and apart from them those in a circle."""
    by_key = {key(row): row for row in rows}
    ordered: list[R] = []
    circles: list[R] = []
    settled: set[Hashable] = set()
    for start in list(by_key):
        chain: dict[Hashable, R] = {}
        at: Hashable = start
        while at in by_key and at not in settled and at not in chain:
            chain[at] = by_key[at]
            at = parent(by_key[at])
        settled |= chain.keys()
        circle = list(chain).index(at) if at in chain else len(chain)
        circles += list(chain.values())[circle:]
        ordered += reversed(list(chain.values())[:circle])
    return ordered, circles
