"""Results as pages show them: a row for each metric with what it needs, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from competencies.evidence import Evidence
from competencies.results import Amount, MetricResult, Reached, Reason, Result
from competencies.ways import ways_of
from competencies.words import (
    LEVELS,
    METRICS,
    TRACKS,
    amount_text,
    decisive,
    is_met,
    meets_next,
    metric_text,
    number_with_unit,
    of_metric,
    of_option,
    plain_amount,
    reason_of,
    reason_text,
    words_of,
)
from por.directory.models import Customer
from por.programs.codes import Why
from por.programs.judging import NO_LEVEL
from por.programs.lifecycle import StageName
from por.programs.rules import Measure, Metric, Program, Unit
from por.web.formatting import day_text

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

STAGES: dict[StageName | None, tuple[LazyText, str]] = {
    StageName.NONE: (gettext_lazy("Not started"), ""),
    StageName.STARTED: (gettext_lazy("In progress"), "info"),
    StageName.QUALIFIED: (pgettext_lazy("stage", "Qualified, fee not paid"), "ok"),
    StageName.ACTIVE: (pgettext_lazy("stage", "Active"), "ok"),
    StageName.LOST: (pgettext_lazy("stage", "Lost"), "bad"),
    None: (gettext_lazy("Not known"), ""),
}
AT_RISK: tuple[LazyText, str] = (gettext_lazy("Active, at risk"), "warn")


@dataclass(frozen=True)
class Line:
    """A sentence about a metric or a level, with its tone: ok, bad or info."""

    text: str
    tone: str


@dataclass(frozen=True)
class Need:
    """What a level needs of a metric, and whether it is there."""

    level: str
    amount: str
    met: bool | None


@dataclass(frozen=True)
class MetricRow:
    """A metric of a page. `share` of 100 says how much of what the next level needs is there; None if not known.

    `notes` are those of `lines` that say what is not certain of what was measured.
    """

    key: str
    name: str
    have: str
    needs: list[Need]
    points: str
    lines: list[Line]
    notes: list[Line]
    share: Fraction | None
    is_met: bool | None
    is_asked: bool
    reasons: list[Reason]


@dataclass(frozen=True)
class Summary:
    """A programme in one line of a page. `tone` is that of the stage; scores have a total, and its share of 100."""

    program: Program
    level: str
    stage: str
    tone: str
    total: str
    total_share: Fraction | None


@dataclass(frozen=True)
class Shown:
    """A programme of a page."""

    result: Result
    level: str
    next_level: str
    stage: str
    tone: str
    about_stage: str
    total: str
    total_share: Fraction | None
    track: str
    metrics: list[MetricRow]
    lines: list[Line]
    forecast: list[str]

    @property
    def id(self) -> str:
        return self.result.program.id

    @property
    def title(self) -> str:
        return self.result.program.title

    @property
    def valid_until(self) -> date | None:
        """Return the last day of an active level."""
        return self.result.stage.valid_until if self.result.stage.name is StageName.ACTIVE else None

    @property
    def has_services(self) -> bool:
        """Return whether services count, which are of the whole company and not of single customers."""
        metrics = self.result.version.metrics
        return any(metrics[one.metric].measure is Measure.SERVICES and one.value.low for one in self.result.metrics)

    @property
    def paid_level(self) -> str:
        """Return the active level that is paid for; "" if nothing is."""
        return str(LEVELS[self.result.paid_level]) if self.result.paid_level else ""


def summary(result: Reached | Result) -> Summary:
    """Return what a page shows of a programme in one line, in the reader's language."""
    stage, tone = AT_RISK if result.stage.at_risk else STAGES[result.stage.name]
    return Summary(
        result.program,
        _("Undetermined") if result.level is None else str(LEVELS[result.level]),
        str(stage),
        tone,
        amount_text(result.total, Unit.POINTS) if result.total is not None else "",
        _share(result.total, Amount.of(100)) if result.total is not None else None,
    )


def shown(result: Result) -> Shown:
    """Return what a page shows of a programme, in the reader's language."""
    line = summary(result)
    return Shown(
        result,
        line.level,
        str(LEVELS[result.next_level]) if result.next_level else "",
        line.stage,
        line.tone,
        stage_text(result),
        line.total,
        line.total_share,
        str(TRACKS[result.track]) if result.track else "",
        [_row(result, one) for one in result.metrics],
        list(
            dict.fromkeys(
                Line(reason_text(one, Unit.POINTS), words_of(one).tone) for one in result.reasons if not _is_open(one)
            )
        ),
        list(_forecast(result)),
    )


def stage_text(result: Result) -> str:
    """Return why a company is at its stage; "" for an active level, whose last day stands beside it."""
    name, until = result.stage.name, result.stage.valid_until
    lowest = result.levels[0].met if result.levels else {NO_LEVEL: False, None: None}.get(result.level, True)
    if name is StageName.NONE:
        return _("Nothing counts for this yet.")
    if name is StageName.STARTED:
        return _("Something counts already, but not all requirements are met.")
    if name is StageName.QUALIFIED:
        return _("The requirements are met. It becomes active on the day on which the fee is paid.")
    if name is StageName.LOST:
        return _("It was paid for until %(when)s, and the requirements are no longer met.") % {"when": day_text(until)}
    if name is None and until is not None:
        text = _("It was paid for until %(when)s. We cannot tell whether the requirements are still met.")
        return text % {"when": day_text(until)}
    if name is None and lowest:
        return _(
            "The requirements are met. It is not known whether the fee is paid, because no holdings have been imported."
        )
    if name is None and lowest is False:
        return _("The requirements are not met. We cannot tell whether anything counts already.")
    if name is None and result.metrics:
        return _("We cannot tell whether the requirements are met, because not everything is known.")
    return ""


def _forecast(result: Result) -> Iterator[str]:
    """Yield what is said of the days to come: whether a paid level is at risk, and until when the level is safe."""
    if not result.has_forecast:
        return
    until, lacking = result.stage.valid_until, _lacking(result)
    if until is not None and (result.stage.at_risk or (result.is_kept and lacking)):
        text = _("At the anniversary on %(when)s the requirements will not be met, if nothing is added:")
        yield text % {"when": day_text(until)}
        yield from lacking
    elif until is not None and result.ahead:
        text = _("We cannot tell whether the requirements will be met at the anniversary on %(when)s.")
        yield text % {"when": day_text(until)}
    if result.is_kept:
        yield _("The override by platform staff still holds at the anniversary, so the level is not at risk.")
    if result.level not in (None, NO_LEVEL):
        level = {"level": str(LEVELS[result.level])}
        if result.safe_until is None:
            yield _("Nothing that is known now ends the level %(level)s within a year.") % level
        else:
            text = _("With what is known now, the level %(level)s lasts until %(when)s.")
            yield text % (level | {"when": day_text(result.safe_until)})


def _lacking(result: Result) -> list[str]:
    """Return what a paid level lacks at its anniversary, each with its metric.

    Of what several levels ask, the paid one asks most, and stands last.
    """
    texts: dict[Any, str] = {}
    for reason in result.ahead:
        if is_met(reason) is False and not _is_open(reason):
            figures = reason.figures
            texts[figures.get("metric"), figures.get("option"), reason.code] = reason_of(reason, result.version)
    return list(texts.values())


def _row(result: Result, metric: MetricResult) -> MetricRow:
    rule = result.version.metrics[metric.metric]
    deciding = decisive(result, metric.metric)
    reasons = [*deciding, *metric.said]
    points = ""
    if metric.points is not None and metric.most is not None:
        points = _("%(points)s of %(most)s") % {
            "points": plain_amount(metric.points),
            "most": amount_text(metric.most, Unit.POINTS),
        }
        shares = [_share(metric.points, metric.most)]
    else:
        shares = [_share(metric.value, one.amount("need")) for one in deciding if "need" in one.figures]
    return MetricRow(
        metric.metric,
        str(METRICS[metric.metric]),
        amount_text(metric.value, rule.unit),
        [_need(level, reason, rule.unit) for level, reason in result.about(metric.metric)],
        points,
        _lines(reasons, metric.metric, rule),
        _lines(metric.said, metric.metric, rule) if metric.points is None else [],
        max((one for one in shares if one is not None), default=None),
        meets_next(result, metric),
        bool(deciding) or metric.points is not None,
        reasons,
    )


def _lines(reasons: list[Reason], name: str, rule: Metric) -> list[Line]:
    """Return what is said of a metric. A reason about something that the metric follows from names it."""
    lines = []
    for one in reasons:
        text = of_option(one, metric_text(one, name, rule))
        about = one.figures.get("metric")
        if isinstance(about, str) and about != name and about in METRICS:
            text = of_metric(about, text)
        lines.append(Line(text, words_of(one).tone))
    return list(dict.fromkeys(lines))


def _is_open(reason: Reason) -> bool:
    """Return whether a metric may have points, so that nothing can be said of it that the total does not say."""
    return reason.code is Why.AT_ZERO and not reason.amount("have").is_known


def _need(level: str, reason: Reason, unit: Unit) -> Need:
    is_published = reason.code is not Why.FIGURE_NOT_PUBLISHED
    amount = amount_text(reason.amount("need"), unit) if is_published else _("not published")
    return Need(of_option(reason, str(LEVELS[level])), amount, is_met(reason))


def _share(have: Amount, need: Amount) -> Fraction | None:
    """Return how much of a need is certainly there, in per cent, at most 100; None if either is unknown."""
    if have.low is None or not need.is_known or not need.low or (not have.low and not have.is_known):
        return None
    return max(Fraction(0), min(Fraction(100), have.low * 100 / need.low))


@dataclass(frozen=True)
class Compared:
    """A programme of a page that says what would be: today's, the supposed one, and what changes in each metric."""

    today: Shown
    supposed: Shown
    changes: list[str]

    @property
    def is_other_level(self) -> bool:
        return self.today.level != self.supposed.level


def compared(today: Result, supposed: Result) -> Compared:
    """Return what a page shows of a programme and of what it would be, in the reader's language."""
    before, after = shown(today), shown(supposed)
    rows = {row.key: row for row in before.metrics}
    changes = [
        _("%(metric)s: %(before)s, then %(after)s") % {"metric": row.name, "before": old, "after": new}
        for row in after.metrics
        if row.key in rows
        for old, new in ((rows[row.key].have, row.have), (rows[row.key].points, row.points))
        if old != new
    ]
    return Compared(before, after, changes)


class Missing(NamedTuple):
    """A metric that keeps the company from the next level, and what would reach it."""

    row: MetricRow
    ways: list[str]


def missing(page: Shown, day: date) -> Iterator[Missing]:
    """Yield the metrics that keep the company from the next level, each with what would reach it."""
    if page.result.next_level is not None:
        for row in page.metrics:
            if row.is_asked and row.is_met is not True:
                yield Missing(row, ways_of(page.result, row.key, row.reasons, day))


@dataclass(frozen=True)
class Who:
    """The customers behind a metric, each with what it adds in words."""

    metric: str
    customers: list[tuple[Customer, str]]
    more: int
    hidden: int


def who(result: Result, found: dict[str, Evidence]) -> list[Who]:
    """Return who makes each metric, in the order of the metrics."""
    return [
        Who(
            str(METRICS[name]),
            [(one.customer, _of_measure(one.amount, metric)) for one in found[name].customers],
            found[name].more,
            found[name].hidden,
        )
        for name, metric in result.version.metrics.items()
        if name in found
    ]


def _of_measure(amount: Decimal | None, metric: Metric) -> str:
    """Return what a customer adds: what is measured, even where growth of it is what counts; "" if it is hidden."""
    if amount is None:
        return ""
    unit = Unit.USD if metric.measure is Measure.CONSUMPTION else metric.unit
    return number_with_unit(Fraction(amount), unit)
