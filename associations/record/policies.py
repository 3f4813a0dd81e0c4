"""Dated policies: the figures in force on a day, read from policies.yaml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from por.directory.rules import Agreement

POLICIES = Path(__file__).parents[1] / "policies.yaml"


@dataclass(frozen=True)
class Policy:
    """The figures in force from a day on. policies.yaml names the source of each."""

    undo_within_minutes: int
    back_dating_months: int
    holidays: tuple[date, ...]
    change_request_business_days: int
    change_request_reminders: tuple[int, ...]
    invitation_days: int
    automatic_attach_days: int
    renewal_notice_days: tuple[int, ...]
    renewal_notice_grace_days: int
    replacement_days: int
    predecessor_days: int
    predecessor_seats_percent: int
    carries_over: tuple[str, ...]
    reopen_from_file_days: int
    legacy_form_deadline: date
    legacy_form_earns: bool
    new_ea_deals_digital_only: bool
    legacy_form_reminder_days: tuple[int, ...]

    @property
    def undo_within(self) -> timedelta:
        return timedelta(minutes=self.undo_within_minutes)

    @property
    def reopen_from_file(self) -> timedelta:
        return timedelta(days=self.reopen_from_file_days)

    def answer_by(self, day: date) -> date:
        """Return the last day on which a change request that is opened on this day can be answered."""
        return self.business_day_after(day, self.change_request_business_days)

    def business_day_after(self, day: date, count: int) -> date:
        """Return the day that is `count` business days later: Monday to Friday without holidays."""
        while count:
            day += timedelta(days=1)
            if day.weekday() < SATURDAY and day not in self.holidays:
                count -= 1
        return day


SATURDAY = 5


#: What a figure of a policy may be, by the type it has in the table above.
_READ: dict[str, Callable[[Any], Any]] = {
    "int": lambda value: _of(int, value),
    "bool": lambda value: _of(bool, value),
    "date": lambda value: _of(date, value),
    "tuple[int, ...]": lambda value: tuple(_of(int, one) for one in _of(list, value)),
    "tuple[str, ...]": lambda value: tuple(_of(str, one) for one in _of(list, value)),
    "tuple[date, ...]": lambda value: tuple(_of(date, one) for one in _of(list, value)),
}


def _of(wanted: type, value: Any) -> Any:
    if type(value) is not wanted:  # a bool is an int, and a datetime a date, to isinstance
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value


@cache
def policies() -> dict[date, Policy]:
    """Return all policies by the day each begins, oldest first. Raises ValueError that names the entry and key."""
    loaded: list[dict[str, Any]] = yaml.safe_load(POLICIES.read_text(encoding="utf-8"))
    found: dict[date, Policy] = {}
    figures: dict[str, Any] = {}
    types = {field.name: str(field.type) for field in fields(Policy)}
    for number, entry in enumerate(loaded, 1):
        where = f"{POLICIES.name}: entry {number}"
        start = entry.pop("valid_from", None)
        if type(start) is not date or any(start <= earlier for earlier in found):
            raise ValueError(f"{where}: valid_from is no day after that of the entry before")
        for name, value in entry.items():
            if name not in types:
                raise ValueError(f"{where}: {name} is no figure of a policy")
            try:
                figures[name] = _READ[types[name]](value)
            except TypeError as error:
                raise ValueError(f"{where}: {name}: {error}") from error
        if missing := types.keys() - figures.keys():
            raise ValueError(f"{where}: {min(missing)} is missing")
        found[start] = Policy(**figures)
    return found


def policy_on(day: date) -> Policy:
    """Return the policy in force on a day; before the first one, that one."""
    known = policies()
    return known[max((start for start in known if start <= day), default=min(known))]


def digital_only(agreement: str, started_on: date) -> bool:
    """Return whether a subscription is of a deal that can only have a digital partner of record, no legacy form."""
    return agreement == Agreement.EA and policy_on(started_on).new_ea_deals_digital_only


def digital_only_from() -> date:
    """Return the first day from which deals are digital only; `date.max` if no policy has that."""
    return min((start for start, policy in policies().items() if policy.new_ea_deals_digital_only), default=date.max)


def forms_earn_nothing_since(day: date) -> date | None:
    """Return since when a legacy form earns nothing, as of a day; None while it still earns."""
    since = None
    for start, policy in policies().items():
        if start <= day:
            since = None if policy.legacy_form_earns else since or start
    return since


def months_before(day: date, months: int) -> date:
    """Return the same day this many calendar months earlier, or the last day of a month that has no such day.

    It is at earliest the first day of the calendar.
    """
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    month += 1
    if year < 1:
        return date.min
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
