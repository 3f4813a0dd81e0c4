"""The months and the days behind a figure: what each month adds, and when each customer leaves the window.

The months in which a new partner of record would count follow from the rule of the day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from operator import or_

from django.utils import timezone

from associations.record.access import customers_visible_to
from associations.record.models import start_of
from associations.record.policies import months_before
from associations.record.rules import AssociationKind
from competencies.facts import Question, asked_for, questions
from competencies.measures.asking import Ask, Part, Window, ask_together, dated, evidence, last_instant, measured
from competencies.measures.asking import Measure as MeasureOf
from competencies.measures.figures import Caveat, Figure
from competencies.measures.named import MEASURES
from competencies.unreported import NOT_REPORTED
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer
from por.programs.calendars import leaves_on, month_end, months_between, months_later
from por.programs.rules import Measure, Program, Retroactive, Unit
from por.programs.scoring import BestOfOptions


class Basis(StrEnum):
    """What the months of a metric are. The first three add up to it; of the last, the year before is taken off."""

    SUM = "sum"  #: what each month adds
    LAST_USED = "last_used"  #: what was used in a month for the last time
    COMPARED = "compared"  #: what grew since a month
    AT_MONTH_END = "at_month_end"  #: what there is in each month


#: The measures of months, with what their months are and the unit of these.
OF_MONTHS: Mapping[Measure, tuple[Basis, Unit]] = {
    Measure.ACTIVE_ENTITLEMENTS: (Basis.SUM, Unit.ENTITLEMENTS),
    Measure.PAID_UNITS: (Basis.SUM, Unit.SEATS),
    Measure.CONSUMPTION: (Basis.SUM, Unit.USD),
    Measure.REVENUE: (Basis.SUM, Unit.USD),
    Measure.SERVICES: (Basis.LAST_USED, Unit.SERVICES),
    Measure.ACTIVE_USERS: (Basis.COMPARED, Unit.USERS),
    Measure.TENANTS: (Basis.AT_MONTH_END, Unit.CUSTOMERS),
    Measure.DEPLOYED_TENANTS: (Basis.AT_MONTH_END, Unit.DEPLOYMENTS),
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
YEAR = 12


@dataclass(frozen=True)
class Month:
    """What a month has of a figure, by its first day. `counts` says whether a new partner of record would have it.

    `leaves_on` is the first day on which the month no longer counts as it does now, if nothing is added.
    """

    month: date
    amount: Decimal
    caveats: Caveat
    counts: bool
    leaves_on: date

    @property
    def is_reported(self) -> bool:
        return not self.caveats & NOT_REPORTED


@dataclass(frozen=True)
class MonthsOf:
    """The months of a metric, the oldest first; those of one type of association where the best type counts.

    `is_credited` says whether partners of record count for it at all. `next_month` is the first month that counts for
    one who is attached on the day, if not the whole window does, and `full_from` the month from which all of them do.
    Of what is compared with a year before, it is the first month in which both count.
    """

    metric: str
    kind: AssociationKind | None
    basis: Basis
    unit: Unit
    months: list[Month]
    retroactive: Retroactive
    is_credited: bool
    kinds: tuple[AssociationKind, ...]
    next_month: date
    full_from: date

    @property
    def total(self) -> Figure | None:
        """Return what the months are together: the metric; None where that is a share."""
        caveats = [one.caveats for one in self.months]
        if self.basis is not Basis.AT_MONTH_END:
            return Figure.of(sum((one.amount for one in self.months), Decimal(0)), reduce(or_, caveats))
        if self.unit is Unit.USD:
            return None
        unknown = Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED if caveats[0] | caveats[-1] else Caveat(0)
        return Figure.of(self.months[-1].amount - self.months[0].amount, unknown)

    @property
    def counted(self) -> int:
        """Return how many of the months would count for a new partner of record."""
        return sum(one.counts for one in self.months)

    @property
    def largest(self) -> Decimal:
        return max((abs(one.amount) for one in self.months), default=Decimal(0))

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is measured in any of the months."""
        return not any(one.amount or one.caveats for one in self.months)


@dataclass(frozen=True)
class Leaving:
    """What counts from a day until the window leaves it behind. `leaves_on` is the first day without it."""

    customer: Customer
    counts_from: date
    leaves_on: date
    amount: Decimal
    caveats: Caveat


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


def ask_ahead(company: Organisation, programs: Iterable[Program], day: date) -> None:
    """Ask together, within `asked_once`, what the verdicts of a day need and what the months of the metrics have."""
    asked: list[tuple[MeasureOf, Ask]] = []
    for program in programs:
        asked += asked_for(program, day, (company.pk,))
        version = program.on(day)
        for one in questions(program, version, day, (company.pk,)) if version is not None else ():
            if one.measure in OF_MONTHS:
                asked += [(MEASURES[one.measure], ask) for ask in _series(one)]
    ask_together(asked)


def months_of(company: Organisation, program: Program, day: date, track: str | None = None) -> list[MonthsOf]:
    """Return the months of each metric that looks at months, in the order of the metrics.

    Where the best type of association counts, those types are returned for which anything is measured.
    """
    asked: dict[str, dict[AssociationKind | None, Question]] = defaultdict(dict)
    for one in _questions(company, program, day, track):
        if one.measure in OF_MONTHS:
            asked[one.metric].setdefault(_kind_of(program, day, one), one)
    found: list[MonthsOf] = []
    for each in asked.values():
        of_kinds = [_months(company.pk, kind, one, day) for kind, one in each.items()]
        found += [one for one in of_kinds if not one.is_empty] or of_kinds[:1]
    return found


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


def _kind_of(program: Program, day: date, asked: Question) -> AssociationKind | None:
    """Return the type of association that a question is about, where the best type counts."""
    version = program.on(day)
    assert version is not None
    score = version.metrics[asked.metric].score
    return AssociationKind(asked.fact.split(".")[1]) if isinstance(score, BestOfOptions) else None


def _basis(asked: Question) -> tuple[Basis, Unit]:
    basis, unit = OF_MONTHS[Measure(asked.measure)]
    is_compared = asked.measure == Measure.CONSUMPTION and asked.metric != asked.fact.removesuffix(f".{asked.track}")
    return (Basis.AT_MONTH_END if is_compared else basis), unit


def _series(asked: Question) -> list[Ask]:
    """Return the questions whose answers are the months of a metric: one for each month, or one for all of them."""
    ask = asked.ask
    if _basis(asked)[0] is not Basis.AT_MONTH_END:
        return [ask]
    if asked.measure == Measure.CONSUMPTION:
        return [replace(ask, window=Window(months=YEAR + 1))] if not ask.window.months_ago else []
    return [replace(ask, window=Window(months=1, months_ago=back)) for back in reversed(range(YEAR + 1))]


def _months(company: int, kind: AssociationKind | None, asked: Question, day: date) -> MonthsOf:
    attached_at = min(start_of(day), timezone.now())
    ask, (basis, unit) = asked.ask, _basis(asked)
    kinds = ask.credit.kinds_on(day)
    is_credited = AssociationKind.DPOR in kinds
    found = [
        Month(
            month,
            amount,
            caveats,
            is_credited and _counts(month, ask, attached_at),
            month_end(months_later(month, _stays(basis, ask))),
        )
        for month, amount, caveats in _amounts(company, asked, basis)
    ]
    first = next((one.month for one in found if one.counts), day.replace(day=1))
    after = YEAR if basis in _OF_A_YEAR else months_between(found[0].month, found[-1].month)
    return MonthsOf(
        asked.metric,
        kind,
        basis,
        unit,
        found,
        ask.credit.retroactive,
        is_credited,
        kinds,
        first,
        months_later(first, after),
    )


_OF_A_YEAR = (Basis.COMPARED, Basis.AT_MONTH_END)


def _amounts(company: int, asked: Question, basis: Basis) -> list[tuple[date, Decimal, Caveat]]:
    """Return what each month has, and what is not certain of it."""
    measure, asks = MEASURES[asked.measure], _series(asked)
    if len(asks) > 1:
        figures = [(ask.newest_month, measured(measure, ask).of(company)) for ask in asks]
        return [(month, figure.low or Decimal(0), figure.caveats) for month, figure in figures]
    (ask,) = asks
    newest = ask.newest_month
    months = [months_before(newest, back) for back in reversed(range(YEAR + 1))] if basis in _OF_A_YEAR else ask.months
    amounts: dict[date, Decimal] = defaultdict(Decimal)
    caveats: dict[date, Caveat] = defaultdict(lambda: Caveat(0))
    for part in dated(measure, ask).companies.get(company, []):
        amounts[part.date] += part.amount
        caveats[part.date] |= part.caveats
    return [(month, amounts[month], caveats[month]) for month in months]


def _stays(basis: Basis, ask: Ask) -> int:
    """Return after how many months a month no longer counts as it does."""
    return {Basis.COMPARED: YEAR + 1, Basis.AT_MONTH_END: YEAR}.get(basis, ask.window.months)


def _counts(month: date, ask: Ask, attached_at: datetime) -> bool:
    """Return whether a month counts for a partner that is attached now: all do, or those that it holds at their end."""
    return ask.credit.retroactive is Retroactive.WINDOW or last_instant(month) >= attached_at


# --- Days -----------------------------------------------------------------------------------------------------------


def _days(asked: Question, parts: list[Part], customers: dict[int, Customer]) -> DaysOf:
    seen = [
        Leaving(
            customers[part.customer],
            part.month,
            leaves_on(part.month, asked.ask.window.months),
            part.amount,
            part.caveats,
        )
        for part in parts
        if part.customer in customers and part.customer is not None and part.month is not None
    ]
    seen.sort(key=lambda one: (one.leaves_on, one.customer.organisation.name, one.customer.pk))
    hidden = {part.customer for part in parts} - customers.keys() - {None}
    more = len({one.customer for one in seen} - {one.customer for one in seen[:MOST]})
    unit = OF_DAYS[Measure(asked.measure)]
    return DaysOf(asked.metric, unit, asked.ask.window.months, seen[:MOST], more, len(hidden))
