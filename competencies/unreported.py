"""The months of a figure of which nobody has imported any data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from associations.record.policies import months_before
from competencies.facts import Question, questions
from competencies.measures.asking import Suppose, dated, once
from competencies.measures.figures import Caveat
from competencies.measures.named import MEASURES
from competencies.results import Result
from competencies.words import months_text
from por.directory.models import ReportedMonth
from por.programs.calendars import month_end, newest_month
from por.programs.codes import Why
from por.programs.rules import Measure

#: What says of a month that it is not reported.
NOT_REPORTED = Caveat.MONTH_NOT_REPORTED | Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED
#: The file whose months a measure looks at, where that is not usage.
_FILES = {Measure.SERVICES: "consumption", Measure.REVENUE: "revenue"}
YEAR = 12


def with_months(result: Result, company: int, day: date, suppose: Suppose | None = None) -> Result:
    """Return a result of the day, as it is known now, with the months that are not reported.

    They are those that the figures of the company lack, and of which there is still no data. None are named if data
    has come since.
    """
    metrics = [
        replace(one, unreported=_months(result, one.metric, company, day, suppose))
        if any(reason.code is Why.MONTHS_NOT_REPORTED for reason in one.reasons)
        else one
        for one in result.metrics
    ]
    return replace(result, metrics=metrics)


class NotYet(NamedTuple):
    """The newest months, of which there is no data yet, and the last day of the month before them."""

    months: list[date]
    day: date

    @property
    def text(self) -> str:
        return months_text(self.months)


def not_yet(results: Iterable[Result], day: date) -> NotYet | None:
    """Return the newest months that results of a day lack; None if they have them, or there is nothing before them."""
    lacking = {month for result in results for metric in result.metrics for month in metric.unreported}
    months, month = [], newest_month(day)
    while month in lacking:
        months.append(month)
        month = months_before(month, 1)
    return NotYet(months[::-1], month_end(month)) if months and month in _reported("usage") else None


def _months(result: Result, metric: str, company: int, day: date, suppose: Suppose | None) -> tuple[date, ...]:
    """Return the months without data of a metric, and of those it follows from, in the track of its figures."""
    behind, track = {metric, *result.version.metrics[metric].value.names()}, result.track_of_figures
    asked = (
        one
        for one in questions(result.program, result.version, day, (company,), suppose)
        if one.metric in behind and (track is None or one.track in ("", track))
    )
    return tuple(sorted({month for one in asked for month in _lacking(one, company)}))


def _lacking(asked: Question, company: int) -> Iterator[date]:
    """Yield the months without data of which a figure says that something is not reported."""
    reported = _reported(_FILES.get(Measure(asked.measure), "usage"))
    for one in dated(MEASURES[asked.measure], asked.ask).companies.get(company, ()):
        if one.caveats & NOT_REPORTED:
            # Of a month that is reported, what is not certain is the size of a customer a year before.
            year_before = (months_before(month, YEAR) for month in (one.date, asked.ask.newest_month))
            yield from {one.date} - reported or {*year_before} - reported


def _reported(file: str) -> frozenset[date]:
    months = ReportedMonth.objects.filter(file=file).values_list("month", flat=True)
    return once(("reported months", file), lambda: frozenset(months))
