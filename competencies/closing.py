"""Which customers would close a gap: what a level is short of, and who would add to it by attaching the company.

What a customer would add comes from the same measures, and is judged by the same rules, as the answer of what if.
A subscription is tried if it had no partner of record on the day. What a reader may see is judged today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import accumulate
from math import inf, isfinite
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from associations.credit import Supposed
from associations.gaps.queries import without
from associations.record.access import all_visible_to
from associations.record.models import start_of
from associations.record.rules import AssociationKind
from competencies.facts import Question, facts_of, questions
from competencies.measures.asking import Ask, Suppose, contributions
from competencies.measures.named import MEASURES
from competencies.results import Amount, Reason, Result
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer, Subscription
from por.programs.facts import Facts
from por.programs.judging import TOTAL, Outcome, judge
from por.programs.quantity import Q, exact, point
from por.programs.rules import Family, Measure, Unit

#: How many subscriptions are tried, the largest first, and how many customers of each gap are named.
TRIED, MOST = 200, 20
#: Shares of what is missing are added up as floats. What closes a gap is judged exactly.
_ROUNDING = 1e-6
#: How much is added to facts, by their names.
Added = dict[str, Decimal]


@dataclass(frozen=True)
class Closing:
    """A customer that would add to a figure if it attached the company to these subscriptions.

    `free_today` are those that still have no partner of record.
    """

    customer: Customer
    amount: Fraction
    subscriptions: tuple[UUID, ...]
    free_today: tuple[UUID, ...]


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


@dataclass(frozen=True)
class Together:
    """The customers that close all gaps of a level together; none if all that would add to one are not enough.

    There may be fewer that do. `is_reached` says whether the level is then reached, None if that is not known, and
    `left` has the reasons for that, with what it still lacks: people, for example. `hidden` counts those that would add
    to a gap and that the reader may not see.
    """

    level: str
    customers: list[Customer]
    is_reached: bool | None
    left: list[Reason]
    hidden: int


@dataclass(frozen=True)
class Gaps:
    """The gaps to the next level, in the order of the metrics; with several of them, who closes all together."""

    each: list[Gap]
    together: Together | None = None

    @property
    def closers(self) -> set[int]:
        """Return the keys of the customers that close all gaps together, or the only gap."""
        if self.together is not None:
            return {one.pk for one in self.together.customers}
        if len(self.each) != 1 or self.each[0].smallest is None:
            return set()
        return {one.customer.pk for one in self.each[0].chosen}


def gaps_of(actor: Actor, company: Organisation, result: Result, day: date) -> Gaps:
    """Return the gaps to the next level that customers could close, and who would close them.

    Tried are subscriptions that the company sees and that had no partner of record at the end of the day, with those
    that the reader sees first. A gap that only time can close has no customers, and one that people close is none of
    customers.
    """
    wanted = list(_missing(result))
    if not wanted:
        return Gaps([])
    # What the company sees as a whole: staff have no customers of their own.
    whole = Actor(user=None, organisation=company)
    reader = whole if actor.is_staff else actor
    tried = _free(reader, day)
    others = [one for one in _free(whole, day) if one.pk not in {own.pk for own in tried}]
    before = facts_of(result.program, result.version, day, (company.pk,))[company.pk]
    trial = _Trial(result, day, company.pk, before, {name for one in wanted for name in _behind(result, one.metric)})
    # A customer that the reader sees is not hidden, although it may have subscriptions that the reader does not see.
    visible = {one.customer_id: one.customer for one in tried}
    seen = trial.added(tried)
    unseen = {one: added for one, added in trial.added(others).items() if one not in visible}
    amounts = {one.metric: trial.amounts(one, {**seen, **unseen}) for one in wanted}
    found = _Found(tried, visible, _free_today(reader, tried, day), seen, unseen.keys(), amounts)
    return Gaps([trial.gap(one, found) for one in wanted], trial.together(found) if len(wanted) > 1 else None)


@dataclass(frozen=True)
class _Wanted:
    """A figure that is too small, what is needed of it, and what is missing."""

    metric: str
    need: Fraction | None
    missing: Amount


@dataclass(frozen=True)
class _Found:
    """The subscriptions that were tried, their customers, and what each customer would add to each fact and figure.

    `free_today` are the keys of those that still have no partner of record. `unseen` are the customers that the reader
    may not see. `amounts` has by metric how much larger its figure certainly would be, by customer.
    """

    tried: list[Subscription]
    visible: Mapping[int, Customer]
    free_today: set[int]
    seen: Mapping[int, Added]
    unseen: Collection[int]
    amounts: Mapping[str, Mapping[int, Fraction]]

    def adds(self, customer: int) -> bool:
        """Return whether a customer would add to any of the gaps."""
        return any(amounts[customer] > 0 for amounts in self.amounts.values())


def _missing(result: Result) -> Iterator[_Wanted]:
    """Yield what keeps the company from the next level: for a score its total, else each metric that is too small."""
    if result.next_level is None:
        return
    if result.program.family is Family.SCORE:
        short = next((one.amount("short") for one in result.reasons if "short" in one.figures), Amount(None, None))
        yield _Wanted(TOTAL, None, short)
        return
    firsts: dict[str, _Wanted] = {}
    for option in _options(result).values():
        for one in option:
            firsts.setdefault(one.metric, one)
    yield from (firsts[name] for name in result.version.metrics if name in firsts)


def _options(result: Result) -> dict[object, list[_Wanted]]:
    """Return for each option of the next level the metrics that are too small, in the order of the metrics."""
    found: dict[object, list[_Wanted]] = {}
    for name, metric in result.version.metrics.items():
        for level, reason in result.about(name):
            option = found.setdefault(reason.figures.get("option"), []) if level == result.next_level else []
            need = reason.amount("need")
            # No customer changes how many people there are.
            if metric.measure is not Measure.PEOPLE and "short" in reason.figures and need.is_known:
                option.append(_Wanted(name, need.low, reason.amount("short")))
    return found


def _behind(result: Result, metric: str) -> Iterable[str]:
    """Return the metrics whose facts make a figure: of a total, all of them."""
    metrics = result.version.metrics
    return metrics if metric == TOTAL else (metric, *metrics[metric].value.names())


def _free(actor: Actor, day: date) -> list[Subscription]:
    """Return the subscriptions without a partner of record on a day that are tried, the largest first."""
    found = _without(actor, day if day < timezone.localdate() else None).select_related("customer__organisation")
    return list(found.order_by(F("seats").desc(nulls_last=True), "pk")[:TRIED])


def _free_today(actor: Actor, tried: list[Subscription], day: date) -> set[int]:
    """Return the keys of those that were tried and that still have no partner of record."""
    keys = {one.pk for one in tried}
    if day >= timezone.localdate():
        return keys
    return set(_without(actor, None).filter(pk__in=keys).values_list("pk", flat=True))


def _without(actor: Actor, as_of: date | None) -> QuerySet[Subscription]:
    found = all_visible_to(actor).filter(without(actor, as_of))
    return found if as_of else found.filter(left_at=None)


@dataclass(frozen=True)
class _Trial:
    """What customers would add to the facts of a company, and to the figures that follow from them."""

    result: Result
    day: date
    company: int
    before: Facts
    metrics: set[str]

    def added(self, tried: list[Subscription]) -> dict[int, Added]:
        """Return by customer what it would add to each fact if it attached the company to these subscriptions."""
        found: dict[int, Added] = defaultdict(dict)
        if not tried:
            return found
        at = min(start_of(self.day), timezone.now())
        suppose = Suppose(self.day, Supposed(self.company, at, tuple(one.pk for one in tried)))
        customers = tuple(sorted({one.customer_id for one in tried}))
        asked = list(self._questions(None))
        for one, supposed in zip(asked, self._questions(suppose), strict=True):
            now = self._by_customer(one.measure, one.ask)
            then = self._by_customer(one.measure, replace(supposed.ask, customers=customers))
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

    def _by_customer(self, measure: str, ask: Ask) -> dict[int, Decimal]:
        """Return what each customer adds to the figure of the company."""
        rows = contributions(MEASURES[measure], ask)
        return {customer: amount for company, customer, amount in rows if company == self.company}

    # --- Figures ----------------------------------------------------------------------------------------------------

    def gap(self, wanted: _Wanted, found: _Found) -> Gap:
        amounts = found.amounts[wanted.metric]
        order = sorted(
            (customer for customer in found.seen if amounts[customer] > 0),
            key=lambda one: (-amounts[one], found.visible[one].organisation.name, one),
        )
        totals = accumulate((found.seen[one] for one in order), _plus)
        smallest = next((count for count, added in enumerate(totals, 1) if self._closes(wanted, added)), None)
        ids: dict[int, list[Subscription]] = defaultdict(list)
        for one in found.tried:
            ids[one.customer_id].append(one)
        return Gap(
            wanted.metric,
            Unit.POINTS if wanted.metric == TOTAL else self.result.version.metrics[wanted.metric].unit,
            wanted.missing,
            [
                Closing(
                    found.visible[customer],
                    amounts[customer],
                    tuple(one.subscription_id for one in ids[customer]),
                    tuple(one.subscription_id for one in ids[customer] if one.pk in found.free_today),
                )
                for customer in order
            ],
            smallest,
            sum(amounts[customer] > 0 for customer in found.unseen),
        )

    def together(self, found: _Found) -> Together | None:
        """Return who closes all gaps of the level; None if nobody adds to one, or customers close none that decides."""
        options, level = _options(self.result), self.result.next_level
        hidden = sum(map(found.adds, found.unseen))
        if level is None or not all(options.values()):
            return None
        if not any(map(found.adds, found.seen)):
            return None
        each = {name: self._closers(option, level, found) for name, option in options.items()}
        closed = [name for name, chosen in each.items() if chosen]
        if not closed:
            return Together(level, [], None, [], hidden)
        name = min(closed, key=lambda one: len(each[one]))
        chosen = each[name]
        checked = self._judged(reduce(_plus, (found.seen[one] for one in chosen))).levels[level]
        left = [Reason(one.code, one.figures) for one in checked.codes if one.figures.get("option") == name]
        return Together(level, [found.visible[one] for one in chosen], checked.met, left, hidden)

    def _closers(self, option: list[_Wanted], level: str, found: _Found) -> list[int]:
        """Return customers that close all gaps of an option together, each of which is needed; none if they cannot.

        Each is the one that adds most to what is still missing. So there may be fewer that do.
        """
        short = [one.need - self._figure(one, self.before).low for one in option if one.need is not None]
        if not all(0 < one < inf for one in short):
            return []
        rest = {
            one: shares
            for one in found.seen
            if max(shares := [float(found.amounts[w.metric][one] / s) for w, s in zip(option, short, strict=True)]) > 0
        }
        left, chosen, total = [1.0] * len(short), list[int](), Added()
        while rest:
            best = max(rest, key=lambda one: (sum(map(min, left, rest[one])), sum(rest[one]), -one))
            chosen.append(best)
            total = _plus(total, found.seen[best])
            left = [max(0.0, missing - share) for missing, share in zip(left, rest.pop(best), strict=True)]
            if sum(left) < _ROUNDING and self._closes_all(option, level, total):
                break
        else:
            return []
        for one in chosen[::-1]:
            without = _plus(total, {fact: -amount for fact, amount in found.seen[one].items()})
            if self._closes_all(option, level, without):
                chosen.remove(one)
                total = without
        return chosen

    def _closes_all(self, option: list[_Wanted], level: str, added: Added) -> bool:
        return all(self._closes(one, added) for one in option) or self._judged(added).meets(level) is True

    def _judged(self, added: Added) -> Outcome:
        return judge(self.result.program, self.result.version, self._with(added))

    def amounts(self, wanted: _Wanted, added: Mapping[int, Added]) -> dict[int, Fraction]:
        """Return by customer how much larger a figure certainly would be; 0 if that is not known."""
        now = self._figure(wanted, self.before).low
        then = {one: self._figure(wanted, self._with(facts)).low for one, facts in added.items()}
        return {
            one: Fraction(low) - Fraction(now) if isfinite(now) and isfinite(low) else Fraction(0)
            for one, low in then.items()
        }

    def _figure(self, wanted: _Wanted, facts: Facts) -> Q:
        result = self.result
        if wanted.metric != TOTAL:
            return result.version.metrics[wanted.metric].value.of(facts)
        return judge(result.program, result.version, facts).total or point(0)

    def _closes(self, wanted: _Wanted, added: Added) -> bool:
        facts = self._with(added)
        if wanted.need is not None:
            return self._figure(wanted, facts).low >= wanted.need
        return judge(self.result.program, self.result.version, facts).qualified is True

    def _with(self, added: Added) -> Facts:
        """Return what would be known. What holds for any track follows from what holds for each."""
        values = {fact: self.before.number(fact) + point(exact(amount)) for fact, amount in added.items()}
        return self.before.having(**values)


def _plus(one: Added, other: Added) -> Added:
    return {fact: one.get(fact, Decimal(0)) + other.get(fact, Decimal(0)) for fact in {**one, **other}}
