"""Usage, and the staff's list of events, as CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations.record.usage import UseOfWorkload
from associations.subscriptions.exports import chunks
from associations.subscriptions.figures import percent_active
from por.accounts.models import Actor
from por.directory.models import Subscription
from por.history.models import Event
from por.portal.queries import newest_usage
from por.web.csv_export import CHUNK
from por.web.lists import csv_file

#: Of the usage of one subscription: one line for each month and workload.
MONTH_COLUMNS = [
    "month",
    "workload",
    "paid_units",
    "active_users",
    "active_percent",
    "consumed_usd",
    "corrected_at",
]

#: Of the usage of many subscriptions: one line for each subscription.
USAGE_COLUMNS = [
    "subscription_id",
    "customer",
    "tenant_id",
    "product",
    "sku",
    "own_use",
    "month",
    "paid_units",
    "active_users",
    "active_percent",
    "consumed_usd",
]

ALL_EVENT_COLUMNS = [
    "id",
    "at",
    "verb",
    "object_kind",
    "object_id",
    "object_name",
    "actor_id",
    "actor_name",
    "actor_organisation_name",
    "reason",
    "changes",
    "chain",
    "seq",
    "hash",
    "request_id",
]


def months_csv(use: Sequence[UseOfWorkload], as_of: date | None) -> StreamingHttpResponse:
    """Return the file of one subscription's usage: a line for each month and workload, in this order."""
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


def usage_csv(
    actor: Actor, subscriptions: QuerySet[Subscription], since: date | None, until: date, as_of: date | None
) -> StreamingHttpResponse:
    """Return the file of these subscriptions, each with its newest month of a period."""
    return csv_file(_("usage"), USAGE_COLUMNS, _usage_rows(actor, subscriptions, since, until, as_of), day=as_of)


def all_events_csv(events: QuerySet[Event]) -> StreamingHttpResponse:
    """Return the file of these events for the staff: each as it is stored."""
    rows = (
        [json.dumps(event.changes) if name == "changes" else getattr(event, name) for name in ALL_EVENT_COLUMNS]
        for event in events.iterator(chunk_size=CHUNK)
    )
    return csv_file(_("history"), ALL_EVENT_COLUMNS, rows)


def _usage_rows(
    actor: Actor, subscriptions: QuerySet[Subscription], since: date | None, until: date, as_of: date | None
) -> Iterator[list[Any]]:
    for chunk in chunks(subscriptions):
        for row in newest_usage(actor, chunk, since, until, as_of):
            subscription, month = row.subscription, row.usage
            yield [
                subscription.subscription_id,
                subscription.customer.organisation.name,
                subscription.customer.tenant_id,
                subscription.product,
                subscription.sku.string_id if subscription.sku else None,
                row.own_use,
                f"{month.month:%Y-%m}" if month else None,
                month.paid_units if month else None,
                month.active_users if month else None,
                percent_active(month.active_users, month.paid_units) if month else None,
                month.consumed_usd if month else None,
            ]
