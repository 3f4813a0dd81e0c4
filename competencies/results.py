"""What a company has reached in a programme on a day, and why: as it is stored, and as pages and the API read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from por.programs.codes import Code, Why
from por.programs.judging import NO_LEVEL, Outcome
from por.programs.lifecycle import Stage, StageName
from por.programs.rules import Family, Metric, Program, Version

#: The level of a score that qualifies.
QUALIFIED = "qualified"
#: The figure of a reason that names months without data.
UNREPORTED = "unreported"


class Amount(NamedTuple):
    """A number, or the bounds of one that is not known. None is no bound."""

    low: Fraction | None
    high: Fraction | None

    @classmethod
    def of(cls, stored: Any) -> Amount:
        """Return the amount that JSON has as 40, "45/7" or [low, high]."""
        low, high = stored if isinstance(stored, list) else (stored, stored)
        return cls(None if low is None else Fraction(low), None if high is None else Fraction(high))

    @property
    def is_known(self) -> bool:
        return self.low is not None and self.low == self.high

    @property
    def is_unknown(self) -> bool:
        return self.low is None and self.high is None


class Ahead(NamedTuple):
    """What is seen ahead: until when the level that is reached is safe; the paid level, if there is one.

    `lacking` is the verdict of the anniversary, from what is known now, if the paid level is not certainly met then. It
    is kept all the same if an override by the vendor's staff holds on that day.
    """

    safe_until: date | None = None
    paid_level: str | None = None
    lacking: Outcome | None = None
    is_kept: bool = False


class Reason(NamedTuple):
    """Why something is as it is: a code with its figures."""

    code: Why
    figures: Mapping[str, Any]

    def amount(self, name: str) -> Amount:
        return Amount.of(self.figures.get(name, [None, None]))


@dataclass(frozen=True)
class LevelResult:
    """Whether a level is reached; None if that is undetermined."""

    level: str
    met: bool | None
    reasons: list[Reason]


@dataclass(frozen=True)
class MetricResult:
    """What was measured for one metric, what it is worth, and what that says. Only metrics of scores have points.

    `unreported` are the months without data that a reason is about, by their first days. They are not stored, and two
    results that differ only in them are the same.
    """

    metric: str
    value: Amount
    points: Amount | None
    most: Amount | None
    reasons: list[Reason]
    unreported: tuple[date, ...] = field(default=(), compare=False)

    @property
    def said(self) -> list[Reason]:
        """Return the reasons, with the months that are not reported among the figures of the reason about them."""
        return [
            one._replace(figures={**one.figures, UNREPORTED: self.unreported})
            if one.code is Why.MONTHS_NOT_REPORTED and self.unreported
            else one
            for one in self.reasons
        ]


class Reached(NamedTuple):
    """What a result says in one line: the stage, the level, and the total of a score."""

    program: Program
    stage: Stage
    level: str | None
    total: Amount | None

    @classmethod
    def read(cls, program: Program, stage: Mapping[str, Any], level: str | None, total: Any) -> Reached:
        """Return it as it is stored."""
        return cls(program, _stage(stage), level, _amount(total))


@dataclass(frozen=True)
class Result:
    """The result of one programme. `level` is None if even the lowest level is undetermined.

    `override_until` is the last day of an override by the vendor's staff that stands in for what is not met.
    `next_level` is the one to reach. `version` is that of the rules it was judged by. With a forecast, the level stays
    until `safe_until`; None if no end is seen within a year. `ahead` is what a paid level may lack at its anniversary.
    With `is_kept`, such an override stands in for it on that day too. `paid_level` is the one that an active company
    has paid for, whatever is measured.
    """

    program: Program
    version: Version
    stage: Stage
    level: str | None
    next_level: str | None
    track: str | None
    total: Amount | None
    levels: list[LevelResult]
    metrics: list[MetricResult]
    reasons: list[Reason]
    has_forecast: bool = False
    safe_until: date | None = None
    ahead: list[Reason] = field(default_factory=list)
    override_until: date | None = None
    is_kept: bool = False
    paid_level: str | None = None

    @classmethod
    def read(cls, program: Program, stored: Mapping[str, Any]) -> Result:
        """Return the result that is stored."""
        stage, version = stored["stage"], _version(program, stored)
        return cls(
            program,
            version,
            _stage(stage),
            stored["level"],
            stored["next_level"],
            stored["track"],
            _amount(stored["total"]),
            [LevelResult(one["level"], one["met"], _reasons(one["why"])) for one in stored["levels"]],
            [
                MetricResult(
                    one["metric"],
                    Amount.of(one["value"]),
                    _amount(one["points"]),
                    _amount(one["most"]),
                    _reasons(one["why"]),
                )
                for one in stored["metrics"]
                if one["metric"] in version.metrics
            ],
            _reasons(stored["why"]),
            "safe_until" in stored,
            _day(stored.get("safe_until")),
            _reasons(stored.get("ahead", [])),
            _day(stored.get("override_until")),
            stored.get("is_kept", False),
            stage.get("paid_level"),
        )

    @classmethod
    def nothing_known(cls, program: Program, day: date) -> Result:
        """Return the result where nothing had been stored about a programme that had rules on the day."""
        version = program.on(day)
        assert version is not None
        reasons = [Reason(Why.NOTHING_KNOWN, {})]
        return cls(program, version, Stage(None), None, None, None, None, [], [], reasons)

    @property
    def track_of_figures(self) -> str | None:
        """Return the track whose figures these are, also where it is not certain that it counts."""
        return track_of_figures(self.track, self.reasons)

    def about(self, metric: str) -> Iterator[tuple[str, Reason]]:
        """Yield what each level says of a metric, with the level."""
        for level in self.levels:
            for reason in level.reasons:
                if reason.figures.get("metric") == metric:
                    yield level.level, reason


def track_of_figures(track: str | None, reasons: Iterable[tuple[str, Mapping[str, Any]]]) -> str | None:
    """Return the track whose figures a result has: that which counts, else that of which its reasons say so."""
    return track or next((figures["track"] for code, figures in reasons if code == Why.TRACK_UNDETERMINED), None)


def _version(program: Program, stored: Mapping[str, Any]) -> Version:
    """Return the version of the rules that a result was judged by.

    The files may have changed since. A version that they no longer have, or a metric that it no longer has, is taken
    from the newest one that has it: what was stored stays readable, whatever the rules say now.
    """
    found = next((one for one in program.versions if one.id == stored["version"]), None)
    if found is not None and all(one["metric"] in found.metrics for one in stored["metrics"]):
        return found
    known = metrics_of(program)
    of_result = {one["metric"]: known[one["metric"]] for one in stored["metrics"] if one["metric"] in known}
    return replace(found or program.versions[-1], id=stored["version"], metrics=of_result)


def metrics_of(program: Program) -> dict[str, Metric]:
    """Return all metrics that a programme has or had, by name, each as the newest version that has it."""
    return {name: metric for one in program.versions for name, metric in one.metrics.items()}


def _stage(stored: Mapping[str, Any]) -> Stage:
    name = stored["name"]
    return Stage(None if name is None else StageName(name), stored["at_risk"], _day(stored["valid_until"]))


def _day(stored: str | None) -> date | None:
    return None if stored is None else date.fromisoformat(stored)


def _amount(stored: Any) -> Amount | None:
    return None if stored is None else Amount.of(stored)


def _reasons(stored: Iterable[Any]) -> list[Reason]:
    return [Reason(Why(code), figures) for code, figures in stored]


# --- Storing --------------------------------------------------------------------------------------------------------


#: What is stored of a forecast that changes from month to month. It makes no other result.
_PASSING = "ahead"


def differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two stored results, or their reasons, are not the same."""
    return any(one.get(key) != other.get(key) for key in one.keys() | other.keys() if key != _PASSING)


def stored(
    program: Program, outcome: Outcome, stage: Stage, ahead: Ahead, override_until: date | None = None
) -> dict[str, Any]:
    """Return an outcome, its stage and what is seen ahead as JSON: the same for the same ones, to compare two."""
    version = next(one for one in program.versions if one.id == outcome.version)
    choice = {} if outcome.track is None else {"track": outcome.track}
    is_score = program.family is Family.SCORE
    return {
        "version": outcome.version,
        "stage": {
            "name": None if stage.name is None else stage.name.value,
            "at_risk": stage.at_risk,
            "paid_level": ahead.paid_level,
            "valid_until": None if stage.valid_until is None else stage.valid_until.isoformat(),
        },
        "level": _of_score(outcome.qualified) if is_score else outcome.level,
        "possible": (NO_LEVEL if outcome.qualified is False else QUALIFIED) if is_score else outcome.possible,
        "next_level": (None if outcome.qualified else QUALIFIED) if is_score else outcome.next_level,
        "started": outcome.started,
        "track": outcome.track,
        "total": None if outcome.total is None else outcome.total.json(),
        "levels": [{"level": name, "met": one.met, "why": _written(one.codes)} for name, one in outcome.levels.items()],
        "metrics": [
            {
                "metric": name,
                "value": one.value.json(),
                "points": None if rule.score is None else one.points.json(),
                "most": None if rule.score is None else rule.score.most(choice).json(),
                "why": _written(one.codes),
            }
            for name, rule in version.metrics.items()
            if (one := outcome.metrics.get(name)) is not None
        ],
        "why": _written(outcome.codes),
        "safe_until": None if ahead.safe_until is None else ahead.safe_until.isoformat(),
        "ahead": [] if ahead.lacking is None else _written(_of_level(ahead.lacking, ahead.paid_level)),
        "override_until": None if override_until is None else override_until.isoformat(),
        **({"is_kept": True} if ahead.is_kept else {}),  # without it, a result is as it was before there was one
    }


def _of_level(outcome: Outcome, level: str | None) -> Iterator[Code]:
    """Yield what is said of a level and of the levels it needs; of a score, what is said of the total."""
    if not outcome.levels:
        yield from outcome.codes
        return
    for name, checked in outcome.levels.items():
        yield from checked.codes
        if name == level:
            return


def _of_score(qualified: bool | None) -> str | None:
    return None if qualified is None else QUALIFIED if qualified else NO_LEVEL


def _written(codes: Iterable[Code]) -> list[list[Any]]:
    return [[code.code.value, dict(code.figures)] for code in codes]
