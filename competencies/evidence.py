"""Which customers make the figures of a company, as far as the reader may see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from associations.record.access import customers_visible_to
from associations.record.models import Association
from competencies.contributions import contributions_of
from competencies.queries import stored_on
from competencies.results import Result
from por.accounts.models import Actor, Organisation
from por.directory.access import partner_ids
from por.directory.models import Customer
from por.programs.rules import Unit

#: How many customers of each metric are named.
MOST = 20


@dataclass(frozen=True)
class Contribution:
    """How much a customer adds to a figure. `amount` is None if it comes from usage that the reader no longer sees."""

    customer: Customer
    amount: Decimal | None


@dataclass(frozen=True)
class Evidence:
    """The customers that make a figure, those that add most first; how many more there are, and how many are hidden.

    Hidden ones are those that the reader may not see: customers of other locations of the company.
    """

    customers: list[Contribution]
    more: int
    hidden: int


@dataclass(frozen=True)
class _Amounts:
    """What each customer adds, by its key, and how many more there are."""

    customers: Mapping[int, Decimal]
    more: int = 0


def evidence_of(actor: Actor, company: Organisation, result: Result, day: date) -> dict[str, Evidence]:
    """Return the evidence of each metric that counts customers or what they have, computed from what is known now."""
    tracks = {company.pk: result.track_of_figures}
    found = contributions_of(result.program, result.version, day, [company.pk], tracks).get(company.pk, {})
    return _visible(actor, result, {metric: _Amounts(amounts) for metric, amounts in found.items()})


def evidence_known(
    actor: Actor, company: Organisation, result: Result, day: date, known_at: date
) -> dict[str, Evidence]:
    """Return the evidence that was kept with the result that was stored by the end of a day; none if it has none.

    The reader sees the customers of today's lists, also former ones. All others are counted.
    """
    stored = stored_on(company, day, known_at).filter(program=result.program.id)
    kept = stored.values_list("evidence__metrics", flat=True).first()
    amounts = {
        metric: _Amounts({customer: Decimal(amount) for customer, amount in one["customers"]}, one["rest"][0])
        for metric, one in (kept or {}).items()
    }
    return _visible(actor, result, amounts)


def _visible(actor: Actor, result: Result, found: Mapping[str, _Amounts]) -> dict[str, Evidence]:
    keys = {customer for one in found.values() for customer in one.customers}
    visible = customers_visible_to(actor).filter(pk__in=keys).select_related("organisation")
    customers = {one.pk: one for one in visible}
    former = _former(actor, customers)
    return {
        metric: _shown(one, customers, set() if _counts_customers(result, metric) else former)
        for metric in result.version.metrics
        if (one := found.get(metric)) is not None and one.customers
    }


def _former(actor: Actor, customers: Collection[int]) -> set[int]:
    """Return the customers that a partner has no association with any more, so that it no longer sees their usage."""
    if actor.is_staff:
        return set()
    open_ones = Association.objects.not_undone().filter(
        partner__in=partner_ids(actor), customer__in=customers, ended_at=None
    )
    return set(customers) - set(open_ones.values_list("customer", flat=True))


def _counts_customers(result: Result, metric: str) -> bool:
    return result.version.metrics[metric].unit is Unit.CUSTOMERS


def _shown(amounts: _Amounts, customers: Mapping[int, Customer], without_amount: set[int]) -> Evidence:
    known = [(customers[pk], amount) for pk, amount in amounts.customers.items() if pk in customers]
    known.sort(key=lambda one: (-one[1], one[0].organisation.name, one[0].pk))
    return Evidence(
        [Contribution(one, None if one.pk in without_amount else amount) for one, amount in known[:MOST]],
        max(0, len(known) - MOST) + amounts.more,
        len(amounts.customers) - len(known),
    )
