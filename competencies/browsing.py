"""The rules of programmes as pages show them: each figure with what it is for, its source and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations.record.rules import AssociationKind
from competencies.programs import programs, sources
from competencies.words import LEVELS, METRICS, OPTIONS, TRACKS, number_with_unit, plain_number
from por.directory.models import Partner
from por.programs.calendars import Window, WindowKind
from por.programs.figures import Figure, Status
from por.programs.judging import TOTAL
from por.programs.rules import Credit, Family, Metric, OwnTenant, Program, Retroactive, Unit, Version
from por.programs.scoring import BestOfOptions, Ladder, Linear, PerUnit, Threshold
from por.programs.showing import differences, lines
from por.programs.tests import Compare, Operator, parts_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

FAMILIES: dict[Family, LazyText] = {
    Family.COMPETENCY: gettext_lazy("Competencies"),
    Family.SCORE: gettext_lazy("Scores and designations"),
    Family.BENEFIT: gettext_lazy("Benefits"),
    Family.INCENTIVE: gettext_lazy("Incentives"),
}
STATUSES: dict[Status, LazyText] = {
    Status.OFFICIAL: gettext_lazy("Official"),
    Status.SECONDARY: gettext_lazy("Secondary source"),
    Status.INFERRED: gettext_lazy("Our interpretation"),
    Status.GATED: gettext_lazy("Published only to partners"),
    Status.UNKNOWN: gettext_lazy("Not published"),
    Status.SYNTHETIC: gettext_lazy("Made up for tests"),
    Status.OURS: gettext_lazy("Our own rule"),
}
RETROACTIVE: dict[Retroactive, LazyText] = {
    Retroactive.WINDOW: gettext_lazy(
        "The partner that is credited on the day is credited for the whole period, including the time before."
    ),
    Retroactive.NONE: gettext_lazy("Each month counts for the partner that was associated at its end."),
    Retroactive.FROM_ATTACH: gettext_lazy(
        "Each month counts for the partner that was associated at its end, from the day the association began."
    ),
}
WINDOWS: dict[WindowKind, LazyText] = {
    WindowKind.DAYS: gettext_lazy("The last %(months)s months, to the day"),
    WindowKind.WHOLE_MONTHS: gettext_lazy("The last %(months)s whole months"),
    WindowKind.NEWEST_MONTH: gettext_lazy("The newest whole month"),
    WindowKind.YEAR_ON_YEAR: gettext_lazy("The newest whole month, compared with a year before"),
    WindowKind.SNAPSHOT: gettext_lazy("The day itself"),
    WindowKind.ROLLING_DAYS: gettext_lazy("The last %(days)s days"),
}
OPERATORS: dict[Operator, LazyText] = {
    Operator.GTE: gettext_lazy("at least %(figure)s"),
    Operator.GT: gettext_lazy("more than %(figure)s"),
    Operator.LTE: gettext_lazy("at most %(figure)s"),
    Operator.LT: gettext_lazy("less than %(figure)s"),
    Operator.EQ: gettext_lazy("exactly %(figure)s"),
}
#: The values of choices that have a name of their own; the others are names of products.
CHOICE_VALUES: dict[str, LazyText | str] = {**dict(Partner.Market.choices), **TRACKS}


@dataclass(frozen=True)
class Sourced:
    """A figure in words, how sure it is, and the texts of its sources."""

    text: str
    status: str
    sources: list[str]
    is_published: bool


@dataclass(frozen=True)
class Requirement:
    """What a metric must have, for a level or for points."""

    what: str
    metric: str
    figures: list[Sourced]


@dataclass(frozen=True)
class Shared:
    """A fact about a version, with its name."""

    name: str
    texts: list[str]


@dataclass(frozen=True)
class VersionPage:
    """A version of a programme's rules on a day, as a page shows it."""

    version: Version
    status: str
    sources: list[str]
    requirements: list[Requirement]
    facts: list[Shared]
    lines: list[tuple[str, str]]
    changes: list[str]


def by_family(day: date) -> list[tuple[LazyText, list[tuple[Program, Version | None]]]]:
    """Return all programmes with their rules of a day, by family. A programme without rules that day has None."""
    found = programs().values()
    return [
        (label, [(one, one.on(day)) for one in found if one.family is family and one.versions])
        for family, label in FAMILIES.items()
    ]


def page_of(program: Program, version: Version, day: date) -> VersionPage:
    """Return what a page shows of a version. `changes` is what differs from the last day of the version before."""
    now = lines(version, day)
    number = program.versions.index(version)
    earlier = program.versions[number - 1] if number else None
    last = (earlier.ends or day) if earlier is not None else day
    return VersionPage(
        version,
        str(STATUSES[version.status]),
        _texts(version.sources),
        [*_levels(program, version), *_scores(version)],
        [*_credit(version, day), *_counting(version), *_people(version, day)],
        now,
        differences(lines(earlier, last), now) if earlier is not None else [],
    )


# --- What is required -----------------------------------------------------------------------------------------------


def _levels(program: Program, version: Version) -> Iterator[Requirement]:
    """Yield what each level asks of each metric."""
    if version.outcome is None:
        return
    for name, option in version.outcome.options.items():
        for level, test in option.levels.items():
            what = str(LEVELS[level])
            if len(version.outcome.options) > 1:
                what = f"{what} ({OPTIONS[name]})"
            for part in parts_of(test):
                if isinstance(part, Compare):
                    unit = _unit(version, part.label)
                    figures = [_sourced(choices, leaf, unit, part.operator) for choices, leaf in part.figure.leaves()]
                    yield Requirement(what, _metric(part.label), figures)
    if (rule := version.outcome.qualified) is not None:
        what = _("Qualified")
        total = [_sourced(names, leaf, Unit.POINTS, Operator.GTE) for names, leaf in rule.min_total.leaves()]
        yield Requirement(what, str(METRICS[TOTAL]), total)
        each = [_sourced(names, leaf, Unit.POINTS, Operator.GT) for names, leaf in rule.each_above.leaves()]
        yield Requirement(what, _("Each metric"), each)


def _scores(version: Version) -> Iterator[Requirement]:
    """Yield what gives the most points of each metric."""
    for name, metric in version.metrics.items():
        if metric.score is None:
            continue
        for figure, unit in _figures_of(metric):
            figures = [_sourced(choices, leaf, unit, Operator.GTE) for choices, leaf in figure.leaves()]
            most = metric.score.most({})
            points = plain_number(Fraction(most.high)) if most.known else ""
            what = _("%(points)s points") % {"points": points} if points else _("Points")
            yield Requirement(what, _metric(name), figures)


def _figures_of(metric: Metric) -> Iterator[tuple[Figure, Unit]]:
    score = metric.score
    if isinstance(score, Linear | Threshold):
        yield score.at, metric.unit
    elif isinstance(score, BestOfOptions):
        for option in score.options.values():
            yield option.at, metric.unit
    elif isinstance(score, PerUnit):
        yield score.each, Unit.POINTS
    elif isinstance(score, Ladder):
        yield score.elective_points, Unit.POINTS


def _metric(label: str) -> str:
    return str(METRICS.get(label, label))


def _unit(version: Version, label: str) -> Unit:
    return version.metrics[label].unit if label in version.metrics else Unit.POINTS


def _sourced(choices: Iterable[str], figure: Figure, unit: Unit, operator: Operator) -> Sourced:
    """Return a figure in words, after the choices that lead to it: Developed: at least USD 15,000."""
    text = _("not published")
    if figure.published:
        amount = number_with_unit(Fraction(figure.value.low), unit)
        text = str(OPERATORS[operator]) % {"figure": amount}
    names = ", ".join(str(CHOICE_VALUES.get(one, one)) for one in choices)
    return Sourced(
        f"{names}: {text}" if names else text, str(STATUSES[figure.status]), _texts(figure.sources), figure.published
    )


def _texts(keys: Iterable[str]) -> list[str]:
    known = sources()
    return [known[one] for one in keys]


# --- How it is counted ----------------------------------------------------------------------------------------------


def _credit(version: Version, day: date) -> Iterator[Shared]:
    entries = [*version.credit, *(one for metric in version.metrics.values() for one in metric.credit)]
    newest: dict[str, Credit] = {}
    for one in entries:
        if one.begins is None or one.begins <= day:
            newest[one.track] = one
    texts = []
    for track, one in newest.items():
        kinds = ", ".join(str(AssociationKind(kind.value).label) for kind in one.kinds)
        texts.append(f"{TRACKS[track]}: {kinds}" if track else kinds)
    if texts:
        yield Shared(_("Associations that count"), texts)


def _counting(version: Version) -> Iterator[Shared]:
    yield Shared(_("Months"), [str(RETROACTIVE[version.retroactive])])
    windows = [
        f"{_metric(name)}: {_window(metric.window)}"
        for name, metric in version.metrics.items()
        if metric.window is not None
    ]
    yield Shared(_("Time"), [_window(version.window), *windows])
    own = (
        _("Counts towards competencies, but never earns incentives.")
        if version.own_tenant is OwnTenant.INCLUDE
        else _("Does not count.")
    )
    yield Shared(_("The partner’s own tenant"), [own])


def _window(window: Window) -> str:
    return str(WINDOWS[window.kind]) % {"months": window.months, "days": window.days}


def _people(version: Version, day: date) -> Iterator[Shared]:
    for name, metric in version.metrics.items():
        if metric.holding is None:
            continue
        sets = [_(" and ").join(one) for one in metric.holding.on(day)]
        if not metric.holding.complete:
            sets.append(_("Others whose names are not published. They are not counted."))
        yield Shared(_metric(name), sets)
