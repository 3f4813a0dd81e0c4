"""What one viewer sees of subscriptions: who is of record, and usage. Pages and API read it here, and only here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Sum, Window

from associations.models import (
    Association,
    AssociationQuerySet,
    end_of,
    events_visible_to,
    partners_of,
    subscriptions_visible_to,
    usage_visible_to,
)
from associations.rules import Kind, months_before
from por.accounts.models import Actor
from por.accounts.rules import Kind as OrganisationKind
from por.directory.models import Subscription, Usage
from por.history.models import Event

RENEWING_WITHIN = timedelta(days=90)


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
    """A subscription as one viewer sees it. `hidden` says that somebody they may not know is of record.

    To a partner that is not of record now, rows are without usage: the months it covered are on their own pages.
    """

    subscription: Subscription
    record: Association | None
    hidden: bool
    usage: MonthOfUsage | None


def subscriptions_for_listing(actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Those the actor may see, with what a row shows; as of a day, those that had started by then.

    Who may see what is a right of today: looking back widens nothing.
    """
    visible = subscriptions_visible_to(actor).select_related("customer__organisation", "sku")
    return visible if as_of is None else visible.filter(started_on__lte=as_of)


def without_partner(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """Those nobody is of record for, though somebody could be: not the expired ones. Or those nobody was."""
    free = subscriptions.filter(~Exists(_held(as_of)))
    # Whether it had expired by a day that has passed is not known: the status is today's.
    return free if as_of else free.exclude(status=Subscription.Status.EXPIRED)


def renewing(subscriptions: QuerySet[Subscription], today: date) -> QuerySet[Subscription]:
    """Those to be renewed within the next 90 days."""
    return subscriptions.filter(renews_on__range=(today, today + RENEWING_WITHIN)).exclude(
        status=Subscription.Status.EXPIRED
    )


def of_record(subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Those the actor, a partner, is of record for now, or was at the end of a day."""
    return subscriptions.filter(Exists(_held(as_of).visible_to(actor)))


def of_own_tenant(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Those a partner is of record for in its own tenant: they count for competencies and never pay."""
    own = _held(as_of).visible_to(actor).filter(partner__own_tenant_id=F("customer__tenant_id"))
    return subscriptions.filter(Exists(own))


def formerly_of_record(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Those the actor was of record for, and is no more; or by the end of a day was no more."""
    once = Association.objects.begun_by(as_of).of_record().visible_to(actor).filter(subscription=OuterRef("pk"))
    return subscriptions.filter(Exists(once), ~Exists(once.open(as_of)))


def _held(as_of: date | None = None) -> AssociationQuerySet:
    return Association.objects.open(as_of).of_record().filter(subscription=OuterRef("pk"))


def rows(actor: Actor, subscriptions: Sequence[Subscription], as_of: date | None = None) -> list[Row]:
    """The rows of a page of subscriptions, in its order, for two queries more whatever its length.

    As of a day: who was of record at its end, and of the months begun by then the newest with usage.
    """
    ids = [subscription.pk for subscription in subscriptions]
    records = {
        association.subscription_id: association
        for association in Association.objects.open(as_of)
        .filter(kind=Kind.DPOR, subscription__in=ids)
        .select_related("partner__organisation")
    }
    own = set(partners_of(actor).values_list("pk", flat=True)) if actor.kind == OrganisationKind.PARTNER else None
    shown = ids if own is None else [pk for pk, record in records.items() if record.partner_id in own]
    # Whoever is of record today sees every month. Asking that of each row of usage took a partner's list 35 ms.
    visible = Usage.objects.current() if as_of is None else usage_visible_to(actor)
    usage = latest_usage(visible.filter(subscription__in=shown), as_of)
    result = []
    for subscription in subscriptions:
        record = records.get(subscription.pk)
        if record is not None:
            record.as_of(as_of).customer = subscription.customer
        theirs = record is not None and (own is None or record.partner_id in own)
        result.append(
            Row(
                subscription,
                record if theirs else None,
                hidden=record is not None and not theirs,
                usage=usage.get(subscription.pk) if theirs or own is None else None,
            )
        )
    return result


def latest_usage(visible: QuerySet[Usage], as_of: date | None = None) -> dict[int, MonthOfUsage]:
    """The newest month of each subscription in this usage; of those begun by a day."""
    if as_of is not None:
        visible = visible.filter(month__lte=as_of)
    # Ranked in one pass: a subquery for the newest month would run once for each row of usage.
    newest = Window(Max("month"), partition_by=F("subscription_id"))
    return {
        one["subscription_id"]: month_of(one)
        for one in monthly(visible).annotate(newest=newest).filter(newest=F("month"))
    }


def usage_by_month(
    actor: Actor, subscription_ids: Iterable[int], *, since: date | None = None, as_of: date | None = None
) -> dict[int, list[MonthOfUsage]]:
    """Every month the actor may see of each, or those from a month on or begun by a day, oldest first."""
    usage = usage_visible_to(actor).filter(subscription__in=list(subscription_ids))
    if since is not None:
        usage = usage.filter(month__gte=since)
    return _by_month(usage if as_of is None else usage.filter(month__lte=as_of))


def monthly(usage: QuerySet[Usage]) -> QuerySet[Usage, Any]:
    """The same usage, one row for each subscription and month; month_of says what is in it."""
    return usage.values("subscription_id", "month").annotate(
        paid=Max("paid_units"), active=Max("active_users"), money=Sum("consumed_usd")
    )


def month_of(total: Mapping[str, Any]) -> MonthOfUsage:
    return MonthOfUsage(total["month"], total["paid"], total["active"], total["money"])


def _by_month(usage: QuerySet[Usage]) -> dict[int, list[MonthOfUsage]]:
    months: dict[int, list[MonthOfUsage]] = defaultdict(list)
    for total in monthly(usage).order_by("subscription_id", "month"):
        months[total["subscription_id"]].append(month_of(total))
    return months


def trend(months: Sequence[MonthOfUsage]) -> list[int] | list[Decimal]:
    """The figures of the small line beside a subscription's use: people, or money where no people are counted."""
    people = [month.active_users for month in months if month.active_users is not None]
    return people or [month.consumed_usd for month in months if month.consumed_usd is not None]


@dataclass(frozen=True)
class UseOfWorkload:
    """One month of a workload over many subscriptions: here seats and people may be added up."""

    month: date
    workload: str
    active_users: int | None
    consumed_usd: Decimal | None


def usage_of_record(actor: Actor) -> QuerySet[Usage]:
    """What is known of the subscriptions a partner is of record for today, all months of it."""
    own = Association.objects.open().of_record().filter(partner__in=partners_of(actor))
    return Usage.objects.current().filter(Exists(own.filter(subscription=OuterRef("subscription"))))


def use_of_workloads(usage: QuerySet[Usage], months: Sequence[date] | None = None) -> list[UseOfWorkload]:
    """Each workload by itself, month by month, oldest first; of these months, or of all there are."""
    totals = (
        (usage if months is None else usage.filter(month__in=months))
        .values("month", "workload")
        .annotate(active=Sum("active_users"), money=Sum("consumed_usd"))
        .order_by("month", "workload")
    )
    return [UseOfWorkload(one["month"], one["workload"], one["active"], one["money"]) for one in totals]


def use_of_seats(usage: QuerySet[Usage], months: Sequence[date]) -> list[MonthOfUsage]:
    """These months over all workloads: each subscription's seats and people counted once, then added up."""
    once, sums = {}, {}
    for month in months:
        for name, column in (("paid", "paid_units"), ("active", "active_users")):
            once[f"{name}_{month:%Y%m}"] = Max(column, filter=Q(month=month))
            sums[f"{name}_{month:%Y%m}_sum"] = Sum(f"{name}_{month:%Y%m}")
    totals = usage.filter(month__in=months).values("subscription_id").annotate(**once).aggregate(**sums)
    return [
        MonthOfUsage(month, totals[f"paid_{month:%Y%m}_sum"], totals[f"active_{month:%Y%m}_sum"], None)
        for month in months
    ]


def last_months(today: date, count: int = 13) -> list[date]:
    """The first days of the running month and those before it, oldest first: 13, as the running one may be empty."""
    first = today.replace(day=1)
    return [months_before(first, back) for back in reversed(range(count))]


@dataclass(frozen=True)
class Period:
    """A time somebody was of record, and who began and ended it; no name where no person of this house did."""

    association: Association
    began_by: str
    ended_by: str


def periods(actor: Actor, subscription: Subscription, as_of: date | None = None) -> list[Period]:
    """Who was of record from when to when, newest first, as far as the actor may know; what was undone is left out.

    As of a day: those that had begun by then, as they stood at its end.
    """
    associations = (
        Association.objects.begun_by(as_of)
        .of_record()
        .visible_to(actor)
        .filter(subscription=subscription)
        .for_listing()
        .order_by("-began_at", "-pk")
    )
    doers: dict[tuple[str, int], str] = {}
    changes = subscription_events(actor, subscription).filter(
        verb__in=["partner_of_record.attached", "partner_of_record.removed"]
    )
    for verb, association, name in changes.order_by("id").values_list("verb", "changes__association", "actor_name"):
        doers[verb, association] = name
    return [
        Period(
            one,
            began_by=doers.get(("partner_of_record.attached", one.pk), ""),
            ended_by=doers.get(("partner_of_record.removed", one.pk), "") if one.ended_at else "",
        )
        for one in (one.as_of(as_of) for one in associations)
    ]


def subscription_events(actor: Actor, subscription: Subscription, as_of: date | None = None) -> QuerySet[Event]:
    """What happened to one subscription, by the end of a day if one is given, as far as the actor may read it."""
    events = events_visible_to(actor).filter(object_kind="subscription", object_id=str(subscription.subscription_id))
    return events if as_of is None else events.filter(at__lt=end_of(as_of))
