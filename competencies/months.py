"""The months and the days behind a figure: what each month adds, and when each customer leaves the window.

The months in which a new partner of record would count follow from the rule of the day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.utils import timezone

from associations.record.access import customers_visible_to
from associations.record.models import start_of
from associations.record.rules import AssociationKind
from competencies.facts import Question, questions
from competencies.measures.asking import Ask, Caveat, Part, dated, evidence, last_instant
from competencies.measures.named import MEASURES
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer
from por.programs.calendars import leaves_on, months_between, months_later
from por.programs.rules import Measure, Program, Retroactive, Unit

#: The measures that add up months, with the unit of what they add.
OF_MONTHS = {
    Measure.ACTIVE_ENTITLEMENTS: Unit.ENTITLEMENTS,
    Measure.PAID_UNITS: Unit.SEATS,
    Measure.CONSUMPTION: Unit.USD,
    Measure.REVENUE: Unit.USD,
}
#: The measures of a window of days, in which each customer or subscription counts from one day.
OF_DAYS = {
    Measure.NEW_TENANTS: Unit.CUSTOMERS,
    Measure.LOST_TENANTS: Unit.CUSTOMERS,
    Measure.NET_NEW_TENANTS: Unit.CUSTOMERS,
    Measure.SEATS_OF_NEW_SUBSCRIPTIONS: Unit.SEATS,
}
#: How many customers of each metric are named with the day on which they leave.
MOST = 50


@dataclass(frozen=True)
class Month:
    """What a month adds to a figure, by its first day. `counts` says whether a new partner of record would have it."""

    month: date
    amount: Decimal
    is_reported: bool
    counts: bool


@dataclass(frozen=True)
class MonthsOf:
    """The months of a metric, the oldest first. `is_sum` says whether the metric is the sum of them.

    `is_credited` says whether partners of record count for it at all. `next_month` is the first month that counts for
    one who is attached on the day, if not the whole window does, and `full_from` the month from which all of them do.
    """

    metric: str
    unit: Unit
    months: list[Month]
    is_sum: bool
    retroactive: Retroactive
    is_credited: bool
    kinds: tuple[AssociationKind, ...]
    next_month: date
    full_from: date

    @property
    def total(self) -> Decimal:
        return sum((one.amount for one in self.months), Decimal(0))

    @property
    def counted(self) -> int:
        """Return how many of the months would count for a new partner of record."""
        return sum(one.counts for one in self.months)

    @property
    def largest(self) -> Decimal:
        return max((abs(one.amount) for one in self.months), default=Decimal(0))


@dataclass(frozen=True)
class Leaving:
    """What counts from a day until the window leaves it behind. `leaves_on` is the first day without it."""

    customer: Customer
    counts_from: date
    leaves_on: date
    amount: Decimal


@dataclass(frozen=True)
class DaysOf:
    """What leaves the window of a metric, the first first; how many more customers there are, and how many are hidden.

    Hidden ones are those that the reader may not see: customers of other locations of the company.
    """

    metric: str
    unit: Unit
    window: int
    leaving: list[Leaving]
    more: int
    hidden: int


def months_of(company: Organisation, program: Program, day: date, track: str | None = None) -> list[MonthsOf]:
    """Return the months of each metric that adds up months, in the order of the metrics."""
    asked: dict[str, list[Question]] = defaultdict(list)
    for one in _questions(company, program, day, track):
        if one.measure in OF_MONTHS:
            asked[one.metric].append(one)
    return [_months(company.pk, metric, some, day) for metric, some in asked.items()]


def days_of(actor: Actor, company: Organisation, program: Program, day: date, track: str | None = None) -> list[DaysOf]:
    """Return what leaves the window of each metric of days, in the order of the metrics."""
    asked = [one for one in _questions(company, program, day, track) if one.measure in OF_DAYS]
    parts = {
        one.metric: [
            part for part in evidence(MEASURES[one.measure], one.ask).get(company.pk, []) if part.customer is not None
        ]
        for one in asked
    }
    named = {part.customer for some in parts.values() for part in some}
    visible = customers_visible_to(actor).filter(pk__in=named).select_related("organisation")
    customers = {one.pk: one for one in visible}
    return [_days(one, parts[one.metric], customers) for one in asked if parts[one.metric]]


def _questions(company: Organisation, program: Program, day: date, track: str | None) -> Iterator[Question]:
    """Yield what is asked for the metrics: of the track that counts, or what is the same for every track."""
    version = program.on(day)
    if version is None:
        return
    asked: dict[str, list[Question]] = defaultdict(list)
    for one in questions(program, version, day, (company.pk,)):
        if track is None or one.track in ("", track):
            asked[one.fact.removesuffix(f".{one.track}")].append(one)
    for some in asked.values():
        if all(one.ask == some[0].ask for one in some):
            yield some[0]


# --- Months ---------------------------------------------------------------------------------------------------------


def _months(company: int, metric: str, asked: list[Question], day: date) -> MonthsOf:
    attached_at = min(start_of(day), timezone.now())
    ask = asked[0].ask
    kinds = ask.credit.kinds_on(day)
    is_credited = AssociationKind.DPOR in kinds
    found: list[Month] = []
    for one in asked:
        amounts: dict[date, Decimal] = defaultdict(Decimal)
        caveats: dict[date, Caveat] = defaultdict(lambda: Caveat(0))
        for part in dated(MEASURES[one.measure], one.ask)[0].get(company, []):
            amounts[part.date] += part.amount
            caveats[part.date] |= part.caveats
        found += [
            Month(month, amounts[month], not caveats[month], is_credited and _counts(month, one.ask, attached_at))
            for month in one.ask.months
        ]
    found.sort(key=lambda one: one.month)
    first = next((one.month for one in found if one.counts), day.replace(day=1))
    return MonthsOf(
        metric,
        OF_MONTHS[Measure(asked[0].measure)],
        found,
        len(asked) == 1,
        ask.credit.retroactive,
        is_credited,
        kinds,
        first,
        months_later(first, months_between(found[0].month, found[-1].month)),
    )


def _counts(month: date, ask: Ask, attached_at: datetime) -> bool:
    """Return whether a month counts for a partner that is attached now: all do, or those that it holds at their end."""
    return ask.credit.retroactive is Retroactive.WINDOW or last_instant(month) >= attached_at


# --- Days -----------------------------------------------------------------------------------------------------------


def _days(asked: Question, parts: list[Part], customers: dict[int, Customer]) -> DaysOf:
    seen = [
        Leaving(customers[part.customer], part.month, leaves_on(part.month, asked.ask.window.months), part.amount)
        for part in parts
        if part.customer in customers and part.customer is not None and part.month is not None
    ]
    seen.sort(key=lambda one: (one.leaves_on, one.customer.organisation.name, one.customer.pk))
    hidden = {part.customer for part in parts} - customers.keys() - {None}
    more = len({one.customer for one in seen} - {one.customer for one in seen[:MOST]})
    unit = OF_DAYS[Measure(asked.measure)]
    return DaysOf(asked.metric, unit, asked.ask.window.months, seen[:MOST], more, len(hidden))
