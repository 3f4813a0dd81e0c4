"""Lists of subscriptions as CSV: what the list shows, all its pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations.record.queries import rows
from por.accounts.models import Actor
from por.directory.models import Subscription
from por.directory.rules import missing_by
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
    "missing_since",
    "partner_of_record",
    "mpn_id",
    "since",
    "own_use",
    "usage_month",
    "paid_units",
    "active_users",
    "consumed_usd",
]


def subscriptions_csv(
    actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None = None
) -> StreamingHttpResponse:
    """Return the file of these subscriptions, as the actor may see them."""
    lines = _subscription_lines(actor, subscriptions, as_of)
    return csv_file(_("subscriptions"), SUBSCRIPTION_COLUMNS, lines, day=as_of)


def _subscription_lines(actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None) -> Iterator[list[Any]]:
    for chunk in chunks(subscriptions):
        for row in rows(actor, chunk, as_of):
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
                missing_by(subscription.missing_since, as_of),
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
    """Return the rows in parts. One query reads them all, so the database sorts them only once."""
    iterator = found.iterator(chunk_size=CHUNK)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
