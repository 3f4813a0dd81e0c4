"""The stages of a competency: started, qualified, active, lost, and when it is at risk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from por.programs.calendars import months_later


class StageName(StrEnum):
    NONE = "none"
    STARTED = "started"  #: a metric is above 0
    QUALIFIED = "qualified"  #: everything is met, and the fee is not paid
    ACTIVE = "active"  #: paid, until the anniversary
    LOST = "lost"  #: not met again at the anniversary


@dataclass(frozen=True, slots=True)
class Extension:
    """Anniversaries of these days are so many years later."""

    begins: date
    ends: date
    years: int


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """How long a paid competency holds, which anniversaries were moved, and how long an override holds."""

    years: int
    override_months: int
    extensions: tuple[Extension, ...] = ()

    def anniversary(self, paid_on: date) -> date:
        """Return the anniversary of a payment, as extended."""
        return self.extended(months_later(paid_on, 12 * self.years))

    def extended(self, anniversary: date) -> date:
        for one in self.extensions:
            if one.begins <= anniversary <= one.ends:
                return months_later(anniversary, 12 * one.years)
        return anniversary

    def override_until(self, granted_on: date) -> date:
        """Return the last day of an override by the vendor's staff."""
        return months_later(granted_on, self.override_months)


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides the stage on a day. None is not known.

    `forecast_below` is whether something that is measured will be too little at the anniversary. `anniversary_on` is as
    held, before any extension. `override_on` is the day on which an override was granted, and `override_until` its last
    day, if that is not the one of the rule.
    """

    all_met: bool | None = None
    started: bool | None = None
    fee_paid: bool | None = None
    forecast_below: bool | None = None
    anniversary_on: date | None = None
    override_on: date | None = None
    override_until: date | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage; None if it is undetermined. `at_risk` is about an active one only."""

    name: StageName | None
    at_risk: bool | None = None
    valid_until: date | None = None


def stage(rule: LifeCycle, standing: Standing, day: date) -> Stage:
    """Return the stage on a day. A paid year lasts until the anniversary even if something is no longer met."""
    until = rule.extended(standing.anniversary_on) if standing.anniversary_on is not None else None
    met = _met(rule, standing, day)
    if standing.fee_paid is None and until is None and met is not False:
        return Stage(None)
    if standing.fee_paid is not False and (standing.fee_paid or until is not None):
        if until is None or day <= until:
            return Stage(StageName.ACTIVE, _at_risk(rule, standing, until), until)
        if met is not True:
            return Stage(StageName.LOST if met is False else None, valid_until=until)
    if met:
        return Stage(StageName.QUALIFIED)
    started = None if met is None else standing.started
    if met is None:
        return Stage(None)
    return Stage(None if started is None else StageName.STARTED if started else StageName.NONE)


def _met(rule: LifeCycle, standing: Standing, day: date) -> bool | None:
    """Return whether everything is met, or an override of the vendor's staff stands in for it."""
    return True if _is_overridden(rule, standing, day) else standing.all_met


def _at_risk(rule: LifeCycle, standing: Standing, until: date | None) -> bool | None:
    """Return whether too little will be met at the anniversary. An override that holds on that day stands in for it."""
    if until is not None and _is_overridden(rule, standing, until):
        return False
    return standing.forecast_below


def _is_overridden(rule: LifeCycle, standing: Standing, day: date) -> bool:
    granted = standing.override_on
    return granted is not None and granted <= day <= (standing.override_until or rule.override_until(granted))
