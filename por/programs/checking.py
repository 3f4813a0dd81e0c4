"""What must hold in a programme besides the form of each value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from por.programs.quantity import point, total
from por.programs.rules import LevelOption, Program, Version
from por.programs.scoring import BandedRate
from por.programs.tests import ENOUGH, All, Compare, Test

#: Where in a programme something is wrong, and what.
Problem = tuple[str, str]


def problems(program: Program) -> Iterator[Problem]:
    """Yield what is wrong in a programme, by key."""
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
        begins = [one.begins for one in credit if one.begins is not None]
        if begins != sorted(begins):
            yield where, "the entries are in the order of their days"
        for number, one in enumerate(credit):
            if one.track and one.track not in tracks:
                yield f"{where}.{number}.track", f"{one.track} is no track of this programme"
    for name, metric in version.metrics.items():
        if metric.unit_test and not any(test in version.tests for test in _unit_tests(metric.unit_test, tracks)):
            yield f"metrics.{name}.unit_test", f"{metric.unit_test} is no test of this version"
        if isinstance(metric.score, BandedRate):
            yield from _bands(f"metrics.{name}.score.bands", metric.score)
    yield from _gates(version)
    yield from _outcome(program, version)


def _gates(version: Version) -> Iterator[Problem]:
    """Yield gates that have the same code on the same day."""
    for number, one in enumerate(version.gates):
        for before in version.gates[:number]:
            starts = [day for day in (one.begins, before.begins) if day is not None]
            first = max(starts, default=version.begins)
            if one.code is before.code and one.in_force(first) and before.in_force(first):
                yield f"gates.{number}.code", f"another gate has the code {one.code} on {first}"


def _unit_tests(name: str, tracks: tuple[str, ...]) -> Iterator[str]:
    yield name
    yield from (f"{name}_{track}" for track in tracks)


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
