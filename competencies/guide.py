"""The words of competencies, explained with the figures of the rules of a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from competencies.forecast import MONTHS_AHEAD, MONTHS_OF_MEAN
from competencies.programs import COMPUTED, life_cycle_on, programs
from competencies.words import plain_number
from por.programs.rules import Qualified


class Term(NamedTuple):
    """A word of the pages, and what it means."""

    word: str
    text: str


class Group(NamedTuple):
    """Words that belong together. `id` is the anchor of the group on the page."""

    id: str
    title: str
    terms: list[Term]


def words_on(day: date) -> list[Group]:
    """Return the words of competencies in the reader's language, with the figures that apply on a day."""
    return [
        Group("results", _("What has been reached"), [*_results(day)]),
        Group("stages", _("Stages"), [*_stages(day)]),
        Group("forecast", _("Forecast"), [*_forecast()]),
        Group("days", _("Earlier days"), [*_days()]),
        Group("figures", _("Figures"), [*_figures()]),
    ]


def _results(day: date) -> Iterator[Term]:
    yield Term(
        _("Level"),
        _(
            "The highest level whose requirements are certainly met by what is measured, whether or not it is paid "
            "for. The stage says whether it is."
        ),
    )
    yield Term(
        _("Undetermined"),
        _(
            "Something that decides is not known: a month without data, a figure that nobody published, or the market "
            "of the partner. What is not known never counts as 0, and never as met. Where the answer is certain "
            "anyway, it is given."
        ),
    )
    yield Term(
        _("Requirement that is not published"),
        _(
            "Microsoft asked for it, but no source has the figure. The rules of the programme say whether it decides. "
            "If it does, the level is undetermined. If it does not, it is shown beside the other requirements and left "
            "out."
        ),
    )
    yield Term(
        _("Names that are not published"),
        _(
            "Where no source names the exams or certifications that count, nobody is counted, and it is not known how "
            "many people there are. Where it names only some, whoever has only others is not counted."
        ),
    )
    rule = _qualified_on(day)
    if rule is not None:
        yield Term(_("Score"), _score_text(rule))
        yield Term(
            _("Track"),
            _(
                "Some scores have one track for larger and one for smaller customers. The rules of the programme say "
                "whether the track with the better total counts, or whether the customers decide."
            ),
        )


def _qualified_on(day: date) -> Qualified | None:
    """Return what scores need on a day to qualify; None where there are none."""
    versions = (programs()[one].on(day) for one in COMPUTED)
    rules = (one.outcome.qualified for one in versions if one is not None and one.outcome is not None)
    return next((one for one in rules if one is not None), None)


def _score_text(rule: Qualified) -> str:
    total = {"total": plain_number(Fraction(rule.min_total.of({}).low))}
    text = _("The points of all metrics together. A company qualifies with %(total)s points, if each metric has some.")
    months = rule.on_any_day_of_months
    if months is None:
        return text % total
    enough = ngettext("The last %(n)s month counts.", "One of the last %(n)s months is enough.", months)
    return f"{text % total} {enough % {'n': months}}"


def _stages(day: date) -> Iterator[Term]:
    yield Term(_("Not started"), _("No metric is above 0."))
    yield Term(_("In progress"), _("A metric is above 0, but the requirements of the lowest level are not all met."))
    yield Term(
        pgettext("stage", "Qualified, fee not paid"),
        _("The requirements are met. The company becomes active on the day on which the fee is paid."),
    )
    yield Term(
        pgettext("stage", "Active"),
        _("The fee is paid. The level is held until the anniversary, even if a requirement is no longer met before."),
    )
    yield Term(
        _("Active, at risk"),
        _(
            "If nothing is added, the level that is paid for will not be met at its anniversary. The page says what "
            "will be missing. It is not at risk if an override of this or a higher level still holds on that day."
        ),
    )
    yield Term(
        pgettext("stage", "Lost"),
        _("The anniversary has passed, and the requirements of the lowest level are not met."),
    )
    yield Term(
        _("Not known"),
        _("We cannot tell whether the requirements of the lowest level are met, or whether the fee is paid."),
    )
    rule = life_cycle_on(day)
    months = rule.override_months if rule is not None else 0
    text = _(
        "Platform staff can let a company have a level for some time although it is not met. One person asks, and "
        "another one confirms. The override changes the stage, not what is measured."
    )
    normally = ngettext("Normally, it holds for %(n)s month.", "Normally, it holds for %(n)s months.", months)
    yield Term(_("Override"), f"{text} {normally % {'n': months}}" if months else text)


def _forecast() -> Iterator[Term]:
    yield Term(
        _("Lasts until"),
        _(
            "The last day on which the level is certainly met, if nothing is added: at most %(months)s months ahead. A "
            "window of days loses what falls out of it. A sum of months has the mean of the last %(mean)s months for "
            "each month to come. Everything else stays as it is. In the API it is safe_until."
        )
        % {"months": MONTHS_AHEAD, "mean": MONTHS_OF_MEAN},
    )
    yield Term(
        _("We cannot tell"),
        _("No rules are known for that day, or something that decides is not known. An undetermined day is not safe."),
    )


def _days() -> Iterator[Term]:
    yield Term(
        _("As of"),
        _(
            "What had been reached at the end of a past day, by the rules of that day, with what is known now. "
            "Later corrections are included. In the API it is as_of."
        ),
    )
    yield Term(
        _("What was shown on that day"),
        _(
            "What the platform had stored by the end of a day. Nothing is computed again, so it can differ from what "
            "is known now. In the API it is known_at."
        ),
    )
    yield Term(
        _("Rules of the day"),
        _("Rules have versions with days. A day is judged by the version that applied on it, never by a later one."),
    )


def _figures() -> Iterator[Term]:
    yield Term(
        _("Newest month"),
        _(
            "The last month that has ended at the end of the day of the page: on the last day of a month, this month. "
            "Days and months end at midnight UTC."
        ),
    )
    yield Term(
        _("Window"),
        _(
            "The time that a metric looks at: whole months, or days back to the same day some months ago. What falls "
            "out of the window no longer counts."
        ),
    )
    yield Term(
        _("New partner of record"),
        _(
            "Which months would count for a partner that is attached on the day of the page. In some programmes it has "
            "the whole window immediately, in others only the months from then on."
        ),
    )
    yield Term(
        _("Customers that would close the gap"),
        _(
            "Customers without a partner of record that would add to what is missing, if they attached the company. "
            "They are computed as on the what-if page."
        ),
    )
    yield Term(
        _("Customers of other locations"),
        _("They count for the company, but you are not told who they are. They are shown as a number."),
    )
