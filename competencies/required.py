"""What the rules of programmes require for a level, a qualification or points, with the source of each figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations.record.rules import AssociationKind
from competencies.programs import sources
from competencies.words import LEVELS, METRICS, OPTIONS, TRACKS, number_with_unit, plain_number
from por.directory.models import Partner
from por.directory.rules import Product
from por.programs.figures import Figure, Status
from por.programs.judging import TOTAL
from por.programs.rules import Metric, Unit, Version
from por.programs.scoring import AllOrNothing, Band, BestOfOptions, Ladder, Linear, PerUnit, Threshold
from por.programs.tests import Compare, Operator, parts_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

STATUSES: dict[Status, LazyText] = {
    Status.OFFICIAL: gettext_lazy("Official"),
    Status.SECONDARY: gettext_lazy("Secondary source"),
    Status.INFERRED: gettext_lazy("Our interpretation"),
    Status.GATED: gettext_lazy("Published only to partners"),
    Status.UNKNOWN: gettext_lazy("Not published"),
    Status.SYNTHETIC: gettext_lazy("Made up for tests"),
    Status.OURS: gettext_lazy("Our own rule"),
}
OPERATORS: dict[Operator, LazyText] = {
    Operator.GTE: gettext_lazy("at least %(figure)s"),
    Operator.GT: gettext_lazy("more than %(figure)s"),
    Operator.LTE: gettext_lazy("at most %(figure)s"),
    Operator.LT: gettext_lazy("less than %(figure)s"),
    Operator.EQ: gettext_lazy("exactly %(figure)s"),
}
#: For each unit, people or customers, there are so many points.
EACH = gettext_lazy("%(figure)s for each")
#: The names of the values of choices.
CHOICE_VALUES: dict[str, LazyText] = {
    **dict(Partner.Market.choices),
    **TRACKS,
    "ce": gettext_lazy("Customer Engagement"),
    "fo": gettext_lazy("Finance and Operations"),
    "office365": Product.OFFICE365.label,
    "crm_ea": gettext_lazy("CRM Online with an Enterprise Agreement"),
    "crm_mosa": gettext_lazy("CRM Online bought online"),
    "before_2016_10": gettext_lazy("won before October 2016"),
    "since_2016_10": gettext_lazy("won since October 2016"),
}


@dataclass(frozen=True)
class Sourced:
    """A figure in words, how sure it is, and the texts of its sources."""

    text: str
    status: str
    sources: list[str]
    is_published: bool


@dataclass(frozen=True)
class Requirement:
    """What a metric must have, for a level or for points. `name` is the metric's in the rules; "" for several."""

    what: str
    name: str
    metric: str
    figures: list[Sourced]

    @property
    def text(self) -> str:
        return "; ".join(one.text for one in self.figures)


def requirements(version: Version) -> list[Requirement]:
    """Return what a version of the rules requires: for each level, for a qualification, and for the points."""
    return [*_levels(version), *_qualified(version), *_scores(version)]


def source_texts(keys: Iterable[str]) -> list[str]:
    """Return the texts of sources."""
    known = sources()
    return [known[one] for one in keys]


# --- Levels ---------------------------------------------------------------------------------------------------------


def _levels(version: Version) -> Iterator[Requirement]:
    """Yield what each level asks of each metric."""
    options = version.outcome.options if version.outcome is not None else {}
    for name, option in options.items():
        for level, test in option.levels.items():
            what = str(LEVELS[level])
            if len(options) > 1:
                what = f"{what} ({OPTIONS[name]})"
            for part in parts_of(test):
                if isinstance(part, Compare):
                    unit = version.metrics[part.label].unit if part.label in version.metrics else Unit.POINTS
                    yield _requirement(what, part.label, part.figure, unit, OPERATORS[part.operator])


def _qualified(version: Version) -> Iterator[Requirement]:
    rule = version.outcome.qualified if version.outcome is not None else None
    if rule is not None:
        what = _("Qualified")
        yield _requirement(what, TOTAL, rule.min_total, Unit.POINTS, OPERATORS[Operator.GTE])
        above = _requirement(what, TOTAL, rule.each_above, Unit.POINTS, OPERATORS[Operator.GT])
        yield Requirement(what, "", _("Each metric"), above.figures)


# --- Points ---------------------------------------------------------------------------------------------------------


def _scores(version: Version) -> Iterator[Requirement]:
    """Yield what gives the most points of each metric."""
    for name, metric in version.metrics.items():
        if isinstance(metric.score, _OF_POINTS):
            most = metric.score.most({})
            points = plain_number(Fraction(most.high)) if most.known else ""
            yield from _score(_points(points, is_each=isinstance(metric.score, PerUnit | Ladder)), name, metric)


def _points(points: str, *, is_each: bool) -> str:
    """Return what is reached: all points with one figure, or up to so many where each unit or person has some."""
    if not points:
        return _("Points")
    text = _("Up to %(points)s points") if is_each else _("%(points)s points")
    return text % {"points": points}


_OF_POINTS = (Linear, Threshold, BestOfOptions, PerUnit, Ladder, AllOrNothing)


def _score(what: str, name: str, metric: Metric) -> Iterator[Requirement]:
    score, at_least = metric.score, OPERATORS[Operator.GTE]
    if isinstance(score, Linear | Threshold):
        yield _requirement(what, name, score.at, metric.unit, at_least)
    elif isinstance(score, BestOfOptions):
        for kind, option in score.options.items():
            found = _requirement(what, name, option.at, metric.unit, at_least, option.track)
            yield Requirement(what, name, f"{found.metric}: {AssociationKind(kind).label}", found.figures)
    elif isinstance(score, PerUnit):
        yield _requirement(what, name, score.each, Unit.POINTS, EACH)
    elif isinstance(score, Ladder):
        for one in score.required:
            found = _requirement(what, one.step.name, one.min_people, Unit.PEOPLE, at_least)
            yield Requirement(what, name, found.metric, found.figures)
        found = _requirement(what, score.elective.name, score.elective_points, Unit.POINTS, EACH)
        yield Requirement(what, name, found.metric, found.figures)
    elif isinstance(score, AllOrNothing):
        # What grows are people: consultants.
        figures = [one for band in score.bands for one in _band(band, Unit.PEOPLE)]
        yield Requirement(what, name, _metric(name), figures)


def _band(band: Band, unit: Unit) -> Iterator[Sourced]:
    """Yield what a band asks of who begins with so much."""
    figure = band.growth or band.at_least
    assert figure is not None
    for choices, leaf in band.base.leaves():
        base = number_with_unit(Fraction(leaf.value.low), unit)
        asked = figure.of(dict.fromkeys([figure.by], choices[-1]) if figure.by and choices else {})
        if band.growth is not None:
            text = _("from %(base)s on: %(growth)s more") % {
                "base": base,
                "growth": number_with_unit(Fraction(asked.low) * 100, Unit.PERCENT),
            }
        else:
            least = number_with_unit(Fraction(asked.low), unit)
            text = _("from %(base)s on: at least %(least)s") % {"base": base, "least": least}
        yield Sourced(_after(choices, text), str(STATUSES[leaf.status]), source_texts(leaf.sources), leaf.published)


# --- Figures --------------------------------------------------------------------------------------------------------


def _requirement(what: str, name: str, figure: Figure, unit: Unit, operator: LazyText, track: str = "") -> Requirement:
    before = (track,) if track else ()
    figures = [_sourced((*before, *choices), leaf, unit, operator) for choices, leaf in figure.leaves()]
    return Requirement(what, name, _metric(name), figures)


def _metric(name: str) -> str:
    return str(METRICS.get(name, name))


def _sourced(choices: Iterable[str], figure: Figure, unit: Unit, operator: LazyText) -> Sourced:
    """Return a figure in words, after the choices that lead to it: Developed: at least USD 15,000."""
    text = _("not published")
    if figure.published:
        text = str(operator) % {"figure": number_with_unit(Fraction(figure.value.low), unit)}
    return Sourced(_after(choices, text), str(STATUSES[figure.status]), source_texts(figure.sources), figure.published)


def _after(choices: Iterable[str], text: str) -> str:
    names = ", ".join(str(CHOICE_VALUES[one]) for one in choices)
    return _("%(choices)s: %(text)s") % {"choices": names, "text": text} if names else text


def credentials_text(sets: Iterable[tuple[str, ...]], *, is_complete: bool) -> list[str]:
    """Return which credentials count for people, in words, and what is said of those whose names are not published."""
    found = [_(" and ").join(names) for names in sets]
    if len(found) > 1:
        found.insert(0, _("One of these is enough:"))
    if is_complete:
        return found
    if found:
        return [*found, _("Others whose names are not published. They are not counted.")]
    return [_("The names of what counts are not published. Nobody is counted.")]
