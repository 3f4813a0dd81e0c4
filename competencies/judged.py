"""What companies have reached in a programme on a day: the one computation behind what is stored and what is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from django.db.models import F
from django.db.models.functions import Coalesce

from competencies.facts import attain
from competencies.forecast import Forecast
from competencies.measures.asking import Suppose, asked_once, once
from competencies.models import Holding, Override
from competencies.programs import life_cycle_on
from competencies.results import QUALIFIED, Ahead, stored
from por.programs.judging import NO_LEVEL, Outcome
from por.programs.lifecycle import LifeCycle, Stage, StageName, Standing, stage
from por.programs.rules import Family, Program

#: A designation is held until the anniversary in its row, whatever the rules of competencies say.
_OF_DESIGNATIONS = LifeCycle(years=1, override_months=0)


def judged(
    program: Program, day: date, companies: Collection[int], suppose: Suppose | None = None
) -> dict[int, dict[str, Any]]:
    """Return by company what it had reached at the end of a day, by the rules of the day, as it is stored.

    With `suppose`, it is what would have been reached by the company that this is about.
    """
    with asked_once():
        some = tuple(companies)
        held, overrides = _holdings(program.id, day, some), _overrides(program, day, some)
        outcomes = attain(program, day, some, suppose)
        stages = {one: held.stage(program, one, outcome, day, overrides.get(one)) for one, outcome in outcomes.items()}
        # Of the same companies, although it is for some of them: what has been asked is not asked again.
        ahead = _ahead(Forecast(program, day, some, suppose), outcomes, held, stages)
    return {
        company: stored(
            program,
            outcome,
            *ahead.get(company, (stages[company], Ahead())),
            override_until=overrides[company].last_day if company in overrides else None,
        )
        for company, outcome in outcomes.items()
    }


class _Paid(NamedTuple):
    """A level that is paid for until an anniversary."""

    level: str
    anniversary: date


@dataclass(frozen=True)
class _Holdings:
    """The newest paid holding of companies in a programme; whether any file ever named one."""

    by_company: Mapping[int, _Paid]
    are_known: bool

    def stage(self, program: Program, company: int, outcome: Outcome, day: date, override: Override | None) -> Stage:
        """Return the stage of a company. A holding lasts until its anniversary, which is included.

        An override that is in force stands in for what is not met.
        """
        paid = self.by_company.get(company)
        standing = Standing(
            all_met=_all_met(program, outcome),
            started=outcome.started,
            fee_paid=paid is not None if self.are_known else None,
            anniversary_on=paid.anniversary if paid else None,
            override_on=override.begins_on if override else None,
            override_until=override.last_day if override else None,
        )
        return stage(_life_cycle(program, day), standing, day)


def _holdings(program: str, day: date, companies: tuple[int, ...]) -> _Holdings:
    """Return each company's newest paid holding. A fee that is paid later does not count yet."""
    found, are_known = once(("holdings", day, companies), lambda: _paid_by(day, companies))
    return _Holdings(found.get(program, {}), are_known)


def _paid_by(day: date, companies: tuple[int, ...]) -> tuple[dict[str, dict[int, _Paid]], bool]:
    """Return the newest paid holdings by programme and company; whether any file ever named a holding."""
    paid = (
        Holding.objects.filter(fee_paid_on__lte=day)
        .annotate(company=Coalesce(F("partner__organisation__parent"), F("partner")))
        .filter(company__in=companies)
        .order_by("anniversary_on")
        .values_list("program", "company", "level", "anniversary_on")
    )
    found: dict[str, dict[int, _Paid]] = {}
    for program, company, level, anniversary in paid:
        found.setdefault(program, {})[company] = _Paid(level, anniversary)
    return found, bool(found) or Holding.objects.exists()


def _overrides(program: Program, day: date, companies: tuple[int, ...]) -> dict[int, Override]:
    """Return by company the override of a day that holds longest. Only competencies have any."""
    if program.family is not Family.COMPETENCY:
        return {}
    return once(("overrides", day, companies), lambda: _overrides_by(day, companies)).get(program.id, {})


def _overrides_by(day: date, companies: tuple[int, ...]) -> dict[str, dict[int, Override]]:
    """Return the overrides of a day that hold longest, by programme and company."""
    found: dict[str, dict[int, Override]] = {}
    in_force = Override.objects.in_force(day).filter(company__in=companies)
    for one in sorted(in_force, key=lambda one: (one.last_day or day, one.pk)):
        found.setdefault(one.program, {})[one.company_id] = one
    return found


def _ahead(
    forecast: Forecast, outcomes: Mapping[int, Outcome], held: _Holdings, stages: Mapping[int, Stage]
) -> dict[int, tuple[Stage, Ahead]]:
    """Return what is seen ahead of the companies that have reached or paid for a level, with their stage."""
    active = {one for one, found in stages.items() if found.name is StageName.ACTIVE}
    program = forecast.program
    reached = {one: level for one, outcome in outcomes.items() if (level := _reached(program, outcome))}
    found = {}
    for company in active | reached.keys():
        stage, ahead = stages[company], Ahead()
        if company in reached:
            ahead = ahead._replace(safe_until=forecast.safe_until(company, reached[company]))
        if company in active and stage.valid_until is not None:
            level = _level_of(program, held.by_company[company])
            met = forecast.meets(company, level, stage.valid_until)
            lacking = None if met else forecast.on(company, stage.valid_until)
            ahead = ahead._replace(paid_level=level, lacking=lacking)
            stage = replace(stage, at_risk=None if met is None else not met)
        found[company] = stage, ahead
    return found


def _level_of(program: Program, paid: _Paid) -> str:
    """Return the level that is paid for; the lowest one if the programme has no such level."""
    if program.family is Family.SCORE:
        return QUALIFIED
    return paid.level if paid.level in program.levels else program.levels[0]


def _reached(program: Program, outcome: Outcome) -> str | None:
    """Return the highest level that is certainly reached."""
    if program.family is Family.SCORE:
        return QUALIFIED if outcome.qualified else None
    return outcome.level if outcome.level != NO_LEVEL else None


def _all_met(program: Program, outcome: Outcome) -> bool | None:
    """Return whether the lowest level is reached, or the score qualifies."""
    return outcome.qualified if program.family is Family.SCORE else outcome.meets(program.levels[0])


def _life_cycle(program: Program, day: date) -> LifeCycle:
    rule = life_cycle_on(day) if program.family is Family.COMPETENCY else None
    return _OF_DESIGNATIONS if rule is None else rule
