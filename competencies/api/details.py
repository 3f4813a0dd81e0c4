"""What explains a competency, over the API: its months, and the days on which customers leave a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

from django.http import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from competencies.api.levels import PROBLEMS
from competencies.explained import counted_text
from competencies.forms import Whose
from competencies.months import MonthsOf, days_of, months_of
from competencies.queries import attained_in, company_for
from por.accounts.authentication import actor_of
from por.api.endpoint import Endpoint, wants_csv
from por.api.lists import filtered
from por.api.schema import Day, Is, described
from por.programs.rules import Retroactive, Unit
from por.web.filters import AsOfForm
from por.web.lists import csv_file

OF_DAY = {404: ["not_found"], 422: [code for code in PROBLEMS[422] if code != "known_at_in_future"]}


class DetailFilter(Whose, AsOfForm):
    """Whose competency, and of which day."""


class MonthShape(TypedDict):
    """What a month adds. `counts` says whether it would count for a partner of record that is attached on the day."""

    month: Day
    amount: float
    is_reported: Annotated[bool, Is(description="False if nothing was imported for the month.")]
    counts: bool


class MonthsShape(TypedDict):
    """The months of a metric, each by its first day. `total` is null where the metric compares two months."""

    metric: str
    unit: Annotated[str, Is(enum=[one.value for one in Unit])]
    retroactive: Annotated[str, Is(enum=[one.value for one in Retroactive])]
    months: list[MonthShape]
    total: float | None
    detail: str


class LeavingShape(TypedDict):
    """What counts from a day and, from another day on, counts no longer."""

    tenant_id: str
    customer: str
    amount: float
    counts_from: Day
    leaves_on: Day


class DaysShape(TypedDict):
    """What leaves a window of days, the first first: at most 50, how many more customers there are, how many hidden."""

    metric: str
    unit: Annotated[str, Is(enum=[one.value for one in Unit])]
    leaving: list[LeavingShape]
    more: int
    hidden: int


class WindowShape(TypedDict):
    """What a competency's metrics are made of in time."""

    program: str
    months: list[MonthsShape]
    days: list[DaysShape]


WINDOW_EXAMPLE: WindowShape = {
    "program": "competency.cloud_platform",
    "months": [
        {
            "metric": "azure_consumption",
            "unit": "usd",
            "retroactive": "window",
            "months": [{"month": "2018-06-01", "amount": 1000.0, "is_reported": True, "counts": True}],
            "total": 12000.0,
            "detail": "Who becomes the partner of record on 10 Jul 2018 has all 12 months at once.",
        }
    ],
    "days": [],
}
COLUMNS = ["program", "metric", "unit", "month", "amount", "is_reported", "counts", "customer", "counts_from"]
COLUMNS += ["leaves_on"]


class CompetencyWindow(Endpoint):
    @described(
        "competency_window",
        "Months and days of a competency",
        """What each month of the window adds to the metrics that add up months, and whether it would count for a
        partner of record that is attached on the day, by the rules of that day. For metrics of a window of days, the
        day on which each customer that you see leaves it. As CSV, a row for each month and customer.""",
        answers={200: WindowShape},
        example=WINDOW_EXAMPLE,
        filters=DetailFilter,
        problems=OF_DAY,
        is_file=True,
    )
    def get(self, request: Request, program: str) -> HttpResponseBase:
        is_csv = wants_csv(request)
        asked, actor = filtered(request, DetailFilter), actor_of(request)
        company, day = company_for(actor, asked.cleaned_data["mpn_id"]), asked.day or timezone.localdate()
        result = attained_in(company, program, day)
        found: WindowShape = {
            "program": program,
            "months": [
                _months(one, counted_text(one, day)) for one in months_of(company, result.program, day, result.track)
            ],
            "days": [
                {
                    "metric": one.metric,
                    "unit": one.unit.value,
                    "leaving": [
                        {
                            "tenant_id": str(some.customer.tenant_id),
                            "customer": some.customer.organisation.name,
                            "amount": float(some.amount),
                            "counts_from": some.counts_from.isoformat(),
                            "leaves_on": some.leaves_on.isoformat(),
                        }
                        for some in one.leaving
                    ],
                    "more": one.more,
                    "hidden": one.hidden,
                }
                for one in days_of(actor, company, result.program, day, result.track)
            ],
        }
        return csv_file("competency-window", COLUMNS, _lines(found), day=asked.day) if is_csv else Response(found)


def _months(of: MonthsOf, detail: str) -> MonthsShape:
    return {
        "metric": of.metric,
        "unit": of.unit.value,
        "retroactive": of.retroactive.value,
        "months": [
            {
                "month": one.month.isoformat(),
                "amount": float(one.amount),
                "is_reported": one.is_reported,
                "counts": one.counts,
            }
            for one in of.months
        ],
        "total": float(of.total) if of.is_sum else None,
        "detail": detail,
    }


def _lines(found: WindowShape) -> Iterator[list[Any]]:
    for metric in found["months"]:
        for month in metric["months"]:
            said = [month["month"], month["amount"], month["is_reported"], month["counts"]]
            yield [found["program"], metric["metric"], metric["unit"], *said, None, None, None]
    for days in found["days"]:
        for one in days["leaving"]:
            said = [None, one["amount"], None, None, one["customer"], one["counts_from"], one["leaves_on"]]
            yield [found["program"], days["metric"], days["unit"], *said]
