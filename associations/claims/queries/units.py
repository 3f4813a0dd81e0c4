"""What the claimant may know of units: their usage, who holds them, and what can be claimed of a customer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet, Sum

from associations.claims.actions.shared import usage_of_units
from associations.claims.models import Claim, ClaimUnit
from associations.claims.programs import Claimable
from associations.claims.rules import LEAST_PAID_UNITS, MOST_ACTIVE_PERCENT, Program
from associations.record.access import subscriptions_visible_to, usage_visible_to
from por.accounts.models import Actor
from por.directory.models import Subscription, Usage
from por.directory.rules import Agreement

#: A unit of a customer in a programme and role: a workload, or the key of a subscription.
Key = str | int

#: How many subscriptions are offered to choose from; the IDs of others can be pasted.
SOME = 50


class UnitUsage(NamedTuple):
    """The last month that is known of a unit."""

    month: date
    paid_units: int | None
    active_users: int | None

    @property
    def is_small(self) -> bool:
        return self.paid_units is not None and self.paid_units < LEAST_PAID_UNITS

    @property
    def is_active(self) -> bool:
        """Return whether more of the paid units were in use already than the programme rewards."""
        if not self.paid_units or self.active_users is None:
            return False
        return self.active_users * 100 > self.paid_units * MOST_ACTIVE_PERCENT


@dataclass(frozen=True)
class Known:
    """What the claimant may know of a unit. `holder` is "own", "other" or ""; usage has warnings in osu_m365 alone."""

    usage: UnitUsage | None = None
    holder: str = ""
    has_limits: bool = False

    @property
    def is_small(self) -> bool:
        return self.has_limits and self.usage is not None and self.usage.is_small

    @property
    def is_active(self) -> bool:
        return self.has_limits and self.usage is not None and self.usage.is_active


NOTHING_KNOWN = Known()


def known_of(
    actor: Actor, claim: Claim, workloads: Collection[str], subscriptions: Collection[int]
) -> dict[Key, Known]:
    """Return what the claimant may know of these units of the customer, before and after it submits.

    Its own company's claims it always knows. That another company has claimed a unit it may know with the usage of the
    unit: of a workload, that of all subscriptions of the tenant.
    """
    usage = _usage(actor, claim.customer_id, workloads, subscriptions)
    holders = _holders(claim, workloads, subscriptions)
    has_limits = claim.program == Program.OSU_M365
    found: dict[Key, Known] = {}
    keys: list[Key] = [*workloads, *subscriptions]
    for key in keys:
        companies = holders.get(key, set())
        is_own = claim.company_id in companies
        is_other = bool(companies - {claim.company_id}) and key in usage
        found[key] = Known(usage.get(key), "own" if is_own else "other" if is_other else "", has_limits)
    return found


def key_of(unit: ClaimUnit) -> Key:
    """Return the workload of a unit, or the key of its subscription."""
    return unit.workload or unit.subscription_id or 0


def kept(claim: Claim, unit: ClaimUnit) -> Known:
    """Return the usage that was kept with a unit when it was submitted; who sees the claim sees it."""
    if unit.month is None:
        return NOTHING_KNOWN
    usage = UnitUsage(unit.month, unit.paid_units, unit.active_users)
    return Known(usage, has_limits=claim.program == Program.OSU_M365)


def _holders(claim: Claim, workloads: Collection[str], subscriptions: Collection[int]) -> dict[Key, set[int]]:
    """Return the companies whose other claims hold each of the units."""
    asked = Q(customer=claim.customer_id, subscription=None, workload__in=workloads) | Q(
        subscription__in=subscriptions, role=claim.role
    )
    live = ClaimUnit.objects.filter(asked, live=True, program=claim.program).exclude(claim=claim)
    found: dict[Key, set[int]] = {}
    rows: Iterable[tuple[str, Any, int]] = live.values_list("workload", "subscription_id", "company_id")
    for workload, subscription, company in rows:
        found.setdefault(workload or subscription, set()).add(company)
    return found


def _usage(
    actor: Actor, customer: int, workloads: Collection[str], subscriptions: Collection[int]
) -> dict[Key, UnitUsage]:
    """Return the last month of each unit of which the actor may see all usage: a sum would tell of the rest."""
    found: dict[Key, UnitUsage] = {}
    for key, asked in (
        ("workload", usage_of_units(customer, workloads, [])),
        ("subscription", usage_of_units(customer, [], subscriptions)),
    ):
        newest: dict[Key, Any] = {}
        for unit, month, paid, active, rows in _monthly(Usage.objects.current().filter(asked), key):
            if unit not in newest or newest[unit][0].month < month:
                newest[unit] = (UnitUsage(month, paid, active), rows)
        seen = {
            (unit, month): rows
            for unit, month, _paid, _active, rows in _monthly(usage_visible_to(actor).filter(asked), key)
        }
        found |= {unit: use for unit, (use, rows) in newest.items() if seen.get((unit, use.month)) == rows}
    return found


def _monthly(usage: QuerySet[Usage], key: str) -> Iterable[tuple[Any, date, int | None, int | None, int]]:
    return (
        usage.order_by()
        .values_list(key, "month")
        .annotate(paid=Sum("paid_units"), active=Sum("active_users"), rows=Count("subscription"))
    )


def subscriptions_to_choose(actor: Actor, claim: Claim, offered: Claimable) -> list[Subscription]:
    """Return the subscriptions of the customer that the actor may see and the programme takes, and those claimed."""
    if not offered.products:
        return []
    claimed = Q(pk__in=claim.units.filter(subscription__isnull=False).values("subscription"))
    visible = Q(pk__in=subscriptions_visible_to(actor).filter(customer=claim.customer_id).values("pk"))
    taken = Q(product__in=offered.products) & ~Q(agreement=Agreement.CSP) & ~Q(status=Subscription.Status.EXPIRED)
    found = Subscription.objects.filter(claimed | (visible & taken), customer=claim.customer_id, left_at=None)
    return list(found.select_related("sku").order_by("sku__name", "subscription_id")[:SOME])
