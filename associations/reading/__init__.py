"""What one viewer sees of subscriptions: who is of record, and usage. Pages and API read it here, and only here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import caches
from django.db import connection
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Sum, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Abs
from django.utils import timezone

from associations.models import (
    Association,
    AssociationQuerySet,
    ChangeRequest,
    end_of,
    events_visible_to,
    is_own,
    subscriptions_visible_to,
    usage_visible_to,
)
from associations.rules import ChangeStatus, Kind, months_before
from por.accounts.models import Actor
from por.accounts.rules import Kind as OrganisationKind
from por.directory.models import Subscription, Usage
from por.directory.rules import Workload
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
    form: Association | None = None  # the newest legacy form in force that they may know of


def subscriptions_for_listing(actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Those the actor may see, with what a row shows; as of a day, those that had started by then.

    Who may see what is a right of today: looking back widens nothing.
    """
    return for_listing(subscriptions_visible_to(actor), as_of)


def for_listing(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """With what a row shows; as of a day, those that had started by then."""
    found = subscriptions.select_related("customer__organisation", "sku")
    return found if as_of is None else found.filter(started_on__lte=as_of)


def without_partner(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """Those nobody is of record for, though somebody could be: not the expired ones. Or those nobody was."""
    free = subscriptions.filter(~Exists(held(as_of)))
    # Whether it had expired by a day that has passed is not known: the status is today's.
    return free if as_of else free.exclude(status=Subscription.Status.EXPIRED)


def renewing(subscriptions: QuerySet[Subscription], today: date) -> QuerySet[Subscription]:
    """Those to be renewed within the next 90 days."""
    return subscriptions.filter(renews_on__range=(today, today + RENEWING_WITHIN)).exclude(
        status=Subscription.Status.EXPIRED
    )


def of_record(subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Those the actor, a partner, is of record for now, or was at the end of a day."""
    return subscriptions.filter(Exists(held(as_of).visible_to(actor)))


def of_own_tenant(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Those a partner is of record for in its own tenant: they count for competencies and never pay."""
    own = held(as_of).visible_to(actor).filter(partner__own_tenant_id=F("customer__tenant_id"))
    return subscriptions.filter(Exists(own))


def formerly_of_record(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Those the actor was of record for, and is no more; or by the end of a day was no more."""
    once = Association.objects.begun_by(as_of).of_record().visible_to(actor).filter(subscription=OuterRef("pk"))
    return subscriptions.filter(Exists(once), ~Exists(once.open(as_of)))


def has_forms(actor: Actor) -> bool:
    """Whether the actor ever was on a legacy form. Asked on every page, and so kept for a minute."""
    own = Association.objects.standing().forms().visible_to(actor)
    return bool(caches["local"].get_or_set(f"has-forms:{actor.organisation_id}", own.exists))


def held(as_of: date | None = None) -> AssociationQuerySet:
    """Who is of record, or was at the end of a day, for the subscription of an outer query."""
    return Association.objects.open(as_of).of_record().filter(subscription=OuterRef("pk"))


def rows(actor: Actor, subscriptions: Sequence[Subscription], as_of: date | None = None) -> list[Row]:
    """The rows of a page of subscriptions, in its order, for two queries more whatever its length.

    As of a day: who was of record at its end, and of the months begun by then the newest with usage.
    """
    ids = [subscription.pk for subscription in subscriptions]
    records: dict[int | None, Association] = {}
    forms: dict[int | None, Association] = {}
    for association in (
        Association.objects.open(as_of)
        .filter(kind__in=[Kind.DPOR, Kind.OSA_FORM], subscription__in=ids)
        .select_related("partner__organisation")
        .order_by("began_at", "pk")
    ):
        if association.kind == Kind.DPOR:
            records[association.subscription_id] = association
        elif actor.kind != OrganisationKind.PARTNER or _is_own(actor, association):
            forms[association.subscription_id] = association
    holders = {one.subscription_id: _is_own(actor, one) for one in records.values() if one.subscription_id is not None}
    known, usage = seen(actor, ids, holders, as_of)
    result = []
    for subscription in subscriptions:
        record = records.get(subscription.pk)
        if record is not None:
            record.as_of(as_of).customer = subscription.customer
        theirs = subscription.pk in known
        result.append(
            Row(
                subscription,
                record if theirs else None,
                hidden=record is not None and not theirs,
                usage=usage.get(subscription.pk),
                form=forms.get(subscription.pk),
            )
        )
    return result


def _is_own(actor: Actor, one: Association) -> bool:
    return is_own(actor, one.partner_id, one.partner.organisation.parent_id)


def seen(
    actor: Actor, ids: Sequence[int], holders: Mapping[int, bool], as_of: date | None = None
) -> tuple[set[int], dict[int, MonthOfUsage]]:
    """What the actor may know of subscriptions it may see: of which who is of record, and the newest usage of each.

    `holders` says of those with a partner of record, at the end of the day, whether it is the actor's own.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return set(holders), _newest_usage(ids, as_of)
    known = {pk for pk, own in holders.items() if own}
    if as_of is None:  # whoever is of record today sees every month
        return known, _newest_usage(list(known), as_of)
    return known, latest_usage(usage_visible_to(actor).filter(subscription__in=known), as_of)


def _newest_usage(ids: Sequence[int], as_of: date | None) -> dict[int, MonthOfUsage]:
    """The newest month of each, begun by a day: read off the index from its end, where a ranking reads every month."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.id, month, max(paid_units), max(active_users), sum(consumed_usd)
            FROM unnest(%s::bigint[]) AS wanted (id), LATERAL (
                SELECT month, paid_units, active_users, consumed_usd FROM directory_usage
                WHERE subscription_id = wanted.id AND superseded_at IS NULL AND month <= %s
                ORDER BY month DESC FETCH FIRST ROW WITH TIES
            ) AS newest GROUP BY wanted.id, month
            """,
            [list(ids), as_of or timezone.now().date()],  # no month begins in the future
        )
        return {pk: MonthOfUsage(*month) for pk, *month in cursor.fetchall()}


def latest_usage(visible: QuerySet[Usage], as_of: date | None = None) -> dict[int, MonthOfUsage]:
    """The newest month of each subscription in this usage; of those begun by a day."""
    visible = in_period(visible, None, as_of)
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
    return _by_month(in_period(usage, since, as_of))


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
    """One month of a workload, of one subscription or of many: here seats and people may be added up.

    `corrected_at` is when the newest figure became known that replaced an earlier one; None if none did.
    """

    month: date
    workload: str
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None
    corrected_at: datetime | None = None

    @property
    def name(self) -> str:
        return str(Workload(self.workload).label)


def usage_of_record(actor: Actor) -> QuerySet[Usage]:
    """What is known of the subscriptions a partner is of record for today, all months of it."""
    own = Association.objects.open().of_record().visible_to(actor)
    return Usage.objects.current().filter(Exists(own.filter(subscription=OuterRef("subscription"))))


def in_period(usage: QuerySet[Usage], since: date | None, until: date | None) -> QuerySet[Usage]:
    """That of the months from one on, and begun by a day; either may be left open."""
    if since is not None:
        usage = usage.filter(month__gte=since)
    return usage if until is None else usage.filter(month__lte=until)


def use_of_workloads(usage: QuerySet[Usage]) -> list[UseOfWorkload]:
    """Each workload by itself, month by month, oldest first."""
    totals = usage.values("month", "workload").annotate(
        paid=Sum("paid_units"),
        active=Sum("active_users"),
        money=Sum("consumed_usd"),
        corrected_at=Max("known_from", filter=Q(revision__gt=1)),
    )
    return [
        UseOfWorkload(one["month"], one["workload"], one["paid"], one["active"], one["money"], one["corrected_at"])
        for one in totals.order_by("month", "workload")
    ]


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


@dataclass(frozen=True)
class Sight:
    """Which months of a subscription's usage somebody may see: all, or those of these spans, first and last month."""

    whole: bool
    spans: list[tuple[date, date]]


def months_seen(actor: Actor, subscription: Subscription) -> Sight:
    """In words of months what usage_visible_to says in SQL: a partner's periods cover those at whose end they ran."""
    if actor.kind != OrganisationKind.PARTNER:
        return Sight(whole=True, spans=[])
    own = Association.objects.standing().of_record().visible_to(actor).filter(subscription=subscription)
    bounds = own.order_by("began_at").values_list("began_at", "ended_at")
    spans = []
    for began_at, ended_at in bounds:
        if ended_at is None:
            return Sight(whole=True, spans=[])
        first, last = (moment.astimezone(UTC).date().replace(day=1) for moment in (began_at, ended_at))
        if first < last:
            spans.append((first, months_before(last, 1)))
    return Sight(whole=False, spans=spans)


@dataclass(frozen=True)
class Used:
    """A subscription with its newest month in some usage; `own_use` where its partner serves itself."""

    subscription: Subscription
    own_use: bool
    usage: MonthOfUsage | None


def used(actor: Actor, subscriptions: Sequence[Subscription], usage: QuerySet[Usage], as_of: date | None) -> list[Used]:
    """The rows of a page of subscriptions, in its order, for at most two queries more whatever its length."""
    if not subscriptions:
        return []
    these = Subscription.objects.filter(pk__in=[one.pk for one in subscriptions])
    newest, given = _newest(these, usage)
    with connection.cursor() as cursor:
        cursor.execute(newest, given)
        months = {pk: MonthOfUsage(*figures) for pk, *figures in cursor.fetchall()}
    is_partner = actor.kind == OrganisationKind.PARTNER
    own = set(of_own_tenant(these, actor, as_of).values_list("pk", flat=True)) if is_partner else set()
    return [Used(one, one.pk in own, months.get(one.pk)) for one in subscriptions]


@dataclass(frozen=True)
class Totals:
    """The newest months of many subscriptions, added up; `subscriptions` are those that have one."""

    subscriptions: int
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


def totals(subscriptions: QuerySet[Subscription], usage: QuerySet[Usage]) -> Totals:
    """What the rows of `used` come to, without reading them one by one."""
    newest, given = _newest(subscriptions, usage)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), sum(paid), sum(active), sum(money) FROM ({newest}) AS newest", given)
        return Totals(*cursor.fetchone())


def _newest(subscriptions: QuerySet[Subscription], usage: QuerySet[Usage]) -> tuple[str, list[Any]]:
    """The SQL of the newest month of each in this usage: its subscription, and the fields of MonthOfUsage.

    It goes from subscription to subscription and takes the first month from the end of the index. To rank the months
    of a large partner, the database would have to sort a million rows.
    """
    each, of_each = subscriptions.order_by().values("pk").query.sql_with_params()
    months = monthly(usage.filter(subscription_id=RawSQL("each.id", []))).order_by("-month")
    newest, of_newest = months[:1].query.sql_with_params()
    columns = "subscription_id, month, paid, active, money"
    sql = f"SELECT {columns} FROM ({each}) AS each (id) CROSS JOIN LATERAL ({newest}) AS newest ({columns})"
    return sql, [*of_each, *of_newest]


@dataclass(frozen=True)
class Change:
    """How many more people used a subscription in one month than in an earlier one, or fewer."""

    subscription: Subscription
    before: int
    after: int

    @property
    def difference(self) -> int:
        return self.after - self.before


def largest_changes(usage: QuerySet[Usage], earlier: date, later: date, count: int) -> list[Change]:
    """Where the number of active people has changed most, either way."""
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
        .select_related("consent")
        .order_by("-began_at", "-pk")
    )
    began, ended = _doers(actor, subscription)
    return [
        Period(one, began_by=began.get(one.pk, ""), ended_by=ended.get(one.pk, "") if one.ended_at else "")
        for one in (one.as_of(as_of) for one in associations)
    ]


def _doers(actor: Actor, subscription: Subscription) -> tuple[dict[int, str], dict[int, str]]:
    """Who began and who ended associations, by their keys; an answer about them may have done both."""
    began: dict[int, str] = {}
    ended: dict[int, str] = {}
    answers: dict[int, str] = {}
    found = {
        "partner_of_record.attached": (began, "association"),
        "partner_of_record.removed": (ended, "association"),
        "change_request.answered": (answers, "change_request"),
    }
    changes = subscription_events(actor, subscription).filter(verb__in=found).order_by("id")
    for verb, changed, name in changes.values_list("verb", "changes", "actor_name"):
        doers, key = found[verb]
        doers[changed[key]] = name
    asked = ChangeRequest.objects.filter(pk__in=list(answers), status=ChangeStatus.ANSWERED).select_related("incumbent")
    for request in asked:  # none are asked for where there are none
        if request.made_id:
            began[request.made_id] = answers[request.pk]
        if request.incumbent.ended_at == request.closed_at:
            ended[request.incumbent_id] = answers[request.pk]
    return began, ended


def subscription_events(actor: Actor, subscription: Subscription, as_of: date | None = None) -> QuerySet[Event]:
    """What happened to one subscription, by the end of a day if one is given, as far as the actor may read it."""
    events = events_visible_to(actor).filter(object_kind="subscription", object_id=str(subscription.subscription_id))
    return events if as_of is None else events.filter(at__lt=end_of(as_of))
