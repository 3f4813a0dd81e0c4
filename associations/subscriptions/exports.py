"""Lists as files: exactly what the list shows, all pages of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations.record import queries
from associations.record import usage as usages
from associations.subscriptions.figures import percent_active
from por.accounts.models import Actor
from por.directory.models import Subscription
from por.web.csv_export import CHUNK, T
from por.web.lists import csv_file

SUBSCRIPTION_COLUMNS = [
    "subscription_id",
    "customer",
    "tenant_id",
    "product",
    "sku",
    "agreement",
    "seats",
    "trial",
    "status",
    "started_on",
    "renews_on",
    "partner_of_record",
    "mpn_id",
    "since",
    "own_use",
    "usage_month",
    "paid_units",
    "active_users",
    "consumed_usd",
]


MONTH_COLUMNS = [
    "month",
    "workload",
    "paid_units",
    "active_users",
    "active_percent",
    "consumed_usd",
    "corrected_at",
]


def subscriptions_csv(
    actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None = None
) -> StreamingHttpResponse:
    rows = _subscription_rows(actor, subscriptions, as_of)
    return csv_file(_("subscriptions"), SUBSCRIPTION_COLUMNS, rows, day=as_of)


def months_csv(use: Sequence[usages.UseOfWorkload], as_of: date | None) -> StreamingHttpResponse:
    """Workloads month by month, in this order."""
    rows = (
        [
            f"{one.month:%Y-%m}",
            one.workload,
            one.paid_units,
            one.active_users,
            percent_active(one.active_users, one.paid_units),
            one.consumed_usd,
            one.corrected_at,
        ]
        for one in use
    )
    return csv_file(_("usage"), MONTH_COLUMNS, rows, day=as_of)


def _subscription_rows(actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None) -> Iterator[list[Any]]:
    for chunk in chunks(subscriptions):
        for row in queries.rows(actor, chunk, as_of):
            subscription, record, usage = row.subscription, row.record, row.usage
            partner = record.partner if record else None
            yield [
                subscription.subscription_id,
                subscription.customer.organisation.name,
                subscription.customer.tenant_id,
                subscription.product,
                subscription.sku.string_id if subscription.sku else None,
                subscription.agreement,
                subscription.seats,
                subscription.is_trial,
                subscription.status,
                subscription.started_on,
                subscription.renews_on,
                partner.organisation.name if partner else _("Another partner") if row.hidden else None,
                partner.mpn_id if partner else None,
                record.began_at if record else None,
                record.is_own_tenant if record else None,
                f"{usage.month:%Y-%m}" if usage else None,
                usage.paid_units if usage else None,
                usage.active_users if usage else None,
                usage.consumed_usd if usage else None,
            ]


def chunks(found: QuerySet[Any, T]) -> Iterator[list[T]]:
    """Return the rows in parts, read by one query: sorted once, however many parts there are."""
    rows = found.iterator(chunk_size=CHUNK)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
