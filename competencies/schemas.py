"""Competencies as the API returns them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, TypedDict

from competencies.evidence import Evidence
from competencies.models import Round
from competencies.results import UNREPORTED, Amount, MetricResult, Reason, Result
from competencies.words import is_met, meets_next, metric_text, reason_text
from por.api.schema import Day, Guid, Is, Month, Timestamp, timestamp
from por.programs.codes import Why
from por.programs.lifecycle import StageName
from por.programs.quantity import shown
from por.programs.rules import Unit

Number = Annotated[float | None, Is(description="Rounded to four places; everything is judged exactly.")]


class AmountShape(TypedDict):
    """What is known of a number: `exact`, or the bounds. Null is no bound; all three are null if nothing is known."""

    exact: Number
    at_least: Number
    at_most: Number
    unit: Annotated[str, Is(enum=[one.value for one in Unit])]


class WhyShape(TypedDict):
    """One reason: a stable code, a sentence in the reader's language, and the level it is about, if it is about one.

    With the code `months_not_reported`, `months` are those without data, as far as they are known.
    """

    code: Annotated[str, Is(enum=[one.value for one in Why])]
    detail: str
    level: str | None
    months: list[Month]


class ThresholdShape(TypedDict):
    """What a level needs of a metric; null if the figure is not published. `met` is null if it cannot be said."""

    level: str
    needed: AmountShape | None
    met: bool | None


class MetricShape(TypedDict):
    """What was measured. Only metrics of scores have points, of which there are at most `most_points`."""

    metric: str
    value: AmountShape
    thresholds: list[ThresholdShape]
    met: bool | None
    points: Number
    most_points: Number
    why: list[WhyShape]


class CompetencyShape(TypedDict):
    """What the company has reached in a programme. `level` is null if it cannot be said, and "none" is a level.

    With what is known on the day, the level lasts until `safe_until`: null if no end is seen within a year. An active
    level is `at_risk` if the requirements will not be met at its anniversary, `valid_until`, and no override of that
    level or of a higher one holds on that day; null if nobody can tell. `ahead` says what may be missing then.

    `state` is null if it cannot be said, as where no holdings have been imported. An active company has paid for
    `paid_level`, whatever it has reached. Until `override_until`, an override
    by platform staff stands in for what is not met.
    """

    program: str
    title: str
    level: str | None
    next_level: str | None
    state: Annotated[str | None, Is(enum=[*(one.value for one in StageName), None])]
    paid_level: str | None
    valid_until: Day | None
    at_risk: bool | None
    safe_until: Day | None
    ahead: list[WhyShape]
    override_until: Day | None
    rule_version: str
    track: str | None
    total: AmountShape | None
    metrics: list[MetricShape]
    why: list[WhyShape]


class CustomerAmountShape(TypedDict):
    """A customer, and what it adds to the metric; null if that comes from usage that the caller no longer sees."""

    tenant_id: Guid
    name: str
    amount: Number


class MetricCustomersShape(TypedDict):
    """The customers behind a metric, those that add most first. `more` are left out; `hidden` are not the caller's."""

    metric: str
    customers: list[CustomerAmountShape]
    more: int
    hidden: int


class CompetencyDetailShape(CompetencyShape):
    """What the company has reached in a programme, and the customers behind each metric that counts them."""

    customers: list[MetricCustomersShape]


class RoundShape(TypedDict):
    """A recomputation of many companies. It ends when all of them are `done` or `failed`.

    `changed` are those with another result. With `since`, stored days before it are not computed again.
    """

    id: int
    reason: Annotated[str, Is(enum=Round.Reason.values)]
    since: Day | None
    companies: int
    done: int
    changed: int
    failed: int
    begun_at: Timestamp
    ended_at: Timestamp | None
    seconds: float


class WhatIfShape(TypedDict):
    """What the company has reached in a programme on the day, and what it would reach."""

    program: str
    today: CompetencyShape
    supposed: CompetencyShape


EXAMPLE: dict[str, Any] = {
    "program": "competency.smcs",
    "title": "Small and Midmarket Cloud Solutions",
    "level": "silver",
    "next_level": "gold",
    "state": "active",
    "paid_level": "silver",
    "valid_until": "2016-09-14",
    "at_risk": False,
    "safe_until": "2016-11-30",
    "ahead": [],
    "override_until": None,
    "rule_version": "smcs-2015",
    "track": None,
    "total": None,
    "metrics": [
        {
            "metric": "new_customers",
            "value": {"exact": 12.0, "at_least": 12.0, "at_most": 12.0, "unit": "customers"},
            "thresholds": [
                {
                    "level": "silver",
                    "needed": {"exact": 4.0, "at_least": 4.0, "at_most": 4.0, "unit": "customers"},
                    "met": True,
                },
                {
                    "level": "gold",
                    "needed": {"exact": 25.0, "at_least": 25.0, "at_most": 25.0, "unit": "customers"},
                    "met": False,
                },
            ],
            "met": False,
            "points": None,
            "most_points": None,
            "why": [
                {
                    "code": "short_by",
                    "detail": "12 of 25 customers. Missing: 13 customers.",
                    "level": "gold",
                    "months": [],
                }
            ],
        }
    ],
    "why": [],
}
DETAIL_EXAMPLE = EXAMPLE | {
    "customers": [
        {
            "metric": "new_customers",
            "customers": [
                {"tenant_id": "0a2f6f52-5d0c-4a30-9d55-1d1f3f1f0001", "name": "Fjord Energy AS", "amount": 1.0}
            ],
            "more": 0,
            "hidden": 11,
        }
    ]
}
ROUND_EXAMPLE: dict[str, Any] = {
    "id": 7,
    "reason": "nightly",
    "since": "2026-11-30",
    "companies": 5000,
    "done": 4500,
    "changed": 12,
    "failed": 0,
    "begun_at": "2026-11-30T02:00:00Z",
    "ended_at": None,
    "seconds": 41.5,
}


def competency_shape(result: Result) -> CompetencyShape:
    """Return what a company has reached in one programme."""
    stage = result.stage
    return {
        "program": result.program.id,
        "title": result.program.title,
        "level": result.level,
        "next_level": result.next_level,
        "state": None if stage.name is None else stage.name.value,
        "paid_level": result.paid_level,
        "valid_until": None if stage.valid_until is None else stage.valid_until.isoformat(),
        "at_risk": stage.at_risk,
        "safe_until": None if result.safe_until is None else result.safe_until.isoformat(),
        "ahead": [_ahead(one, result) for one in result.ahead],
        "override_until": None if result.override_until is None else result.override_until.isoformat(),
        "rule_version": result.version.id,
        "track": result.track,
        "total": None if result.total is None else amount_shape(result.total, Unit.POINTS),
        "metrics": [_metric(result, one) for one in result.metrics],
        "why": [_why(one, reason_text(one, Unit.POINTS), one.figures.get("level")) for one in result.reasons],
    }


def detail_shape(result: Result, evidence: Mapping[str, Evidence]) -> CompetencyDetailShape:
    """Return what a company has reached in one programme, with the customers behind each metric."""
    return {
        **competency_shape(result),
        "customers": [
            {
                "metric": metric,
                "customers": [
                    {
                        "tenant_id": str(one.customer.tenant_id),
                        "name": one.customer.organisation.name,
                        "amount": None if one.amount is None else _rounded(Fraction(one.amount)),
                    }
                    for one in found.customers
                ],
                "more": found.more,
                "hidden": found.hidden,
            }
            for metric, found in evidence.items()
        ],
    }


def round_shape(round_: Round) -> RoundShape:
    """Return a recomputation of many companies."""
    return {
        "id": round_.pk,
        "reason": round_.reason,
        "since": None if round_.since is None else round_.since.isoformat(),
        "companies": round_.companies,
        "done": round_.done,
        "changed": round_.changed,
        "failed": round_.failed,
        "begun_at": timestamp(round_.begun_at),
        "ended_at": None if round_.ended_at is None else timestamp(round_.ended_at),
        "seconds": round(round_.seconds, 1),
    }


def what_if_shape(today: Result, supposed: Result) -> WhatIfShape:
    """Return what a company has reached and would reach in one programme."""
    return {
        "program": today.program.id,
        "today": competency_shape(today),
        "supposed": competency_shape(supposed),
    }


def _metric(result: Result, metric: MetricResult) -> MetricShape:
    rule = result.version.metrics[metric.metric]
    unit = rule.unit
    about = list(result.about(metric.metric))
    return {
        "metric": metric.metric,
        "value": amount_shape(metric.value, unit),
        "thresholds": [
            {
                "level": level,
                "needed": None
                if reason.code is Why.FIGURE_NOT_PUBLISHED
                else amount_shape(reason.amount("need"), unit),
                "met": is_met(reason),
            }
            for level, reason in about
        ],
        "met": meets_next(result, metric),
        "points": None if metric.points is None else _exact(metric.points),
        "most_points": None if metric.most is None else _exact(metric.most),
        "why": [
            *(_why(reason, metric_text(reason, metric.metric, rule), level) for level, reason in about),
            *(_why(reason, metric_text(reason, metric.metric, rule), None) for reason in metric.said),
        ],
    }


def _ahead(reason: Reason, result: Result) -> WhyShape:
    name = str(reason.figures.get("metric"))
    return _why(reason, metric_text(reason, name, result.version.metrics.get(name)), reason.figures.get("level"))


def _why(reason: Reason, text: str, level: Any) -> WhyShape:
    months = [f"{month:%Y-%m}" for month in reason.figures.get(UNREPORTED, ())]
    return {"code": reason.code.value, "detail": text, "level": level, "months": months}


def amount_shape(amount: Amount, unit: Unit) -> AmountShape:
    """Return an amount with its unit."""
    return {
        "exact": _exact(amount),
        "at_least": _rounded(amount.low),
        "at_most": _rounded(amount.high),
        "unit": unit.value,
    }


def _exact(amount: Amount) -> float | None:
    return _rounded(amount.low) if amount.is_known else None


def _rounded(number: Fraction | None) -> float | None:
    return None if number is None else rounded(number)


def rounded(number: Fraction) -> float:
    """Return a number rounded to four places."""
    return float(shown(number, 4))
