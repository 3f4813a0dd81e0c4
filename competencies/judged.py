"""What companies have reached in a programme on a day: the one computation behind what is stored and what is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import F
from django.db.models.functions import Coalesce

from competencies.facts import attain
from competencies.measures.asking import Suppose
from competencies.models import Holding
from competencies.programs import programs
from competencies.results import stored
from por.programs.judging import Outcome
from por.programs.lifecycle import LifeCycle, Stage, Standing, stage
from por.programs.rules import Family, Program

#: The programme that says how all competencies are held.
_LIFE_CYCLE = "competency"
#: A designation is held until the anniversary in its row, whatever the rules of competencies say.
_OF_DESIGNATIONS = LifeCycle(years=1, override_months=0)


def judged(
    program: Program, day: date, companies: Collection[int], suppose: Suppose | None = None
) -> dict[int, dict[str, Any]]:
    """Return by company what it had reached at the end of a day, by the rules of the day, as it is stored.

    With `suppose`, it is what would have been reached by the company that this is about.
    """
    held = _holdings(program.id, day, companies)
    return {
        company: stored(program, outcome, held.stage(program, company, outcome, day))
        for company, outcome in attain(program, day, companies, suppose).items()
    }


@dataclass(frozen=True)
class _Holdings:
    """The paid holdings of companies in a programme; whether any file ever named one."""

    by_company: Mapping[int, date]
    are_known: bool

    def stage(self, program: Program, company: int, outcome: Outcome, day: date) -> Stage:
        """Return the stage of a company. A holding lasts until its anniversary, which is included."""
        anniversary = self.by_company.get(company)
        standing = Standing(
            all_met=_all_met(program, outcome),
            started=outcome.started,
            fee_paid=anniversary is not None if self.are_known else None,
            anniversary_on=anniversary,
        )
        return stage(_life_cycle(program, day), standing, day)


def _holdings(program: str, day: date, companies: Collection[int]) -> _Holdings:
    """Return the anniversary of each company's newest paid holding. A fee that is paid later does not count yet."""
    paid = (
        Holding.objects.filter(program=program, fee_paid_on__lte=day)
        .annotate(company=Coalesce(F("partner__organisation__parent"), F("partner")))
        .filter(company__in=companies)
        .order_by("anniversary_on")
        .values_list("company", "anniversary_on")
    )
    found = dict(paid)
    return _Holdings(found, bool(found) or Holding.objects.exists())


def _all_met(program: Program, outcome: Outcome) -> bool | None:
    """Return whether the lowest level is reached, or the score qualifies."""
    return outcome.qualified if program.family is Family.SCORE else outcome.meets(program.levels[0])


def _life_cycle(program: Program, day: date) -> LifeCycle:
    rule = programs()[_LIFE_CYCLE].on(day)
    if program.family is Family.COMPETENCY and rule is not None and rule.lifecycle is not None:
        return rule.lifecycle
    return _OF_DESIGNATIONS
