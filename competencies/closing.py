"""Which customers would close a gap: what a level is short of, and who would add to it by attaching the company.

What a customer would add comes from the same measures, and is judged by the same rules, as the answer of what if.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from associations.credit import Supposed
from associations.gaps.queries import without
from associations.record.access import all_visible_to
from associations.record.models import start_of
from associations.record.rules import AssociationKind
from competencies.facts import Question, facts_of, questions
from competencies.measures.asking import Suppose, evidence
from competencies.measures.named import MEASURES
from competencies.results import Amount, Result
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer, Subscription
from por.programs.facts import Facts
from por.programs.judging import TOTAL, judge
from por.programs.quantity import Q, exact, point
from por.programs.rules import Family, Measure, Unit

#: How many subscriptions are tried, the largest first, and how many customers of each gap are named.
TRIED, MOST = 200, 20


@dataclass(frozen=True)
class Closing:
    """A customer that would add to a figure if it attached the company to these subscriptions."""

    customer: Customer
    amount: Fraction
    subscriptions: tuple[UUID, ...]


@dataclass(frozen=True)
class Gap:
    """What keeps the company from a level, and who would close it: those that would add most come first.

    `smallest` is how many of the first customers are enough; None if all of them are not. `hidden` is how many more
    customers would add to it that the reader may not see: those of other locations of the company.
    """

    metric: str
    unit: Unit
    missing: Amount
    customers: list[Closing]
    smallest: int | None
    hidden: int

    @property
    def chosen(self) -> list[Closing]:
        """Return the customers to ask: the fewest that close the gap, or all of them."""
        return self.customers if self.smallest is None else self.customers[: self.smallest]


def gaps_of(actor: Actor, company: Organisation, result: Result, day: date) -> list[Gap]:
    """Return the gaps to the next level that customers could close, in the order of the metrics.

    Tried are subscriptions that the company sees and that have no partner of record, with those that the reader sees
    first. A gap that only time can close has no customers, and one that people close is none of customers.
    """
    wanted = list(_missing(result))
    if not wanted:
        return []
    # What the company sees as a whole: staff have no customers of their own.
    whole = Actor(user=None, organisation=company)
    reader = whole if actor.is_staff else actor
    tried = _free(reader)
    others = [one for one in _free(whole) if one.pk not in {own.pk for own in tried}]
    metrics = {name for one in wanted for name in _behind(result, one.metric)}
    before = facts_of(result.program, result.version, day, (company.pk,))[company.pk]
    trial = _Trial(result, day, company.pk, before, metrics)
    seen, unseen = trial.added(tried), trial.added(others)
    # A customer that the reader sees is not hidden, although it may have subscriptions that the reader does not see.
    visible = {one.customer_id: one.customer for one in tried}
    unseen = {customer: added for customer, added in unseen.items() if customer not in visible}
    return [trial.gap(one, tried, visible, seen, unseen) for one in wanted]


@dataclass(frozen=True)
class _Wanted:
    """A figure that is too small, what is needed of it, and what is missing."""

    metric: str
    need: Fraction | None
    missing: Amount


def _missing(result: Result) -> Iterator[_Wanted]:
    """Yield what keeps the company from the next level: for a score its total, else each metric that is too small."""
    if result.next_level is None:
        return
    if result.program.family is Family.SCORE:
        short = next((one.amount("short") for one in result.reasons if "short" in one.figures), Amount(None, None))
        yield _Wanted(TOTAL, None, short)
        return
    for name, metric in result.version.metrics.items():
        if metric.measure is Measure.PEOPLE:
            continue  # no customer changes how many people there are
        for level, reason in result.about(name):
            need = reason.amount("need")
            if level == result.next_level and "short" in reason.figures and need.low is not None and need.is_known:
                yield _Wanted(name, need.low, reason.amount("short"))
                break


def _behind(result: Result, metric: str) -> Iterable[str]:
    """Return the metrics whose facts make a figure: of a total, all of them."""
    metrics = result.version.metrics
    return metrics if metric == TOTAL else (metric, *metrics[metric].value.names())


def _free(actor: Actor) -> list[Subscription]:
    """Return the subscriptions without a partner of record that are tried, the largest first."""
    found = all_visible_to(actor).filter(without(actor), left_at=None).select_related("customer__organisation")
    return list(found.order_by(F("seats").desc(nulls_last=True), "pk")[:TRIED])


@dataclass(frozen=True)
class _Trial:
    """What customers would add to the facts of a company, and to the figures that follow from them."""

    result: Result
    day: date
    company: int
    before: Facts
    metrics: set[str]

    def added(self, tried: list[Subscription]) -> dict[int, dict[str, Decimal]]:
        """Return by customer what it would add to each fact if it attached the company to these subscriptions."""
        found: dict[int, dict[str, Decimal]] = defaultdict(dict)
        if not tried:
            return found
        at = min(start_of(self.day), timezone.now())
        suppose = Suppose(self.day, Supposed(self.company, at, tuple(one.pk for one in tried)))
        customers = {one.customer_id for one in tried}
        asked = list(self._questions(None))
        for one, supposed in zip(asked, self._questions(suppose), strict=True):
            now, then = self._by_customer(one, customers), self._by_customer(supposed, customers)
            for customer in customers:
                if amount := then.get(customer, Decimal(0)) - now.get(customer, Decimal(0)):
                    found[customer][one.fact] = amount
        return found

    def _questions(self, suppose: Suppose | None) -> Iterator[Question]:
        """Yield what is asked for the metrics to which a partner of record counts."""
        result = self.result
        for one in questions(result.program, result.version, self.day, (self.company,), suppose):
            kinds = one.ask.credit.kinds_on(self.day)
            if one.metric in self.metrics and one.measure != Measure.PEOPLE and AssociationKind.DPOR in kinds:
                yield one

    def _by_customer(self, question: Question, customers: set[int]) -> dict[int, Decimal]:
        amounts: dict[int, Decimal] = defaultdict(Decimal)
        for part in evidence(MEASURES[question.measure], question.ask).get(self.company, []):
            if part.customer in customers:
                assert part.customer is not None
                amounts[part.customer] += part.amount
        return amounts

    # --- Figures ----------------------------------------------------------------------------------------------------

    def gap(
        self,
        wanted: _Wanted,
        tried: list[Subscription],
        visible: Mapping[int, Customer],
        seen: Mapping[int, dict[str, Decimal]],
        unseen: Mapping[int, dict[str, Decimal]],
    ) -> Gap:
        amounts = {customer: self._amount(wanted, [added]) for customer, added in seen.items()}
        order = sorted(
            (customer for customer, amount in amounts.items() if amount > 0),
            key=lambda one: (-amounts[one], visible[one].organisation.name, one),
        )
        smallest = next(
            (count for count in range(1, len(order) + 1) if self._closes(wanted, [seen[one] for one in order[:count]])),
            None,
        )
        ids: dict[int, list[UUID]] = defaultdict(list)
        for one in tried:
            ids[one.customer_id].append(one.subscription_id)
        return Gap(
            wanted.metric,
            Unit.POINTS if wanted.metric == TOTAL else self.result.version.metrics[wanted.metric].unit,
            wanted.missing,
            [Closing(visible[one], amounts[one], tuple(ids[one])) for one in order],
            smallest,
            sum(self._amount(wanted, [added]) > 0 for added in unseen.values()),
        )

    def _amount(self, wanted: _Wanted, added: list[dict[str, Decimal]]) -> Fraction:
        """Return how much larger a figure certainly would be; 0 if that is not known."""
        now, then = self._figure(wanted, self.before), self._figure(wanted, self._with(added))
        return Fraction(then.low) - Fraction(now.low) if isfinite(now.low) and isfinite(then.low) else Fraction(0)

    def _figure(self, wanted: _Wanted, facts: Facts) -> Q:
        result = self.result
        if wanted.metric != TOTAL:
            return result.version.metrics[wanted.metric].value.of(facts)
        return judge(result.program, result.version, facts).total or point(0)

    def _closes(self, wanted: _Wanted, added: list[dict[str, Decimal]]) -> bool:
        facts = self._with(added)
        if wanted.need is not None:
            return self._figure(wanted, facts).low >= wanted.need
        return judge(self.result.program, self.result.version, facts).qualified is True

    def _with(self, added: list[dict[str, Decimal]]) -> Facts:
        """Return what would be known. What holds for any track follows from what holds for each."""
        values: dict[str, Q] = {}
        for one in added:
            for fact, amount in one.items():
                values[fact] = values.get(fact, self.before.number(fact)) + point(exact(amount))
        return self.before.having(**values)
