"""How dates, numbers and money are written for the reader: in their language and time zone, as plain text.

Pages reach these through the tags and filters of `ui`; e-mails and documents may call them directly. Django finds
the formats of bare values and form fields in the packages beside this file (FORMAT_MODULE_PATH).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from django.utils import timezone
from django.utils.translation import get_language, gettext, ngettext

NBSP = "\u00a0"
NONE = "–"

#: The currency's own word where the language has one; other currencies are written with their code.
WORDS = {("sv", "SEK"): "kr"}


def language() -> str:
    """The language numbers and dates are written in: Swedish if the reader's is, else English."""
    return "sv" if (get_language() or "").startswith("sv") else "en"


def local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def day_text(value: date | datetime | None, *, weekday: bool = False) -> str:
    """22 Nov 2026 · 22 nov. 2026; with the weekday, Sun 22 Nov 2026 · sön 22 nov. 2026."""
    if value is None:
        return NONE
    if isinstance(value, datetime):
        value = local(value).date()
    return _date(value, "EEE d MMM y" if weekday else "d MMM y", language())


def moment_text(value: datetime | None, *, zone: bool = False) -> str:
    """22 Nov 2026, 14:02 · 22 nov. 2026 kl. 14:02; with the zone's name where a deadline depends on it."""
    if value is None:
        return NONE
    value = local(value)
    pattern = "d MMM y 'kl.' HH:mm" if language() == "sv" else "d MMM y, HH:mm"
    text = format_datetime(value, pattern, locale=language())
    return f"{text} ({value.tzname()})" if zone else text


def month_text(value: date, *, year: bool = True) -> str:
    """Nov 2026 · nov. 2026, or the month alone."""
    return _date(value, "LLL y" if year else "LLL", language())


def number_text(value: int | float | Decimal | None, decimals: int = 0) -> str:
    """18,420 · 18 420 (the space does not break)."""
    if value is None:
        return NONE
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return _number(value, pattern, language())


# A page says the same days and figures many times, and finding the words of one takes a tenth of a millisecond.


@lru_cache(4096)
def _date(value: date, pattern: str, language: str) -> str:
    return format_date(value, pattern, locale=language)


@lru_cache(4096)
def _number(value: int | float | Decimal, pattern: str, language: str) -> str:
    return format_decimal(value, pattern, locale=language)


def money_text(amount: int | Decimal | None, currency: str) -> str:
    """SEK 412,600 · 412 600 kr. The fraction is left out only where it is nought."""
    if amount is None:
        return NONE
    figure = number_text(amount, 0 if amount == int(amount) else 2)
    if language() == "sv":
        return f"{figure}{NBSP}{WORDS.get(('sv', currency), currency)}"
    return f"{currency}{NBSP}{figure}"


def percent_text(part: int | Decimal | None, whole: int | Decimal | None) -> str:
    """86% · 86 %; a dash where there is nothing to be a part of."""
    if part is None or not whole:
        return NONE
    figure = number_text(round(Decimal(part) * 100 / Decimal(whole)))
    return f"{figure}{NBSP}%" if language() == "sv" else f"{figure}%"


def country_text(code: str) -> str:
    """Sweden · Sverige for SE; the code itself where it is none."""
    return str(Locale(language()).territories.get(code, code))


def days_left_text(value: date | None, within: int = 90) -> str:
    """In 39 days, for a day to come that is no further off than that; nothing for any other."""
    left = (value - timezone.now().date()).days if value else -1
    if not 0 <= left <= within:
        return ""
    if left == 0:
        return gettext("today")
    return ngettext("in %(count)s day", "in %(count)s days", left) % {"count": left}
