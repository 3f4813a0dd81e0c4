"""What companies have reached in a programme on a day: the one computation behind what is stored and what is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from competencies.facts import attain
from competencies.forecast import Forecast
from competencies.measures.asking import Suppose, asked_once, once
from competencies.models import Holding, Override
from competencies.programs import life_cycle_on
from competencies.results import QUALIFIED, Ahead, stored
from por.directory.queries import partners_of
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
        held = _held(program, day, some)
        outcomes = attain(program, day, some, suppose)
        stages = {one: held.stage(one, outcome) for one, outcome in outcomes.items()}
        # Of the same companies, although it is for some of them: what has been asked is not asked again.
        ahead = _ahead(Forecast(program, day, some, suppose), outcomes, held, stages)
    found = {}
    for company, outcome in outcomes.items():
        stage, seen = ahead.get(company, (stages[company], Ahead()))
        override = held.override(company)
        found[company] = stored(program, outcome, stage, seen, override_until=override.last_day if override else None)
    return found


class _Paid(NamedTuple):
    """A level that is paid for until an anniversary."""

    level: str
    anniversary: date


@dataclass(frozen=True)
class _Held:
    """What companies hold of a programme on a day: the newest paid level, and overrides, the longest last.

    `are_known` says whether any file ever named a holding.
    """

    program: Program
    day: date
    paid: Mapping[int, _Paid]
    are_known: bool
    overrides: Mapping[int, Sequence[Override]]

    def level(self, company: int) -> str:
        """Return the level that is paid for; the lowest one if the programme has no such level."""
        if self.program.family is Family.SCORE:
            return QUALIFIED
        level = self.paid[company].level
        return level if level in self.program.levels else self.program.levels[0]

    def override(self, company: int, *, of: str | None = None) -> Override | None:
        """Return the override that holds longest. With a level, it is one of that level or of a higher one."""
        levels = self.program.at_least(of) if of else self.program.levels
        return next((one for one in reversed(self.overrides.get(company, ())) if one.level in levels), None)

    def stage(self, company: int, outcome: Outcome) -> Stage:
        """Return the stage of a company. An override of any level stands in for what is not met."""
        return self._stage(company, outcome, self.override(company), None)

    def stage_with(self, company: int, outcome: Outcome, met: bool | None) -> Stage:
        """Return the stage of a company that has paid, if its level is met at the anniversary; None is not known.

        An override stands in for the level that it is of, and for those below.
        """
        of = None if self.program.family is Family.SCORE else self.level(company)
        return self._stage(company, outcome, self.override(company, of=of), None if met is None else not met)

    def _stage(self, company: int, outcome: Outcome, override: Override | None, below: bool | None) -> Stage:
        """Return the stage. A holding lasts until its anniversary, which is included."""
        paid = self.paid.get(company)
        standing = Standing(
            all_met=_all_met(self.program, outcome),
            started=outcome.started,
            fee_paid=paid is not None if self.are_known else None,
            forecast_below=below,
            anniversary_on=paid.anniversary if paid else None,
            override_on=override.begins_on if override else None,
            override_until=override.last_day if override else None,
        )
        return stage(_life_cycle(self.program, self.day), standing, self.day)


def _held(program: Program, day: date, companies: tuple[int, ...]) -> _Held:
    """Return what companies hold of a programme on a day. A fee that is paid later does not count yet."""
    paid, are_known = once(("holdings", day, companies), lambda: _paid_by(day, companies))
    overrides = {}
    if program.family is Family.COMPETENCY:  # only competencies have any
        overrides = once(("overrides", day, companies), lambda: _overrides_by(day, companies)).get(program.id, {})
    return _Held(program, day, paid.get(program.id, {}), are_known, overrides)


def _paid_by(day: date, companies: tuple[int, ...]) -> tuple[dict[str, dict[int, _Paid]], bool]:
    """Return the newest paid holdings by programme and company; whether any file ever named a holding."""
    company_of = partners_of(companies)
    paid = Holding.objects.filter(partner__in=company_of, fee_paid_on__lte=day).order_by("anniversary_on")
    found: dict[str, dict[int, _Paid]] = {}
    for program, partner, level, anniversary in paid.values_list("program", "partner", "level", "anniversary_on"):
        found.setdefault(program, {})[company_of[partner]] = _Paid(level, anniversary)
    return found, bool(found) or Holding.objects.exists()


def _overrides_by(day: date, companies: tuple[int, ...]) -> dict[str, dict[int, list[Override]]]:
    """Return the overrides of a day by programme and company, those that hold longest last."""
    found: dict[str, dict[int, list[Override]]] = {}
    in_force = Override.objects.in_force(day).filter(company__in=companies)
    for one in sorted(in_force, key=lambda one: (one.last_day or day, one.pk)):
        found.setdefault(one.program, {}).setdefault(one.company_id, []).append(one)
    return found


def _ahead(
    forecast: Forecast, outcomes: Mapping[int, Outcome], held: _Held, stages: Mapping[int, Stage]
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
            level = held.level(company)
            met = forecast.meets(company, level, stage.valid_until)
            lacking = None if met else forecast.on(company, stage.valid_until)
            stage = held.stage_with(company, outcomes[company], met)
            is_kept = stage.at_risk is False and not met
            ahead = ahead._replace(paid_level=level, lacking=lacking, is_kept=is_kept)
        found[company] = stage, ahead
    return found


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
