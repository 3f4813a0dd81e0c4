"""Dated policies: the figures in force on a day, read from policies.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from por.directory.rules import Agreement
from por.programs.calendars import months_later
from por.programs.policies import DatedPolicies, business_day_after


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
        return business_day_after(day, count, self.holidays)


POLICIES = DatedPolicies(Path(__file__).parents[1] / "policies.yaml", Policy)


def policy_on(day: date) -> Policy:
    """Return the policy in force on a day; before the first one, that one."""
    return POLICIES.on(day)


def digital_only(agreement: str, started_on: date) -> bool:
    """Return whether a subscription is of a deal that can only have a digital partner of record, no legacy form."""
    return agreement == Agreement.EA and policy_on(started_on).new_ea_deals_digital_only


def digital_only_from() -> date:
    """Return the first day from which deals are digital only; `date.max` if no policy has that."""
    return min(
        (start for start, policy in POLICIES.by_start.items() if policy.new_ea_deals_digital_only), default=date.max
    )


def forms_earn_nothing_since(day: date) -> date | None:
    """Return since when a legacy form earns nothing, as of a day; None while it still earns."""
    since = None
    for start, policy in POLICIES.by_start.items():
        if start <= day:
            since = None if policy.legacy_form_earns else since or start
    return since


def months_before(day: date, months: int) -> date:
    """Return the same day this many calendar months earlier, or the last day of a month that has no such day.

    It is at earliest the first day of the calendar.
    """
    return months_later(day, -months)
