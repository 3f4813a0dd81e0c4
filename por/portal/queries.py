"""What the pages about usage read: the newest month of each subscription, and the largest changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Abs

from associations.record.queries import of_own_tenant
from associations.record.usage import MonthOfUsage, newest_sql
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Subscription, Usage


@dataclass(frozen=True)
class SubscriptionUsage:
    """A subscription with its newest month in some usage. `own_use`: the partner uses it itself, in its own tenant."""

    subscription: Subscription
    own_use: bool
    usage: MonthOfUsage | None


def newest_usage(
    actor: Actor, subscriptions: Sequence[Subscription], usage: QuerySet[Usage], as_of: date | None
) -> list[SubscriptionUsage]:
    """Return the subscriptions in their order, each with its newest month in this usage. Takes at most two queries."""
    if not subscriptions:
        return []
    these = Subscription.objects.filter(pk__in=[one.pk for one in subscriptions])
    newest, given = newest_sql(these, usage)
    with connection.cursor() as cursor:
        cursor.execute(newest, given)
        months = {pk: MonthOfUsage(*figures) for pk, *figures in cursor.fetchall()}
    is_partner = actor.kind == OrganisationKind.PARTNER
    own = set(of_own_tenant(these, actor, as_of).values_list("pk", flat=True)) if is_partner else set()
    return [SubscriptionUsage(one, one.pk in own, months.get(one.pk)) for one in subscriptions]


@dataclass(frozen=True)
class Change:
    """How many people used a subscription in one month, and how many in an earlier one."""

    subscription: Subscription
    before: int
    after: int

    @property
    def difference(self) -> int:
        return self.after - self.before


def largest_changes(usage: QuerySet[Usage], earlier: date, later: date, count: int) -> list[Change]:
    """Return the subscriptions whose number of active people has risen or fallen most, the largest change first."""
    found = (
        usage.filter(month__in=[earlier, later])
        .values("subscription_id")
        .annotate(before=Max("active_users", filter=Q(month=earlier)), after=Max("active_users", filter=Q(month=later)))
        .annotate(change=Abs(F("after") - F("before")))
        .filter(change__gt=0)
        .order_by("-change", "subscription_id")[:count]
    )
    changes = list(found)
    subscriptions = Subscription.objects.select_related("customer__organisation", "sku").in_bulk(
        [one["subscription_id"] for one in changes]
    )
    return [Change(subscriptions[one["subscription_id"]], one["before"], one["after"]) for one in changes]
