"""Days that follow from other days by steps, and the windows that facts are counted in."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Move(StrEnum):
    YEARS = "years"  #: so many years later; 29 February goes to the 28th
    MONTHS = "months"  #: so many months later, at most the month's last day
    DAYS = "days"
    DAY = "day"  #: that day of the month, at most its last
    MONTH_START = "month_start"  #: the first of the month so many months later
    MONTH_END = "month_end"  #: the last of the month so many months later


#: The moves that count, and so may be negative.
COUNTING = frozenset(Move) - {Move.DAY}


@dataclass(frozen=True, slots=True)
class Step:
    """One move by a count, or to a weekday: the `nth` of the month."""

    move: Move | None
    count: int
    weekday: int | None = None

    def take(self, day: date) -> date:
        if self.weekday is not None:
            first = (self.weekday - day.replace(day=1).weekday()) % 7 + 1
            return day.replace(day=first + 7 * (self.count - 1))
        if self.move is Move.DAYS:
            return day + timedelta(days=self.count)
        if self.move is Move.DAY:
            return _day_of(day, self.count)
        if self.move is Move.YEARS:
            return months_later(day, 12 * self.count)
        later = months_later(day, self.count)
        if self.move is Move.MONTH_START:
            return later.replace(day=1)
        return month_end(later) if self.move is Move.MONTH_END else later


def follow(steps: Iterable[Step], day: date) -> date:
    """Return the day that the steps lead to."""
    for step in steps:
        day = step.take(day)
    return day


# A page of a score asks for the same months thousands of times.


@lru_cache(4096)
def months_later(day: date, months: int) -> date:
    """Return the same day of the month so many months later, at most that month's last.

    With a negative number it is earlier, at earliest the first day of the calendar.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year < 1:
        return date.min
    return _day_of(date(year, month + 1, 1), day.day)


def months_between(first: date, last: date) -> int:
    """Return how many months later a month is, by any of their days."""
    return (last.year - first.year) * 12 + last.month - first.month


def leaves_on(counts_from: date, months: int) -> date:
    """Return the first day on which a window of so many months to the day has left a day behind."""
    day = months_later(counts_from, months)
    return day if months_later(day, -months) >= counts_from else day + timedelta(days=1)


@lru_cache(4096)
def month_end(day: date) -> date:
    return _day_of(day, 31)


def _day_of(day: date, number: int) -> date:
    return day.replace(day=min(number, monthrange(day.year, day.month)[1]))


@lru_cache(4096)
def newest_month(day: date) -> date:
    """Return the first of the newest whole month: the day's own only on its last day."""
    own = day.replace(day=1)
    return own if day == month_end(day) else months_later(own, -1)


class WindowKind(StrEnum):
    DAYS = "days"  #: the last months to the day: after the same day so many months ago
    WHOLE_MONTHS = "whole_months"  #: the last whole months
    SNAPSHOT = "snapshot"  #: the day itself
    NEWEST_MONTH = "newest_month"
    YEAR_ON_YEAR = "year_on_year"  #: the newest month, against the month so many months before
    ROLLING_DAYS = "rolling_days"  #: the last days, the day itself counted


@dataclass(frozen=True, slots=True)
class Window:
    """The days whose facts count."""

    kind: WindowKind = WindowKind.DAYS
    months: int = 12
    days: int = 0

    def span(self, day: date) -> tuple[date, date]:
        """Return the first and the last day that count, both included."""
        month = newest_month(day)
        if self.kind is WindowKind.DAYS:
            return months_later(day, -self.months) + timedelta(days=1), day
        if self.kind is WindowKind.SNAPSHOT:
            return day, day
        if self.kind is WindowKind.ROLLING_DAYS:
            return day - timedelta(days=self.days - 1), day
        if self.kind is WindowKind.WHOLE_MONTHS:
            return months_later(month, 1 - self.months), month_end(month)
        return month, month_end(month)

    def before(self, day: date) -> tuple[date, date]:
        """Return the span of the month that a year on year comparison starts from."""
        earlier = months_later(newest_month(day), -self.months)
        return earlier, month_end(earlier)
