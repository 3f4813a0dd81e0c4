"""The tracks of a score beside each other: what the company would have in each, and which one counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from competencies.facts import OF_TRACK, facts_of
from competencies.results import Ahead, Result, stored
from por.accounts.models import Organisation
from por.programs.facts import TRACK
from por.programs.judging import judge
from por.programs.lifecycle import Stage
from por.programs.rules import TrackRule


@dataclass(frozen=True)
class Tracks:
    """What the company has in each track. `is_best` says that the better total counts, else its customers decide."""

    each: list[Result]
    counts: str | None
    is_best: bool


def tracks_of(company: Organisation, result: Result, day: date) -> Tracks | None:
    """Return the tracks of a score as they are judged on a day; None where the rules of the day have no tracks."""
    program, version = result.program, result.version
    choice = program.choices.get(TRACK)
    if choice is None or program.on(day) is not version:
        return None
    is_best = choice.how is TrackRule.BEST_TOTAL
    if not is_best and OF_TRACK not in version.tests:
        return None  # both tracks are the same
    facts = facts_of(program, version, day, (company.pk,))[company.pk]
    outcomes = [judge(program, version, facts.chosen(**{TRACK: one})) for one in choice.of]
    return Tracks(
        [Result.read(program, stored(program, one, Stage(None), Ahead())) for one in outcomes],
        result.track,
        is_best,
    )
