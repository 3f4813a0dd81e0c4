"""Lists as files: exactly what the list shows, all pages of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations import reading
from associations.models import Invitation
from associations.reading.inviting import seen
from associations.views.figures import percent_active
from associations.views.timeline import own_mpn_ids, partner_name
from por.accounts.models import Actor
from por.directory.models import Subscription, Usage
from por.history.models import Event
from por.http import csv_file

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
USED_COLUMNS = [
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
MONTH_COLUMNS = [
    "month",
    "workload",
    "paid_units",
    "active_users",
    "active_percent",
    "consumed_usd",
    "corrected_at",
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
INVITATION_COLUMNS = [
    "invitation_id",
    "status",
    "customer",
    "tenant_id",
    "partner",
    "mpn_id",
    "subscriptions",
    "attached",
    "sent_at",
    "opened_at",
    "expires_at",
    "closed_at",
    "message",
    "reason",
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


def subscriptions_csv(
    actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None = None
) -> StreamingHttpResponse:
    rows = _subscription_rows(actor, subscriptions, as_of)
    return csv_file(_("subscriptions"), SUBSCRIPTION_COLUMNS, rows, day=as_of)


def usage_csv(
    actor: Actor, subscriptions: QuerySet[Subscription], usage: QuerySet[Usage], as_of: date | None
) -> StreamingHttpResponse:
    """The newest month of each in this usage."""
    return csv_file(_("usage"), USED_COLUMNS, _used_rows(actor, subscriptions, usage, as_of), day=as_of)


def months_csv(use: Sequence[reading.UseOfWorkload], as_of: date | None) -> StreamingHttpResponse:
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


def events_csv(actor: Actor, events: QuerySet[Event]) -> StreamingHttpResponse:
    return csv_file(_("history"), EVENT_COLUMNS, _event_rows(actor, events))


def invitations_csv(actor: Actor, invitations: QuerySet[Invitation]) -> StreamingHttpResponse:
    return csv_file(_("invitations"), INVITATION_COLUMNS, _invitation_rows(actor, invitations))


def all_events_csv(events: QuerySet[Event]) -> StreamingHttpResponse:
    """For the staff: what is stored, as it is stored."""
    fields = ALL_EVENT_COLUMNS
    rows = (
        [json.dumps(event.changes) if name == "changes" else getattr(event, name) for name in fields]
        for event in events.iterator(chunk_size=CHUNK)
    )
    return csv_file(_("history"), fields, rows)


def _subscription_rows(actor: Actor, subscriptions: QuerySet[Subscription], as_of: date | None) -> Iterator[list[Any]]:
    for chunk in chunks(subscriptions):
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


def _used_rows(
    actor: Actor, subscriptions: QuerySet[Subscription], usage: QuerySet[Usage], as_of: date | None
) -> Iterator[list[Any]]:
    for chunk in chunks(subscriptions):
        for row in reading.used(actor, chunk, usage, as_of):
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


def _invitation_rows(actor: Actor, invitations: QuerySet[Invitation]) -> Iterator[list[Any]]:
    for one in invitations.iterator(chunk_size=CHUNK):
        shown, invited = seen(actor, one), one.invited.all()
        yield [
            one.invitation_id,
            shown.state.value,
            one.customer.organisation.name,
            one.customer.tenant_id,
            one.partner.organisation.name,
            one.partner.mpn_id,
            len(invited),
            sum(row.outcome == "attached" for row in invited),
            one.sent_at,
            one.opened_at,
            one.expires_at,
            one.closed_at,
            one.message,
            shown.reason,
        ]


def _instant(recorded: str | None) -> datetime | None:
    """An instant in what was recorded, where it is text."""
    return datetime.fromisoformat(recorded) if recorded else None


def chunks(found: QuerySet[Any, T]) -> Iterator[list[T]]:
    """Return the rows in parts, read by one query: sorted once, however many parts there are."""
    rows = found.iterator(chunk_size=CHUNK)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
