"""What one viewer sees of subscriptions: who is of record, and usage. Pages and API read it here, and only here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Max, OuterRef, QuerySet, Subquery, Sum

from associations.models import Association, partners_of, subscriptions_visible_to, usage_visible_to
from associations.rules import Kind
from por.accounts.models import Actor
from por.accounts.rules import Kind as OrganisationKind
from por.directory.models import Subscription


@dataclass(frozen=True)
class MonthOfUsage:
    """One month of a subscription over all its workloads.

    Seats and people are those of the workload with most of them: adding workloads up would count the same
    person several times. Money is added up. None where nothing of the sort is known.
    """

    month: date
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


@dataclass(frozen=True)
class Row:
    """A subscription as one viewer sees it. `hidden` says that somebody they may not know is of record."""

    subscription: Subscription
    record: Association | None
    hidden: bool
    usage: MonthOfUsage | None


def subscriptions_for_listing(actor: Actor) -> QuerySet[Subscription]:
    """Those the actor may see, with what a row shows."""
    return subscriptions_visible_to(actor).select_related("customer__organisation", "sku")


def rows(actor: Actor, subscriptions: Sequence[Subscription]) -> list[Row]:
    """The rows of a page of subscriptions, in its order, for two queries more whatever its length."""
    ids = [subscription.pk for subscription in subscriptions]
    records = {
        association.subscription_id: association
        for association in Association.objects.open()
        .filter(kind=Kind.DPOR, subscription__in=ids)
        .select_related("partner__organisation")
    }
    own = set(partners_of(actor).values_list("pk", flat=True)) if actor.kind == OrganisationKind.PARTNER else None
    usage = latest_usage(actor, ids)
    result = []
    for subscription in subscriptions:
        record = records.get(subscription.pk)
        if record is not None:
            record.customer = subscription.customer
        hidden = record is not None and own is not None and record.partner_id not in own
        result.append(Row(subscription, None if hidden else record, hidden, usage.get(subscription.pk)))
    return result


def latest_usage(actor: Actor, subscription_ids: Iterable[int]) -> dict[int, MonthOfUsage]:
    """The newest month with usage of each, as far as the actor may see it."""
    visible = usage_visible_to(actor).filter(subscription__in=list(subscription_ids))
    newest = (
        usage_visible_to(actor).filter(subscription=OuterRef("subscription")).order_by("-month").values("month")[:1]
    )
    months = _by_month(visible.filter(month=Subquery(newest)))
    return {pk: found[-1] for pk, found in months.items()}


def usage_by_month(actor: Actor, subscription_ids: Iterable[int]) -> dict[int, list[MonthOfUsage]]:
    """Every month the actor may see of each, oldest first."""
    return _by_month(usage_visible_to(actor).filter(subscription__in=list(subscription_ids)))


def _by_month(usage: QuerySet) -> dict[int, list[MonthOfUsage]]:  # type: ignore[type-arg]
    months: dict[int, list[MonthOfUsage]] = defaultdict(list)
    totals = (
        usage.values("subscription_id", "month")
        .annotate(paid=Max("paid_units"), active=Max("active_users"), money=Sum("consumed_usd"))
        .order_by("subscription_id", "month")
    )
    for total in totals:
        months[total["subscription_id"]].append(
            MonthOfUsage(total["month"], total["paid"], total["active"], total["money"])
        )
    return months
