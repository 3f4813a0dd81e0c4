"""What explains a competency, over the API: its months, when customers leave a window, and who closes a gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

from django.http import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from associations.record.rules import AssociationKind
from competencies.api.levels import PROBLEMS
from competencies.closing import Gap, Gaps, gaps_of
from competencies.explained import closing_text, counted_text, track_text
from competencies.forms import PeopleOfPartner, Whose
from competencies.months import Basis, MonthsOf, ask_ahead, days_of, months_of
from competencies.people import ORDER, Held, credentials_of, held
from competencies.queries import asked_about, attained_in, company_for, program_on
from competencies.schemas import EXAMPLE, AmountShape, CompetencyShape, amount_shape, competency_shape, rounded
from competencies.tracks import tracks_of
from por.accounts.authentication import actor_of
from por.api.endpoint import Endpoint, wants_csv
from por.api.lists import filtered, listing
from por.api.schema import Day, Is, described, page_of
from por.programs.rules import Retroactive, Unit
from por.web.filters import AsOfForm
from por.web.lists import csv_file

OF_DAY = {404: ["not_found"], 422: [code for code in PROBLEMS[422] if code != "known_at_in_future"]}


class DetailFilter(Whose, AsOfForm):
    """Whose competency, and of which day."""


class MonthShape(TypedDict):
    """What a month has. `counts` says whether it would count for a partner of record that is attached on the day.

    `leaves_on` is the first day on which it no longer counts as it does on the day, if nothing is added.
    """

    month: Day
    amount: float
    is_reported: Annotated[bool, Is(description="False if nothing was imported for the month.")]
    counts: bool
    leaves_on: Day


class MonthsShape(TypedDict):
    """The months of a metric, each by its first day. `kind` is the type of association, if the best type counts.

    By `basis`, a month has what it adds (`sum`), what was used in it for the last time (`last_used`), what grew since
    it (`compared`), or what there was at its end (`at_month_end`): then the newest counts, less that of a year before.
    `total` is the metric; null where that is not certain, or is a share.
    """

    metric: str
    kind: Annotated[str | None, Is(enum=[*AssociationKind.values, None])]
    basis: Annotated[str, Is(enum=[one.value for one in Basis])]
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
            "kind": None,
            "basis": "sum",
            "unit": "usd",
            "retroactive": "window",
            "months": [
                {
                    "month": "2018-06-01",
                    "amount": 1000.0,
                    "is_reported": True,
                    "counts": True,
                    "leaves_on": "2019-06-30",
                }
            ],
            "total": 12000.0,
            "detail": "A partner attached on 10 Jul 2018 immediately has all 12 months, although they are earlier.",
        }
    ],
    "days": [],
}
COLUMNS = ["program", "metric", "unit", "month", "amount", "is_reported", "counts", "customer", "counts_from"]
COLUMNS += ["leaves_on", "kind", "basis"]


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
        with asked_about(company):
            ask_ahead(company, [program_on(program, day)], day)
            result = attained_in(company, program, day)
            found: WindowShape = {
                "program": program,
                "months": [
                    _months(one, counted_text(one, day))
                    for one in months_of(company, result.program, day, result.track_of_figures)
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
                    for one in days_of(actor, company, result.program, day, result.track_of_figures)
                ],
            }
        return csv_file("competency-window", COLUMNS, _lines(found), day=asked.day) if is_csv else Response(found)


def _months(of: MonthsOf, detail: str) -> MonthsShape:
    total = of.total
    return {
        "metric": of.metric,
        "kind": of.kind.value if of.kind else None,
        "basis": of.basis.value,
        "unit": of.unit.value,
        "retroactive": of.retroactive.value,
        "months": [
            {
                "month": one.month.isoformat(),
                "amount": float(one.amount),
                "is_reported": one.is_reported,
                "counts": one.counts,
                "leaves_on": one.leaves_on.isoformat(),
            }
            for one in of.months
        ],
        "total": float(total.low) if total and total.low is not None and total.low == total.high else None,
        "detail": detail,
    }


def _lines(found: WindowShape) -> Iterator[list[Any]]:
    for metric in found["months"]:
        for month in metric["months"]:
            said = [month["month"], month["amount"], month["is_reported"], month["counts"]]
            rest = [None, None, month["leaves_on"], metric["kind"], metric["basis"]]
            yield [found["program"], metric["metric"], metric["unit"], *said, *rest]
    for days in found["days"]:
        for one in days["leaving"]:
            said = [None, one["amount"], None, None, one["customer"], one["counts_from"], one["leaves_on"]]
            yield [found["program"], days["metric"], days["unit"], *said, None, None]


# --- Who would close a gap ------------------------------------------------------------------------------------------


class ClosingShape(TypedDict):
    """A customer that would add to a figure if it attached the company to these subscriptions."""

    tenant_id: str
    customer: str
    adds: float
    subscriptions: list[str]
    free_today: list[str]
    closes_all: bool


class GapShape(TypedDict):
    """What keeps the company from the next level, and who would add to it, those that would add most first.

    The first `smallest` of them are the fewest that close the gap; null if all of them are not enough. `closes_all` is
    true for customers that close all gaps of the level together, perhaps not the fewest, and for none if all are not
    enough. `free_today` are those subscriptions that still have no partner of record. `hidden` counts customers of
    other locations of the company.
    """

    metric: str
    missing: AmountShape
    customers: list[ClosingShape]
    smallest: int | None
    hidden: int
    detail: str


GAP_EXAMPLE: GapShape = {
    "metric": "seats_sold",
    "missing": {"exact": 10.0, "at_least": 10.0, "at_most": 10.0, "unit": "seats"},
    "customers": [
        {
            "tenant_id": "0a2f6f52-5d0c-4a30-9d55-1d1f3f1f0001",
            "customer": "Fjällbo Kommun",
            "adds": 15.0,
            "subscriptions": ["0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21"],
            "free_today": ["0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21"],
            "closes_all": True,
        }
    ],
    "smallest": 1,
    "hidden": 0,
    "detail": "The first customer closes the gap.",
}
GAP_COLUMNS = ["program", "metric", "unit", "missing", "customer", "tenant_id", "adds", "subscriptions", "closes"]
GAP_COLUMNS += ["free_today", "closes_all"]


class CompetencyClosing(Endpoint):
    @described(
        "competency_closing",
        "Customers that would close a gap",
        """Which customers would add to what the next level is short of, if they attached the company to their
        subscriptions that had no partner of record at the end of the day. Computed as a what-if is. Up to 200
        subscriptions that you see are tried, the largest first. Empty if no level is missed. As CSV, a row for each
        gap and customer.""",
        answers={200: list[GapShape]},
        example=[GAP_EXAMPLE],
        filters=DetailFilter,
        problems=OF_DAY,
        is_file=True,
    )
    def get(self, request: Request, program: str) -> HttpResponseBase:
        is_csv = wants_csv(request)
        asked, actor = filtered(request, DetailFilter), actor_of(request)
        company, day = company_for(actor, asked.cleaned_data["mpn_id"]), asked.day or timezone.localdate()
        gaps = gaps_of(actor, company, attained_in(company, program, day), day)
        if is_csv:
            return csv_file("competency-closing", GAP_COLUMNS, _gap_lines(program, gaps), day=asked.day)
        return Response([_gap(one, gaps.closers) for one in gaps.each])


def _gap(gap: Gap, closers: set[int]) -> GapShape:
    return {
        "metric": gap.metric,
        "missing": amount_shape(gap.missing, gap.unit),
        "customers": [
            {
                "tenant_id": str(one.customer.tenant_id),
                "customer": one.customer.organisation.name,
                "adds": rounded(one.amount),
                "subscriptions": [str(key) for key in one.subscriptions],
                "free_today": [str(key) for key in one.free_today],
                "closes_all": one.customer.pk in closers,
            }
            for one in gap.customers
        ],
        "smallest": gap.smallest,
        "hidden": gap.hidden,
        "detail": closing_text(gap),
    }


def _gap_lines(program: str, gaps: Gaps) -> Iterator[list[Any]]:
    for gap in gaps.each:
        missing = amount_shape(gap.missing, gap.unit)["exact"]
        for number, one in enumerate(gap.customers):
            yield [
                program,
                gap.metric,
                gap.unit.value,
                missing,
                one.customer.organisation.name,
                one.customer.tenant_id,
                rounded(one.amount),
                " ".join(map(str, one.subscriptions)),
                gap.smallest is not None and number < gap.smallest,
                " ".join(map(str, one.free_today)),
                one.customer.pk in gaps.closers,
            ]


# --- Tracks ---------------------------------------------------------------------------------------------------------


class TracksShape(TypedDict):
    """The tracks of a score: the result in each, and the one that counts; null if that is not certain."""

    counts: str | None
    detail: str
    tracks: list[CompetencyShape]


TRACK_COLUMNS = ["program", "track", "counts", "metric", "points", "most_points"]


class CompetencyTracks(Endpoint):
    @described(
        "competency_tracks",
        "Tracks of a score",
        """What the company has in each track of a score, which one counts and why. Without tracks on that day, `tracks`
        is empty. As CSV, a row for each track and metric.""",
        answers={200: TracksShape},
        example={
            "counts": "smb",
            "detail": "The track with the best total counts: Small and medium-sized business.",
            "tracks": [EXAMPLE | {"track": "smb"}],
        },
        filters=DetailFilter,
        problems=OF_DAY,
        is_file=True,
    )
    def get(self, request: Request, program: str) -> HttpResponseBase:
        is_csv = wants_csv(request)
        asked, actor = filtered(request, DetailFilter), actor_of(request)
        company, day = company_for(actor, asked.cleaned_data["mpn_id"]), asked.day or timezone.localdate()
        tracks = tracks_of(company, attained_in(company, program, day), day)
        found: TracksShape = {
            "counts": tracks.counts if tracks else None,
            "detail": track_text(tracks) if tracks else "",
            "tracks": [competency_shape(one) for one in tracks.each] if tracks else [],
        }
        if is_csv:
            return csv_file("competency-tracks", TRACK_COLUMNS, _track_lines(found), day=asked.day)
        return Response(found)


def _track_lines(found: TracksShape) -> Iterator[list[Any]]:
    for one in found["tracks"]:
        for metric in one["metrics"]:
            counts = one["track"] == found["counts"]
            points = [metric["points"], metric["most_points"]]
            yield [one["program"], one["track"], counts, metric["metric"], *points]


# --- People ---------------------------------------------------------------------------------------------------------


class CountsShape(TypedDict):
    """A metric of a programme for which the person counts."""

    program: str
    metric: str


class PersonShape(TypedDict):
    """A credential of a person, as the file names them. `counts_elsewhere`: the person counts for another company."""

    person: str
    credential: str
    valid_from: Day
    valid_to: Day | None
    mpn_id: str
    is_valid: bool
    expires_soon: Annotated[bool, Is(description="Valid, and its last day is within 90 days.")]
    counts_for: list[CountsShape]
    counts_elsewhere: bool
    counts_at: Annotated[str | None, Is(description="The MPN ID of the other company. For staff only.")]
    why_not: Annotated[str, Is(description="Why the person counts for nothing with it; empty if the person counts.")]


PERSON_EXAMPLE: dict[str, Any] = {
    "person": "P-1042",
    "credential": "exam:70-347",
    "valid_from": "2017-03-01",
    "valid_to": None,
    "mpn_id": "4471902",
    "is_valid": True,
    "expires_soon": False,
    "counts_for": [{"program": "competency.smcs", "metric": "people_with_exam"}],
    "counts_elsewhere": False,
    "counts_at": None,
    "why_not": "",
}
PEOPLE_COLUMNS = ["person", "credential", "valid_from", "valid_to", "mpn_id", "is_valid", "expires_soon"]
PEOPLE_COLUMNS += ["counts_for", "counts_elsewhere", "counts_at", "why_not"]


class PeopleList(Endpoint):
    @described(
        "competency_people",
        "People and credentials",
        """The people of a company with their credentials, as files bring them, and what each of them counts for on the
        day. A person counts for one company: that of the earliest credential that is valid on the day. For the company
        itself and for staff.""",
        answers={200: PersonShape},
        example=page_of(PERSON_EXAMPLE),
        filters=PeopleOfPartner,
        problems={404: OF_DAY[404], 422: [*OF_DAY[422], "search_too_short"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        asked, actor = filtered(request, PeopleOfPartner), actor_of(request)
        company, day = company_for(actor, asked.cleaned_data["mpn_id"]), asked.day or timezone.localdate()
        return listing(
            request,
            asked.apply(credentials_of(company), actor),
            lambda page: [_person(one) for one in held(company, page, day, actor)],
            order=ORDER,
            columns=PEOPLE_COLUMNS,
            name="people",
        )


def _person(one: Held) -> PersonShape:
    shown = one.credential
    return {
        "person": shown.person,
        "credential": shown.credential,
        "valid_from": shown.valid_from.isoformat(),
        "valid_to": None if shown.valid_to is None else shown.valid_to.isoformat(),
        "mpn_id": shown.partner.mpn_id,
        "is_valid": one.is_valid,
        "expires_soon": one.expires_soon,
        "counts_for": [{"program": program.id, "metric": metric} for program, metric in one.counts],
        "counts_elsewhere": one.is_elsewhere,
        "counts_at": one.elsewhere.number if one.elsewhere else None,
        "why_not": one.why_not,
    }
