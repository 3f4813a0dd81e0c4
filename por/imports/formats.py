"""How one file writes numbers and days: which sign starts the decimals, and whether the day stands before the month.

A cell that can be read in one way only is read. Any other is read as such cells of the same file are; it is never
guessed. So the whole file is looked through, but only if it has a cell that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from por.imports import values

_TIME = r"(?:[T ]+\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AP]\.?M\.?)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.ASCII | re.IGNORECASE)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII | re.IGNORECASE)
#: 1 March 2024, 01-Mar-2024, or March 1, 2024, perhaps with the day of the week before it.
_DAY_AND_NAME = re.compile(
    rf"(?:[^\W\d]+,? )?(\d{{1,2}})(?:\.|st|nd|rd|th)?[ -]([^\W\d]{{3,}})\.?,?[ -](\d{{4}}),?{_TIME}", re.IGNORECASE
)
_NAME_AND_DAY = re.compile(
    rf"(?:[^\W\d]+, )?([^\W\d]{{3,}})\.? (\d{{1,2}})(?:st|nd|rd|th)?, (\d{{4}}),?{_TIME}", re.IGNORECASE
)
#: The names of months in English, Swedish and German. At least three letters of one are written.
_MONTHS = [
    ("january", "januari", "januar"),
    ("february", "februari", "februar"),
    ("march", "mars", "märz", "mrz"),
    ("april",),
    ("may", "maj", "mai"),
    ("june", "juni"),
    ("july", "juli"),
    ("august", "augusti"),
    ("september", "sept"),
    ("october", "oktober"),
    ("november",),
    ("december", "dezember"),
]
#: The years of days. At both ends of the calendar there is no day before or after, in some time zone.
FIRST, LAST = 1000, 9998
#: Programs that need a day write the first or the last one of their calendar for "none".
NO_START, NO_END = (1, 1, 1), 9999

#: What stands between groups of three digits without being a decimal sign anywhere.
_BLANKS = " \u00a0\u2009\u202f'\u2019"
_MINUS = str.maketrans({"\u2212": "-"})
#: As programs write very small and very large numbers: 4.1E-05.
_EXPONENT = re.compile(r"(-?\d)(?:[.,](\d+))?E([+-]?\d{1,2})", re.ASCII | re.IGNORECASE)
_EITHER_WAY = re.compile(r"-?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)


#: The encodings that may be told of a file, by the names that people know. UTF-8 and UTF-16 are never told: a file with
#: a byte order mark, and each line that is UTF-8, is read as what it is.
ENCODINGS = {
    "windows-1252": "cp1252",  # Western European
    "windows-1250": "cp1250",  # Central European
    "windows-1251": "cp1251",  # Cyrillic
    "windows-1257": "cp1257",  # Baltic
    "ibm850": "cp850",  # DOS
    "macintosh": "mac_roman",
}


class Unreadable(ValueError):
    """The text is no number, or no day."""


class Unsettled(ValueError):
    """The text can be read in two ways, and no other cell of the file tells which."""


#: What may be said about a file: the sign that starts decimals, and what comes first in 1/2/2025.
WRITTEN = {"decimals": (".", ","), "days": ("day-first", "month-first")}


class Written(NamedTuple):
    """What somebody said about a file, for cells that can be read in two ways. The file's own cells go before it."""

    decimals: str = ""
    days: str = ""


UNSAID = Written()


class Formats:
    """The formats of one file. `numbers` and `days` return the texts of all its cells of that kind."""

    def __init__(
        self, numbers: Callable[[], Iterable[str]], days: Callable[[], Iterable[str]], written: Written = UNSAID
    ) -> None:
        self._numbers = numbers
        self._days = days
        self._written = written

    def day(self, text: str) -> date | None:
        """Return the day of a date, with or without a time; None for the days that mean "none".

        The day is the one that is written, whatever time and zone follow it.
        """
        if values.is_no_day(text):
            return None
        if match := _YEAR_FIRST.fullmatch(text):
            return _day(int(match[1]), int(match[3]), int(match[4]))
        match = _YEAR_LAST.fullmatch(text)
        if match is None:
            return _named(text)
        one, other, year = int(match[1]), int(match[3]), int(match[4])
        if one > 12 and other > 12:
            raise Unreadable
        if year == NO_END or (one, other, year) == NO_START:
            return None
        is_day_first = _is_day_first(one, other)
        if is_day_first is None and one != other:
            is_day_first = self._day_comes_first
            if is_day_first is None:
                raise Unsettled
        return _day(year, other, one) if is_day_first else _day(year, one, other)

    def number(self, text: str) -> Decimal:
        """Return a number. Its decimals and groups of thousands are written in the way of the file."""
        text = text.translate(_MINUS)
        if match := _EXPONENT.fullmatch(text):
            if int(match[3]) > len(match[2] or ""):  # digits before the decimal sign are lost, as in 5.66891E+17
                raise Unreadable
            return Decimal(f"{match[1]}.{match[2] or '0'}E{match[3]}")
        sign = _decimal_sign(text)
        if sign is None:
            sign = self._sign_of_decimals
            if sign is None:
                raise Unsettled
        return _number(text, sign)

    @cached_property
    def _day_comes_first(self) -> bool | None:
        found = set()
        for text in self._days():
            if match := _YEAR_LAST.fullmatch(text):
                one, other, year = int(match[1]), int(match[3]), int(match[4])
                is_day_first = _is_day_first(one, other)
                with suppress(Unreadable):
                    _day(year, other, one) if is_day_first else _day(year, one, other)
                    found.add(is_day_first)
        found.discard(None)
        if not found and self._written.days:
            return self._written.days == "day-first"
        return found.pop() if len(found) == 1 else None

    @cached_property
    def _sign_of_decimals(self) -> str | None:
        found = set()
        for text in self._numbers():
            sign = _decimal_sign(text)
            if sign and any(mark in text for mark in ".,"):
                with suppress(Unreadable):
                    _number(text, sign)
                    found.add(sign)
        if not found and self._written.decimals:
            return self._written.decimals
        return found.pop() if len(found) == 1 else None


def _day(year: int, month: int, day: int) -> date | None:
    if year == NO_END or (year, month, day) == NO_START:
        return None
    if not FIRST <= year <= LAST:
        raise Unreadable
    try:
        return date(year, month, day)
    except ValueError:
        raise Unreadable from None


def _named(text: str) -> date | None:
    """Return the day of a date with the name of its month."""
    if match := _DAY_AND_NAME.fullmatch(text):
        day, name, year = match.groups()
    elif match := _NAME_AND_DAY.fullmatch(text):
        name, day, year = match.groups()
    else:
        raise Unreadable
    found = [month for month, names in enumerate(_MONTHS, 1) if any(one.startswith(name.casefold()) for one in names)]
    if len(found) != 1:
        raise Unreadable
    return _day(int(year), found[0], int(day))


def _is_day_first(one: int, other: int) -> bool | None:
    """Return what the two numbers before a year tell: one of them is no month. None if they do not tell."""
    if (one > 12) == (other > 12):
        return None
    return one > 12


def _decimal_sign(text: str) -> str | None:
    """Return the sign that starts the decimals in this text, or would; None if it may be either."""
    signs = [sign for sign in text if sign in ".,"]
    if not signs:
        return "."
    last, others = signs[-1], signs[:-1]
    if last in others:
        return "," if last == "." else "."  # several: it is between thousands
    if not others and _EITHER_WAY.fullmatch(text):
        return None
    return last


def _number(text: str, sign: str) -> Decimal:
    between = f"[{'.' if sign == ',' else ','}{_BLANKS}]"
    pattern = rf"(-?)(\d+|\d{{1,3}}({between})\d{{3}}(?:\3\d{{3}})*)(?:{re.escape(sign)}(\d+))?"
    match = re.fullmatch(pattern, text, re.ASCII)
    if match is None:
        raise Unreadable
    whole = re.sub(r"\D", "", match[2])
    return Decimal(f"{match[1]}{whole}.{match[4] or '0'}") if match[4] else Decimal(match[1] + whole)
