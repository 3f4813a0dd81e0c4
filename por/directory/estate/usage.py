"""`usage.csv`: a line that says something new about a month is a new revision of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from por.directory.estate.common import unknown
from por.directory.models import Subscription, Usage
from por.directory.rules import Workload
from por.estate.loading import File, Line, Outcome
from por.estate.reading import Cells, Unfit

#: The years that usage has partitions for (migration 0002).
FIRST_MONTH, LAST_MONTH = date(2014, 1, 1), date(2035, 12, 1)


@dataclass(slots=True)
class UsageLine(Line):
    month: date
    subscription_id: uuid.UUID
    workload: str
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


def _parse_usage(cells: Cells) -> UsageLine:
    row = UsageLine(
        line=cells.line,
        month=cells.month("month"),
        subscription_id=cells.required_guid("subscription_id"),
        workload=cells.choice("workload", Workload.values),
        paid_units=cells.number("paid_units"),
        active_users=cells.number("active_users"),
        consumed_usd=cells.money("consumed_usd"),
    )
    if not FIRST_MONTH <= row.month <= LAST_MONTH:
        raise Unfit("month", "month_out_of_range", _("Usage is kept from 2014-01 to 2035-12."))
    if row.month > timezone.now().date():
        raise Unfit("month", "month_in_future", _("This month has not begun."))
    if row.paid_units is None and row.active_users is None and row.consumed_usd is None:
        raise Unfit("paid_units", "missing_value", _("The line says nothing about the month."))
    return row


Month = tuple[int, date, str]
Figures = tuple[int | None, int | None, Decimal | None]
Revision = tuple[int, date, str, int, int | None, int | None, Decimal | None]


def _merge_usage(rows: Sequence[UsageLine], outcome: Outcome) -> None:
    found = Subscription.objects.filter(subscription_id__in={row.subscription_id for row in rows})
    subscriptions = {one[0]: one for one in found.values_list("subscription_id", "pk", "customer_id", "started_on")}
    stored = _stored_usage([pk for _id, pk, _customer, _start in subscriptions.values()], {row.month for row in rows})
    revised: list[Month] = []
    new: list[Revision] = []
    for row in rows:
        if row.subscription_id not in subscriptions:
            outcome.refuse(row, unknown("subscription_id", "subscription"))
            continue
        _id, pk, customer, started_on = subscriptions[row.subscription_id]
        if row.month < started_on.replace(day=1):
            outcome.refuse(row, Unfit("month", "month_before_start", _("The subscription had not started then.")))
            continue
        key = (pk, row.month, row.workload)
        revision, figures = stored.get(key, (0, None))
        if figures == (said := (row.paid_units, row.active_users, row.consumed_usd)):
            outcome.unchanged += 1
            continue
        (outcome.changed if revision else outcome.created)[customer] += 1
        if revision:
            revised.append(key)
        new.append((*key, revision + 1, *said))
    now = timezone.now()
    _supersede(revised, now)
    _insert(new, now)


def _stored_usage(pks: Collection[int], months: Collection[date]) -> dict[Month, tuple[int, Figures]]:
    """The newest revision of each month and workload of these subscriptions."""
    stored = Usage.objects.current().filter(subscription__in=pks, month__in=months)
    columns = ("subscription_id", "month", "workload", "revision", "paid_units", "active_users", "consumed_usd")
    return {
        (pk, month, workload): (revision, (paid, active, money))
        for pk, month, workload, revision, paid, active, money in stored.values_list(*columns)
    }


def _supersede(keys: Sequence[Month], now: datetime) -> None:
    """Closes the newest revisions, before those that follow them are inserted."""
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE directory_usage AS usage SET superseded_at = %s"
            " FROM unnest(%s::bigint[], %s::date[], %s::text[]) AS key (pk, month, workload)"
            " WHERE usage.subscription_id = key.pk AND usage.month = key.month AND usage.workload = key.workload"
            " AND usage.superseded_at IS NULL",
            [now, *map(list, zip(*keys, strict=True))],
        )


def _insert(revisions: Sequence[Revision], now: datetime) -> None:
    """Column by column: most lines of an estate come here, and this takes half the time of bulk_create."""
    if not revisions:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO directory_usage (known_from, subscription_id, month, workload, revision,"
            " paid_units, active_users, consumed_usd)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::date[], %s::text[], %s::smallint[],"
            " %s::integer[], %s::integer[], %s::numeric[])",
            [now, *map(list, zip(*revisions, strict=True))],
        )


USAGE = File(
    name="usage.csv",
    header="month,subscription_id,workload,paid_units,active_users,consumed_usd",
    parse=_parse_usage,
    key=lambda row: (row.subscription_id, row.month, row.workload),
    merge=_merge_usage,
)
