"""Lists as files: exactly what the list shows, all pages of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from associations import reading
from associations.views.timeline import own_mpn_ids, partner_name
from por.accounts.models import Actor
from por.csv_export import csv_lines
from por.directory.models import Subscription
from por.history.models import Event

T = TypeVar("T")

CHUNK = 1000

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
EVENT_COLUMNS = [
    "at",
    "verb",
    "subscription_id",
    "object",
    "partner",
    "mpn_id",
    "began_at",
    "ended_at",
    "by",
    "organisation",
    "reason",
]


def subscriptions_csv(
    actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None = None
) -> StreamingHttpResponse:
    return _download(
        _("subscriptions"), SUBSCRIPTION_COLUMNS, _subscription_rows(actor, subscriptions, as_of), day=as_of
    )


def events_csv(actor: Actor, events: QuerySet[Event]) -> StreamingHttpResponse:
    return _download(_("history"), EVENT_COLUMNS, _event_rows(actor, events))


def _download(
    name: str, header: list[str], rows: Iterable[list[Any]], *, day: date | None = None
) -> StreamingHttpResponse:
    lines = csv_lines(header, rows, language=get_language() or "en")
    filename = f"{name}-{(day or timezone.now().date()).isoformat()}.csv"
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


def _subscription_rows(actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None) -> Iterator[list[Any]]:
    for chunk in _chunks(subscriptions.iterator(chunk_size=CHUNK)):
        for row in reading.rows(actor, chunk, as_of):
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


def _event_rows(actor: Actor, events: QuerySet[Event]) -> Iterator[list[Any]]:
    own = own_mpn_ids(actor)
    for event in events.iterator(chunk_size=CHUNK):
        partner = event.changes.get("partner") or {}
        known = own is None or partner.get("mpn_id") in own
        yield [
            event.at,
            event.verb,
            event.object_id if event.object_kind == "subscription" else None,
            event.object_name,
            partner_name(event, own) if partner else None,
            partner.get("mpn_id") if known else None,
            _instant(event.changes.get("began_at")),
            _instant(event.changes.get("ended_at")),
            event.actor_name,
            event.actor_organisation_name,
            event.reason,
        ]


def _instant(recorded: str | None) -> datetime | None:
    """An instant in what was recorded, where it is text."""
    return datetime.fromisoformat(recorded) if recorded else None


def _chunks(found: Iterator[T]) -> Iterator[list[T]]:
    while chunk := list(islice(found, CHUNK)):
        yield chunk
