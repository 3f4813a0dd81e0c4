"""What must hold in a programme besides the form of each value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from por.programs.calendars import Window, WindowKind
from por.programs.figures import Figure
from por.programs.quantity import point, total
from por.programs.rules import Credit, Kind, LevelOption, Measure, Metric, Program, Version
from por.programs.scoring import AllOrNothing, BandedRate, BestOfOptions, Milestone, Score
from por.programs.tests import ENOUGH, All, Compare, Test, parts_of
from por.programs.values import Derived

#: Where in a programme something is wrong, and what.
Problem = tuple[str, str]
_ID = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")
LONGEST_ID = 60
#: As files of people have it.
CREDENTIAL = r"[a-z][a-z_]{0,19}:[A-Z0-9][A-Z0-9._-]{0,39}"
#: The longest windows, in months and in days, and the most months on a day of which a score can qualify.
MOST_MONTHS, MOST_DAYS, MOST_MONTHS_OF_DAYS = 120, 3660, 24
#: What nothing can be divided by, or what would leave nothing to reach.
ABOVE_ZERO = frozenset({"at", "each", "max", "cap", "per"})


def problems(program: Program) -> Iterator[Problem]:
    """Yield what is wrong in a programme, by key."""
    if not _ID.fullmatch(program.id) or len(program.id) > LONGEST_ID:
        yield "program", "an id has small letters, digits and underscores, with dots between its parts"
    if not program.title.strip():
        yield "title", "it is empty"
    if not program.versions:
        yield "versions", "a programme has one version or more"
    yield from _dates(program)
    for number, version in enumerate(program.versions):
        at = f"versions.{number}"
        for key, reason in _version(program, version):
            yield f"{at}.{key}", reason


def _dates(program: Program) -> Iterator[Problem]:
    """Yield overlaps and gaps. Versions are in the order of their days, and only the last may have no end."""
    for number, one in enumerate(program.versions):
        at = f"versions.{number}"
        if one.ends is not None and one.ends < one.begins:
            yield f"{at}.to", "it ends before it begins"
        if one.announced is not None and one.announced >= one.begins:
            yield f"{at}.announced", "it is announced before it begins"
        if [other.id for other in program.versions].count(one.id) > 1:
            yield f"{at}.id", f"{one.id} is the id of two versions"
    for number, (one, after) in enumerate(pairwise(program.versions), 1):
        if one.ends is None or after.begins <= one.ends:
            yield f"versions.{number}.from", f"it overlaps {one.id}, which ends {one.ends or 'never'}"
        elif after.begins > one.ends + timedelta(days=1):
            yield f"versions.{number}.from", f"there is a gap after {one.id}, which ends {one.ends}"


def _version(program: Program, version: Version) -> Iterator[Problem]:
    tracks = program.choices["track"].of if "track" in program.choices else ()
    for where, credit in [
        ("credit", version.credit),
        *((f"metrics.{name}.credit", one.credit) for name, one in version.metrics.items()),
    ]:
        yield from _credit(where, credit, version, tracks)
    yield from _window("window", version.window)
    for name, metric in version.metrics.items():
        at = f"metrics.{name}"
        yield from _unit_test(at, metric, version, tracks)
        if metric.window is not None:
            yield from _window(f"{at}.window", metric.window)
        yield from _holding(at, metric)
        if metric.score is not None:
            yield from _score(f"{at}.score", metric.score)
    yield from _gates(version)
    yield from _outcome(program, version)


def _credit(where: str, credit: tuple[Credit, ...], version: Version, tracks: tuple[str, ...]) -> Iterator[Problem]:
    """Yield entries that credit nobody, or of which another one says the same day."""
    for number, one in enumerate(credit):
        at = f"{where}.{number}"
        if not one.kinds:
            yield f"{at}.kinds", "nobody would be credited: name one kind or more"
        if one.track and one.track not in tracks:
            yield f"{at}.track", f"{one.track} is no track of this programme"
        if one.begins is not None and version.ends is not None and one.begins > version.ends:
            yield f"{at}.from", f"it begins after the version ends on {version.ends}"
        for before in credit[:number]:
            if one.track == before.track and (one.begins or date.min) <= (before.begins or date.min):
                yield f"{at}.from", "the entries are in the order of their days, and no two have the same day"
                break


def _window(at: str, window: Window) -> Iterator[Problem]:
    if not 1 <= window.months <= MOST_MONTHS:
        yield f"{at}.months", f"it is 1 to {MOST_MONTHS}"
    if (window.kind is WindowKind.ROLLING_DAYS and window.days < 1) or not 0 <= window.days <= MOST_DAYS:
        yield f"{at}.days", f"it is 1 to {MOST_DAYS}"


def _holding(at: str, metric: Metric) -> Iterator[Problem]:
    """Yield what people hold in no form that a file can have, or what everyone would hold."""
    holding = metric.holding
    if holding is None:
        if metric.measure is Measure.PEOPLE:
            yield f"{at}.holding", "it is missing: people are counted by what they hold"
        return
    if holding.complete and not holding.any_of:
        yield f"{at}.holding.any_of", "it is empty: name a set, or say that the names are not complete"
    for number, one in enumerate(holding.any_of):
        if not one.of:
            yield f"{at}.holding.any_of.{number}.of", "everyone holds an empty set: name one credential or more"
        for place, credential in enumerate(one.of):
            if not re.fullmatch(CREDENTIAL, credential):
                reason = (
                    f"{credential} has another form than exam:70-347: the type in small, the name in capital letters"
                )
                yield f"{at}.holding.any_of.{number}.of.{place}", reason


def _score(at: str, score: Score) -> Iterator[Problem]:
    """Yield figures that make no sense as points or amounts, and bands in another order."""
    for figure, name in _figures(score):
        known = [leaf.value for _names, leaf in figure.leaves() if leaf.published]
        if any(one.low < 0 for one in known):
            yield _in_version(figure), "it cannot be below 0"
        elif name in ABOVE_ZERO and any(one.low == 0 for one in known):
            yield _in_version(figure), "it has to be above 0"
    if isinstance(score, BestOfOptions):
        if not score.options:
            yield f"{at}.options", "it is empty: name one kind of association or more"
        for kind in score.options.keys() - set(Kind):
            yield f"{at}.options.{kind}", f"{kind} is no kind of association: {', '.join(Kind)}"
    if isinstance(score, BandedRate):
        yield from _bands(f"{at}.bands", score)
    if isinstance(score, AllOrNothing):
        if not score.bands:
            yield f"{at}.bands", "it is empty: name one band or more"
        for number, band in enumerate(score.bands):
            if (band.growth is None) is (band.at_least is None):
                yield f"{at}.bands.{number}", "a band has either growth or at_least"
    if isinstance(score, Milestone) and score.buckets == ():
        yield f"{at}.buckets", "it is empty: write null if nobody published them"


def _in_version(figure: Figure) -> str:
    """Return the key of a figure within its version."""
    _versions, _number, key = figure.key.split(".", 2)
    return key


def _figures(thing: Any, name: str = "") -> Iterator[tuple[Figure, str]]:
    """Yield the figures of a score with the names of their fields."""
    if isinstance(thing, Figure):
        yield thing, name
    elif isinstance(thing, tuple | Mapping):
        for one in thing.values() if isinstance(thing, Mapping) else thing:
            yield from _figures(one, name)
    elif is_dataclass(thing) and not isinstance(thing, Compare | Derived):
        for field in fields(thing):
            yield from _figures(getattr(thing, field.name), field.name)


def _gates(version: Version) -> Iterator[Problem]:
    """Yield gates that have the same code on the same day."""
    for number, one in enumerate(version.gates):
        for before in version.gates[:number]:
            starts = [day for day in (one.begins, before.begins) if day is not None]
            first = max(starts, default=version.begins)
            if one.code is before.code and one.in_force(first) and before.in_force(first):
                yield f"gates.{number}.code", f"another gate has the code {one.code} on {first}"


def _unit_test(at: str, metric: Metric, version: Version, tracks: tuple[str, ...]) -> Iterator[Problem]:
    """Yield a test of units that does not exist, or whose numbers cannot be compared with."""
    if not metric.unit_test:
        return
    names = (metric.unit_test, *(f"{metric.unit_test}_{track}" for track in tracks))
    tests = [version.tests[name] for name in names if name in version.tests]
    if not tests:
        yield f"{at}.unit_test", f"{metric.unit_test} is no test of this version"
    for part in (part for test in tests for part in parts_of(test) if isinstance(part, Compare)):
        if metric.measure and not all(part.figure.of({"track": track}).known for track in tracks or ("",)):
            yield _in_version(part.figure), f"{at}.unit_test compares units with it, so it has to be one known number"


def _bands(at: str, score: BandedRate) -> Iterator[Problem]:
    edges = [one.above for one in score.bands]
    if not edges or not all(edge.value.known for edge in edges):
        yield at, "each band has a known number that it begins above"
    elif any(after.value.low <= one.value.low for one, after in pairwise(edges)):
        yield at, "the bands are in the order of their numbers"


def _outcome(program: Program, version: Version) -> Iterator[Problem]:
    rule = version.outcome
    if rule is None:
        return
    for name, option in rule.options.items():
        at = f"outcome.options.{name}.levels" if name else "outcome.levels"
        if tuple(option.levels) != program.levels:
            yield (
                at,
                f"it has {', '.join(option.levels)}, and the levels of the programme are {', '.join(program.levels)}",
            )
        else:
            yield from _order(at, program.levels, option)
    if rule.qualified is not None:
        months = rule.qualified.on_any_day_of_months
        if months is not None and not 1 <= months <= MOST_MONTHS_OF_DAYS:
            yield "outcome.qualified.on_any_day_of_months", f"it is 1 to {MOST_MONTHS_OF_DAYS}"
        scores = [metric.score for metric in version.metrics.values() if metric.score is not None]
        most = total(score.most({}) for score in scores)
        if scores and rule.qualified.min_total.value.gt(point(most.high)):
            yield "outcome.qualified.min_total", f"all metrics together have {most.high} points at most"


def _order(at: str, levels: tuple[str, ...], option: LevelOption) -> Iterator[Problem]:
    """Yield levels that ask for less than the one before: less of something, and more of nothing."""
    for lower, higher in pairwise(levels):
        low, high = _asked(option.levels[lower]), _asked(option.levels[higher])
        if low is None or high is None:
            continue
        shared = [(low[name], high[name]) for name in low.keys() & high.keys()]
        less = any(after.figure.value.lt(before.figure.value) for before, after in shared)
        more = bool(high.keys() - low.keys()) or any(
            after.figure.value.lt(before.figure.value) is not True and after.figure.value != before.figure.value
            for before, after in shared
        )
        if less and not more:
            yield f"{at}.{higher}", f"it asks for less than {lower}"


def _asked(test: Test) -> dict[str, Compare] | None:
    """Return what a test asks enough of, by name; None if it is more than comparisons that must all hold."""
    parts = test.tests if isinstance(test, All) else (test,)
    asked = [one for one in parts if isinstance(one, Compare) and one.operator in ENOUGH]
    return {one.label: one for one in asked} if len(asked) == len(parts) else None
