"""Dates, numbers and money as plain text, in the reader's language and time zone.

Pages use them through the tags and filters of `ui`; e-mails and documents may call them directly. Django finds the
formats of bare values and form fields in por/web/formats (FORMAT_MODULE_PATH).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal
from django.utils import timezone
from django.utils.translation import get_language, gettext, ngettext

NBSP = "\u00a0"
NONE = "–"

#: The words that a language has for a currency; other currencies are written with their code.
WORDS = {("sv", "SEK"): "kr"}


def language() -> str:
    """Return the language for numbers and dates: Swedish if it is the reader's, else English."""
    return "sv" if (get_language() or "").startswith("sv") else "en"


def local(moment: datetime, zone: tzinfo | None = None) -> datetime:
    """Return an instant in the reader's time zone; one without a time zone as it is."""
    return timezone.localtime(moment, zone) if timezone.is_aware(moment) else moment


def is_day(moment: datetime) -> bool:
    """Return whether an instant stands for a day that somebody gave: the first one of a UTC day, to the microsecond.

    No act has such an instant.
    """
    return timezone.is_aware(moment) and moment.astimezone(UTC).time() == time.min


def day_of(value: date | datetime, zone: tzinfo | None = None) -> date:
    """Return the reader's day of an instant. A day, and an instant that stands for one, is that day for everyone.

    `zone` is the reader's time zone, for those who have looked it up for many instants.
    """
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC).date() if is_day(value) else local(value, zone).date()


def start_of_day(day: date) -> datetime:
    """Return the first instant of a day of the reader's; at the ends of the calendar, of that UTC day."""
    start = datetime.combine(day, time.min)
    try:
        return timezone.make_aware(start).astimezone(UTC)
    except OverflowError:
        return start.replace(tzinfo=UTC)


def day_text(value: date | datetime | None, *, weekday: bool = False) -> str:
    """Return a day: 22 Nov 2026 · 22 nov. 2026; with the weekday, Sun 22 Nov 2026 · sön 22 nov. 2026."""
    if value is None:
        return NONE
    return _date(day_of(value), "EEE d MMM y" if weekday else "d MMM y", language())


def moment_text(value: datetime | None, *, zone: bool = False) -> str:
    """Return an instant: 22 Nov 2026, 14:02 · 22 nov. 2026 kl. 14:02; with `zone`, the zone too.

    One that stands for a day is shown as that day.
    """
    if value is None:
        return NONE
    if is_day(value):
        return day_text(value)
    value = local(value)
    text = f"{_date(value.date(), 'd MMM y', language())}{' kl. ' if language() == 'sv' else ', '}{value:%H:%M}"
    return f"{text} ({value.tzname()})" if zone else text


class Deadline(NamedTuple):
    """The last day for something in the customer's time zone, and the instant at which it ends there."""

    day: date
    ends_at: datetime


def last_utc_day(moment: datetime) -> Deadline:
    """Return the deadline that was kept as an instant alone: it is said as the UTC day before, to every reader."""
    day = (moment - timedelta(microseconds=1)).astimezone(UTC).date()
    return Deadline(day, start_of_day(day + timedelta(days=1)))


def deadline_text(value: Deadline) -> str:
    """Return a last day: Friday 11 December · fredag 11 december; with the year if it is not this year's.

    Where the reader's day ends at another instant, it says whose day it is.
    """
    this_year = value.day.year == timezone.localdate().year
    text = _date(value.day, "EEEE d MMMM" if this_year else "EEEE d MMMM y", language())
    if value.ends_at == start_of_day(value.day + timedelta(days=1)):
        return text
    return gettext("%(day)s (customer’s time zone)") % {"day": text}


def month_text(value: date, *, year: bool = True) -> str:
    """Return a month: Nov 2026 · nov. 2026; without `year`, the month alone."""
    return _date(value, "LLL y" if year else "LLL", language())


def number_text(value: int | float | Decimal | None, decimals: int = 0) -> str:
    """Return a number: 18,420 · 18 420 (with a no-break space)."""
    if value is None:
        return NONE
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return _number(value, pattern, language())


# A page shows the same days and numbers many times, and formatting one takes a tenth of a millisecond.


@lru_cache(4096)
def _date(value: date, pattern: str, language: str) -> str:
    return format_date(value, pattern, locale=language)


@lru_cache(4096)
def _number(value: int | float | Decimal, pattern: str, language: str) -> str:
    return format_decimal(value, pattern, locale=language)


def money_text(amount: int | Decimal | None, currency: str) -> str:
    """Return an amount: SEK 412,600 · 412 600 kr. The fraction is left out only if it is zero."""
    if amount is None:
        return NONE
    figure = number_text(amount, 0 if amount == int(amount) else 2)
    if language() == "sv":
        return f"{figure}{NBSP}{WORDS.get(('sv', currency), currency)}"
    return f"{currency}{NBSP}{figure}"


def percent_text(part: int | Decimal | None, whole: int | Decimal | None) -> str:
    """Return a share in whole percent: 86% · 86 %; a dash if there is no whole."""
    if part is None or not whole:
        return NONE
    figure = number_text(round(Decimal(part) * 100 / Decimal(whole)))
    return f"{figure}{NBSP}%" if language() == "sv" else f"{figure}%"


def country_text(code: str) -> str:
    """Return the name of a country: Sweden · Sverige for SE; an unknown code as it is."""
    return _country(code, language())


@lru_cache(512)
def _country(code: str, language: str) -> str:
    return str(Locale(language).territories.get(code, code))


def days_left_text(value: date | None, within: int = 90) -> str:
    """Return "in 39 days" for a day that is at most this many days ahead; an empty text for any other."""
    left = (value - timezone.localdate()).days if value else -1
    if not 0 <= left <= within:
        return ""
    if left == 0:
        return gettext("today")
    return ngettext("in %(count)s day", "in %(count)s days", left) % {"count": left}
