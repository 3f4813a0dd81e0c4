"""Usage as one reader may see it: by month, by workload, and in total."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, Max, Q, QuerySet, Sum, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Abs
from django.utils import timezone

from associations.record.access import seen_by, usage_visible_to
from associations.record.policies import months_before
from associations.record.rules import AssociationKind
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import Param, Statement
from por.directory.models import Subscription, Usage
from por.directory.rules import Workload


class MonthOfUsage(NamedTuple):
    """One month of a subscription over all its workloads.

    Seats and people are those of the largest workload: a sum over workloads would count a person several times. Money
    is in US dollars and summed. None where a figure is unknown.
    """

    month: date
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


def newest_usage(ids: Sequence[int], as_of: date | None) -> dict[int, MonthOfUsage]:
    """Return the newest month of each subscription that had begun by a day, by its key; all readers who may see it.

    It is read from the end of the index. A ranking would read every month.
    """
    given = {"ids": list(ids), "until": last_day(as_of)}
    return {row[0]: MonthOfUsage._make(row[1:]) for row in _NEWEST.rows(given)}


def last_day(as_of: date | None) -> date:
    """Return the day by which the months that are read have begun: today at the latest."""
    return as_of or timezone.now().date()


#: SQL for the rows of the newest month of a subscription, one for each workload, of the months begun by a day.
NEWEST_MONTH = """
    SELECT month, paid_units, active_users, consumed_usd FROM directory_usage
    WHERE subscription_id = {subscription} AND superseded_at IS NULL AND month <= %s
    ORDER BY month DESC FETCH FIRST ROW WITH TIES
"""
_NEWEST = Statement(
    f"""
    SELECT wanted.id, month, max(paid_units), max(active_users), sum(consumed_usd)
    FROM unnest(%s::bigint[]) AS wanted (id), LATERAL ({NEWEST_MONTH.format(subscription="wanted.id")}) AS newest
    GROUP BY wanted.id, month
    """,
    [Param("ids"), Param("until")],
)


def latest_usage(visible: QuerySet[Usage], as_of: date | None = None) -> dict[int, MonthOfUsage]:
    """Return the newest month of each subscription in this usage, of the months begun by a day."""
    visible = in_period(visible, None, as_of)
    # This ranks in one pass: a subquery for the newest month would run once for each row of usage.
    newest = Window(Max("month"), partition_by=F("subscription_id"))
    return {
        one["subscription_id"]: month_of(one)
        for one in monthly(visible).annotate(newest=newest).filter(newest=F("month"))
    }


def usage_by_month(
    actor: Actor, subscription_ids: Iterable[int], *, since: date | None = None, as_of: date | None = None
) -> dict[int, list[MonthOfUsage]]:
    """Return the months of each subscription that the actor may see, oldest first: all, from one on, or up to a day."""
    usage = usage_visible_to(actor).filter(subscription__in=list(subscription_ids))
    return _by_month(in_period(usage, since, as_of))


def monthly(usage: QuerySet[Usage]) -> QuerySet[Usage, Any]:
    """Return the same usage as one row for each subscription and month, for month_of."""
    return usage.values("subscription_id", "month").annotate(
        paid=Max("paid_units"), active=Max("active_users"), money=Sum("consumed_usd")
    )


def month_of(total: Mapping[str, Any]) -> MonthOfUsage:
    """Return a row of monthly() as a month."""
    return MonthOfUsage(total["month"], total["paid"], total["active"], total["money"])


def _by_month(usage: QuerySet[Usage]) -> dict[int, list[MonthOfUsage]]:
    months: dict[int, list[MonthOfUsage]] = defaultdict(list)
    for total in monthly(usage).order_by("subscription_id", "month"):
        months[total["subscription_id"]].append(month_of(total))
    return months


def trend(months: Sequence[MonthOfUsage]) -> list[int] | list[Decimal]:
    """Return the points of the small line chart: people, or money where no people are counted."""
    people = [month.active_users for month in months if month.active_users is not None]
    return people or [month.consumed_usd for month in months if month.consumed_usd is not None]


@dataclass(frozen=True)
class UseOfWorkload:
    """One month of a workload, of one or many subscriptions. Seats and people of one workload can be summed.

    `corrected_at` is when the newest correction of a figure became known; None if there was none.
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


def in_period(usage: QuerySet[Usage], since: date | Param | None, until: date | Param | None) -> QuerySet[Usage]:
    """Return the usage from a month on, of months begun by a day; None leaves that side open."""
    if since is not None:
        usage = usage.filter(month__gte=since)
    return usage if until is None else usage.filter(month__lte=until)


def use_of_workloads(usage: QuerySet[Usage]) -> list[UseOfWorkload]:
    """Return the usage by month and workload, oldest first."""
    return [UseOfWorkload(*one) for one in by_workload(usage)]


def by_workload(usage: QuerySet[Usage]) -> QuerySet[Usage, Any]:
    """Return the same usage as one row for each month and workload, with the fields of UseOfWorkload."""
    totals = usage.values_list("month", "workload").annotate(
        paid=Sum("paid_units"),
        active=Sum("active_users"),
        money=Sum("consumed_usd"),
        corrected_at=Max("known_from", filter=Q(revision__gt=1)),
    )
    return totals.order_by("month", "workload")


@dataclass(frozen=True)
class Claimed:
    """The months of usage that a claim shows: all, or a first and a last one; of one workload, or of all with ""."""

    workload: str
    span: tuple[date, date] | None


@dataclass(frozen=True)
class Sight:
    """The months of a subscription's usage that a reader may see: all, or spans of a first and a last month.

    These are of a customer, of staff, and of a partner of record. What a partner sees by a claim is apart.
    """

    whole: bool
    spans: list[tuple[date, date]]
    claimed: list[Claimed]


def months_seen(actor: Actor, subscription: Subscription) -> Sight:
    """Return the months that usage_visible_to lets the actor see. A period covers the months at whose end it ran."""
    if actor.kind != OrganisationKind.PARTNER:
        return Sight(whole=True, spans=[], claimed=[])
    whole, spans, claimed = False, [], []
    seen = seen_by(actor).filter(subscription=subscription).order_by("began_at", "association")
    for kind, workload, began_at, ended_at in seen.values_list("association__kind", "workload", "began_at", "ended_at"):
        span = None if ended_at is None else _span(began_at, ended_at)
        if ended_at is not None and span is None:
            continue
        if kind == AssociationKind.CPOR:
            claimed.append(Claimed(workload, span))
        elif span is None:
            whole = True
        else:
            spans.append(span)
    return Sight(whole, [] if whole else spans, claimed)


def _span(began_at: datetime, ended_at: datetime) -> tuple[date, date] | None:
    """Return the first and the last month at whose end a period ran; None if it was in none."""
    first, last = (moment.astimezone(UTC).date().replace(day=1) for moment in (began_at, ended_at))
    return (first, months_before(last, 1)) if first < last else None


@dataclass(frozen=True)
class Totals:
    """The sum of the newest months of many subscriptions; `subscriptions` is how many have one."""

    subscriptions: int
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


def totals(subscriptions: QuerySet[Subscription], usage: QuerySet[Usage]) -> Totals:
    """Return the sum of the newest month of each subscription in this usage."""
    with connection.cursor() as cursor:
        cursor.execute(*totals_sql(subscriptions, usage))
        return Totals(*cursor.fetchone())


def totals_sql(subscriptions: QuerySet[Subscription], usage: QuerySet[Usage]) -> tuple[str, list[Any]]:
    """Return SQL, with its parameters, for Totals of this usage: the rows are not read one by one."""
    newest, given = newest_sql(subscriptions, usage)
    return f"SELECT count(*), sum(paid), sum(active), sum(money) FROM ({newest}) AS newest", given


def newest_sql(subscriptions: QuerySet[Subscription], usage: QuerySet[Usage]) -> tuple[str, list[Any]]:
    """Return SQL, with its parameters, for the newest month of each subscription: its key and the fields of a month.

    For each subscription it takes the first month from the end of the index. To rank the months of a large partner,
    the database would have to sort a million rows.
    """
    each, of_each = subscriptions.order_by().values("pk").query.sql_with_params()
    months = monthly(usage.filter(subscription_id=RawSQL("each.id", []))).order_by("-month")
    newest, of_newest = months[:1].query.sql_with_params()
    columns = "subscription_id, month, paid, active, money"
    sql = f"SELECT {columns} FROM ({each}) AS each (id) CROSS JOIN LATERAL ({newest}) AS newest ({columns})"
    return sql, [*of_each, *of_newest]


def last_months(today: date, count: int = 13) -> list[date]:
    """Return the first days of this month and those before it, oldest first; 13, as this month may be empty."""
    first = today.replace(day=1)
    return [months_before(first, back) for back in reversed(range(count))]


# --- Changes --------------------------------------------------------------------------------------------------------

#: Over how many months the changes of use are counted.
CHANGED_OVER = 3


def months_of_changes(until: date) -> tuple[date, date]:
    """Return the two months whose use is compared: the last full one by a day, and an earlier one."""
    later = months_before(until.replace(day=1), 1)
    return months_before(later, CHANGED_OVER), later


def by_change(usage: QuerySet[Usage], earlier: date, later: date) -> QuerySet[Usage, Any]:
    """Return the subscriptions whose number of active people has risen or fallen, the largest change first."""
    return (
        usage.filter(month__in=[earlier, later])
        .values("subscription_id")
        .annotate(before=Max("active_users", filter=Q(month=earlier)), after=Max("active_users", filter=Q(month=later)))
        .annotate(change=Abs(F("after") - F("before")))
        .filter(change__gt=0)
        .order_by("-change", "subscription_id")
    )
