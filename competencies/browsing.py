"""The rules of programmes as pages show them: each figure with what it is for, its source and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations.record.rules import AssociationKind
from competencies.programs import programs
from competencies.required import STATUSES, Requirement, credentials_text, requirements, source_texts
from competencies.words import METRICS, TRACKS, of_metric
from por.programs.calendars import Window, WindowKind
from por.programs.facts import TRACK
from por.programs.rules import (
    Credit,
    Family,
    OwnTenant,
    Precision,
    Program,
    Retroactive,
    TrackRule,
    Version,
)
from por.programs.showing import differences, lines

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

FAMILIES: dict[Family, LazyText] = {
    Family.COMPETENCY: gettext_lazy("Competencies"),
    Family.SCORE: gettext_lazy("Scores and designations"),
    Family.BENEFIT: gettext_lazy("Benefits"),
    Family.INCENTIVE: gettext_lazy("Incentives"),
}
PRECISIONS: dict[Precision, LazyText] = {
    Precision.DAY: gettext_lazy("The days are exact."),
    Precision.MONTH: gettext_lazy("Of these days, the sources name the months."),
    Precision.HALF_YEAR: gettext_lazy("Of these days, the sources name half a year."),
    Precision.UNKNOWN: gettext_lazy("No source names these days exactly."),
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


@dataclass(frozen=True)
class Shared:
    """A fact about a version, with its name."""

    name: str
    texts: list[str]


@dataclass(frozen=True)
class Change:
    """What differs between the rules of two days: what it was and what it is; "" if there was or is nothing."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Differences:
    """What differs from the rules of an earlier or later day: in words, and as the files of rules have it."""

    day: date
    version: Version
    changes: list[Change]
    lines: list[str]


@dataclass(frozen=True)
class VersionPage:
    """A version of a programme's rules on a day, as a page shows it."""

    version: Version
    status: str
    precision: str
    sources: list[str]
    requirements: list[Requirement]
    facts: list[Shared]
    lines: list[tuple[str, str]]


def by_family(day: date) -> list[tuple[LazyText, list[tuple[Program, Version | None]]]]:
    """Return all programmes with their rules of a day, by family. A programme without rules that day has None."""
    found = programs().values()
    return [
        (label, [(one, one.on(day)) for one in found if one.family is family and one.versions])
        for family, label in FAMILIES.items()
    ]


def page_of(program: Program, version: Version, day: date) -> VersionPage:
    """Return what a page shows of a version."""
    return VersionPage(
        version,
        str(STATUSES[version.status]),
        str(PRECISIONS[version.precision]),
        source_texts(version.sources),
        requirements(version),
        [
            *_notes(version),
            *_credit(version, day),
            *_counting(version),
            *_choosing(program, version),
            *_people(version, day),
        ],
        lines(version, day),
    )


# --- What differs ---------------------------------------------------------------------------------------------------


def day_before(program: Program, version: Version) -> date | None:
    """Return the last day of the version before this one; None for the first one."""
    return version.begins - timedelta(days=1) if version is not program.versions[0] else None


def differences_from(program: Program, page: VersionPage, day: date, other: date) -> Differences | None:
    """Return what differs on a day from the rules of another one; None if there were none on that."""
    version = program.on(other)
    if version is None:
        return None
    before, after = (_in_words(one) for one in (page_of(program, version, other), page))
    changes = [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    return Differences(other, version, changes, differences(lines(version, other), lines(page.version, day)))


def _in_words(page: VersionPage) -> dict[str, str]:
    """Return what a page says, by what it is about."""
    found: dict[str, list[str]] = {_("Certainty"): [page.status], _("Sources"): page.sources}
    for one in page.requirements:
        found.setdefault(f"{one.what}: {one.metric}", []).append(one.text)
    found |= {fact.name: fact.texts for fact in page.facts}
    return {name: "; ".join(texts) for name, texts in found.items()}


# --- How it is counted ----------------------------------------------------------------------------------------------


def _notes(version: Version) -> Iterator[Shared]:
    """Yield the notes of a version and of its metrics. `rule_texts.py` has them for translation."""
    notes = [_(version.note)] if version.note else []
    notes += [of_metric(name, _(metric.note)) for name, metric in version.metrics.items() if metric.note]
    if notes:
        yield Shared(_("Note"), notes)


def _credit(version: Version, day: date) -> Iterator[Shared]:
    """Yield which associations count on a day: for all metrics, and for those that have their own."""
    texts = [*_kinds(version.credit, day)]
    for name, metric in version.metrics.items():
        own = _kinds(metric.credit, day)
        texts += [of_metric(name, text) for text in own]
    if texts:
        yield Shared(_("Associations that count"), texts)


def _kinds(credit: tuple[Credit, ...], day: date) -> Iterator[str]:
    newest = {one.track: one for one in credit if one.begins is None or one.begins <= day}
    for track, one in newest.items():
        kinds = ", ".join(str(AssociationKind(kind.value).label) for kind in one.kinds)
        yield f"{TRACKS[track]}: {kinds}" if track else kinds


def _counting(version: Version) -> Iterator[Shared]:
    yield Shared(_("Months"), [str(RETROACTIVE[version.retroactive])])
    windows = [
        of_metric(name, _window(metric.window)) for name, metric in version.metrics.items() if metric.window is not None
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


def _choosing(program: Program, version: Version) -> Iterator[Shared]:
    """Yield which track counts, and of which days one is enough."""
    choice = program.choices.get(TRACK)
    if choice is not None and choice.how is TrackRule.BEST_TOTAL:
        yield Shared(_("Tracks"), [_("The track with the best total counts.")])
    elif choice is not None and version.metrics:
        yield Shared(_("Tracks"), [_("The customers decide which track counts.")])
    rule = version.outcome.qualified if version.outcome is not None else None
    if rule is not None and rule.on_any_day_of_months is not None:
        text = _("It is enough to qualify in one of the last %(months)s months.")
        yield Shared(_("Qualified"), [text % {"months": rule.on_any_day_of_months}])


def _people(version: Version, day: date) -> Iterator[Shared]:
    for name, metric in version.metrics.items():
        if metric.holding is None:
            continue
        sets = credentials_text(metric.holding.on(day), is_complete=metric.holding.complete)
        yield Shared(str(METRICS[name]), sets)
