"""Dated policies: figures that change with time, read from a YAML file into a dataclass.

Each entry of the file applies from its day on and says only what changes. The types of the dataclass say how a figure
is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import yaml

#: The key of an entry with the day it applies from.
START = "valid_from"
SATURDAY = 5


def business_day_after(day: date, count: int, holidays: Collection[date] = ()) -> date:
    """Return the day that is `count` business days later: Monday to Friday without holidays."""
    while count:
        day += timedelta(days=1)
        if day.weekday() < SATURDAY and day not in holidays:
            count -= 1
    return day


@dataclass(frozen=True)
class Term:
    """How long something may take: written "7 days" or "5 business days"."""

    days: int
    business: bool = False

    def end(self, begins: datetime, zone: ZoneInfo, holidays: Collection[date] = ()) -> datetime:
        """Return when the term ends. A day is 24 hours; business days are those of the zone, and end with the last."""
        if not self.business:
            return begins + timedelta(days=self.days)
        last = business_day_after(begins.astimezone(zone).date(), self.days, holidays)
        return datetime.combine(last + timedelta(days=1), time.min, zone).astimezone(UTC)


P = TypeVar("P")


class DatedPolicies(Generic[P]):
    """The policies in a file, each in force from its day until that of the next one."""

    def __init__(self, file: Path, form: type[P]) -> None:
        """Read all policies, oldest first. Raises ValueError that names the file, the entry and the key."""
        self.by_start: dict[date, P] = {}
        types = get_type_hints(form)
        names = {field.name for field in fields(form)}  # type: ignore[arg-type]  # it is a dataclass
        figures: dict[str, Any] = {}
        for number, entry in enumerate(yaml.safe_load(file.read_text(encoding="utf-8")), 1):
            where = f"{file.name}: entry {number}"
            if unknown := entry.keys() - names - {START}:
                raise ValueError(f"{where}: {min(unknown)} is no figure of a policy")
            read: dict[str, Any] = {}
            for name, value in entry.items():
                try:
                    read[name] = figure(types.get(name, date), value)
                except ValueError as error:
                    raise ValueError(f"{where}: {name}: {error}") from error
            figures |= read
            if missing := {START, *names} - figures.keys():
                raise ValueError(f"{where}: {min(missing)} is missing")
            start = figures.pop(START)
            if any(start <= earlier for earlier in self.by_start):
                raise ValueError(f"{where}: {START} is no day after that of the entry before")
            self.by_start[start] = form(**figures)

    def on(self, day: date) -> P:
        """Return the policy in force on a day; before the first one, that one."""
        known = self.by_start
        return known[max((start for start in known if start <= day), default=min(known))]


def figure(wanted: Any, value: Any) -> Any:
    """Return a figure of the wanted type from what YAML has. Raises ValueError."""
    if get_origin(wanted) is UnionType:  # X | None
        (kind,) = set(get_args(wanted)) - {NoneType}
        return None if value is None else figure(kind, value)
    if get_origin(wanted) is tuple:
        return tuple(figure(get_args(wanted)[0], one) for one in _plain(list, value))
    if wanted is Term:
        return _term(_plain(str, value))
    if wanted is Decimal:
        return _decimal(_plain(str, value))
    if issubclass(wanted, Enum):
        return wanted(_plain(str, value))
    return _plain(wanted, value)


def _plain(wanted: type, value: Any) -> Any:
    if type(value) is not wanted:  # a bool is an int, and a datetime a date, to isinstance
        raise ValueError(f"{value!r} is no {wanted.__name__}")
    return value


def _term(text: str) -> Term:
    written = re.fullmatch(r"([1-9][0-9]*) (business )?days?", text)
    if written is None:
        raise ValueError(f'{text!r} is no term such as "7 days" or "5 business days"')
    return Term(int(written[1]), business=written[2] is not None)


def _decimal(text: str) -> Decimal:
    """Return a decimal figure. It is written in quotes, because YAML reads 0.02 as a number that is not exact."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite():
        raise ValueError(f"{text!r} is no decimal figure")
    return exact
