"""Subscriptions as the caller sees them, with their history and usage."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from associations.record.access import usage_visible_to
from associations.record.locking import absent
from associations.record.queries import subscription_events, subscriptions_for_listing
from associations.record.schemas import NOT_FOUND, SUBSCRIPTION_EXAMPLE, get_visible
from associations.record.timeline import may_know_partner, own_mpn_ids, reason_of
from associations.record.usage import month_of, monthly
from associations.subscriptions.forms import SubscriptionFilter
from associations.subscriptions.schemas import (
    EVENT_EXAMPLE,
    DoerShape,
    EventShape,
    SubscriptionShape,
    UsageShape,
    subscription_shapes,
    subscription_values,
    usage_shape,
)
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.api.endpoint import Endpoint, etag
from por.api.lists import filtered, listing
from por.api.schema import described, page_of, timestamp
from por.directory.access import partners_of
from por.directory.models import HERE_FIRST, Partner
from por.history.models import Event
from por.web.filters import AsOfForm

SUBSCRIPTION_COLUMNS = [
    "id",
    "customer.tenant_id",
    "customer.name",
    "product",
    "sku.sku_string_id",
    "sku.name",
    "agreement",
    "portal",
    "seats",
    "trial",
    "status",
    "started_on",
    "renews_on",
    "missing_since",
    "partner_of_record.mpn_id",
    "partner_of_record.name",
    "partner_of_record.since",
    "partner_of_record.source",
    "partner_of_record.hidden",
    "usage.month",
    "usage.paid_units",
    "usage.active_users",
    "usage.consumed_usd",
    "version",
]


class SubscriptionList(Endpoint):
    @described(
        "subscriptions",
        "Subscriptions",
        """A customer gets its own subscriptions, a partner those that it is or was associated with. With `as_of`,
        those that had started by that day, with the partner of record at the end of that day.""",
        answers={200: SubscriptionShape},
        example=page_of(SUBSCRIPTION_EXAMPLE),
        filters=SubscriptionFilter,
        problems={422: ["mpn_id_malformed", "search_too_short", "as_of_in_future"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        filters = filtered(request, SubscriptionFilter)
        return listing(
            request,
            filters.listed(actor),
            lambda page: subscription_shapes(actor, page, filters.day),
            order=("pk",),
            columns=SUBSCRIPTION_COLUMNS,
            name="subscriptions",
        )


class SubscriptionDetail(Endpoint):
    @described(
        "subscription",
        "One subscription",
        """The ETag changes when a write changes the subscription or its record, not with new usage. With `as_of`, the
        partner of record at the end of that day.""",
        answers={200: SubscriptionShape},
        example=SUBSCRIPTION_EXAMPLE,
        filters=AsOfForm,
        problems=NOT_FOUND | {422: ["as_of_in_future"]},
        versioned=True,
    )
    def get(self, request: Request, subscription_id: uuid.UUID) -> Response:
        as_of = filtered(request, AsOfForm).day
        actor = actor_of(request)
        found = subscriptions_for_listing(actor, as_of).filter(subscription_id=subscription_id)
        shapes = subscription_shapes(actor, list(subscription_values(found.order_by(HERE_FIRST)[:1], as_of)), as_of)
        if not shapes:
            raise absent()
        return Response(shapes[0], headers={"ETag": etag(shapes[0]["version"])})


# --- History and usage ----------------------------------------------------------------------------------------------

EVENT_COLUMNS = [
    "id",
    "at",
    "verb",
    "actor.name",
    "actor.organisation",
    "object.kind",
    "object.id",
    "object.name",
    "changes.partner.mpn_id",
    "changes.partner.name",
    "reason",
]

USAGE_COLUMNS = ["month", "paid_units", "active_users", "consumed_usd"]


class History(Endpoint):
    @described(
        "history",
        "History of a subscription",
        "Newest first. A partner gets the events that it can read. Other partners are not named.",
        answers={200: EventShape},
        example=page_of(EVENT_EXAMPLE),
        problems=NOT_FOUND,
        is_list=True,
    )
    def get(self, request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
        actor = actor_of(request)
        events = subscription_events(actor, get_visible(request, subscription_id))
        return listing(
            request, events, lambda page: _events(actor, page), order=("-id",), columns=EVENT_COLUMNS, name="history"
        )


def _events(actor: Actor, events: list[Event]) -> list[EventShape]:
    """Return the events as this reader may know them: a partner sees one it may not know as "another partner"."""
    others = _other_partners(actor, events)
    another, own = _("another partner"), own_mpn_ids(actor)
    shapes: list[EventShape] = []
    for event in events:
        shown_actor: DoerShape | None = {"name": event.actor_name, "organisation": event.actor_organisation_name}
        if event.actor_id is None:
            shown_actor = None
        elif event.actor_organisation_id in others:
            shown_actor = {"name": "", "organisation": another}
        changes = {name: _with_z(value) for name, value in event.changes.items() if name != "fingerprints"}
        if "partner" in changes and not may_know_partner(event, own):
            changes["partner"] = {"mpn_id": None, "name": another}
        shapes.append(
            {
                "id": event.pk,
                "at": timestamp(event.at),
                "verb": event.verb,
                "actor": shown_actor,
                "object": {"kind": event.object_kind, "id": event.object_id, "name": event.object_name},
                "changes": changes,
                "reason": reason_of(event, own),
            }
        )
    return shapes


def _with_z(value: Any) -> Any:
    """Return a recorded instant as the API writes instants: in UTC, with Z. Any other value stays as it is."""
    return f"{value[:-6]}Z" if isinstance(value, str) and value.endswith("+00:00") else value


def _other_partners(actor: Actor, events: list[Event]) -> set[int]:
    """Return the keys of the partners that did these events and are not the reader's own; none if it is no partner."""
    if actor.kind != OrganisationKind.PARTNER:
        return set()
    actors = {event.actor_organisation_id for event in events if event.actor_organisation_id is not None}
    others = Partner.objects.filter(pk__in=actors).exclude(pk__in=partners_of(actor).values("pk"))
    return set(others.values_list("pk", flat=True))


class UsageList(Endpoint):
    @described(
        "usage",
        "Usage of a subscription by month",
        """The months that the caller can see, newest first. A former partner of record can see the months that its
        periods covered.""",
        answers={200: UsageShape},
        example=page_of({"month": "2026-02", "paid_units": 420, "active_users": 361, "consumed_usd": "1250.00"}),
        problems=NOT_FOUND,
        is_list=True,
    )
    def get(self, request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
        subscription = get_visible(request, subscription_id)
        usage = usage_visible_to(actor_of(request)).filter(subscription=subscription)
        return listing(
            request,
            monthly(usage),
            lambda page: [usage_shape(*month_of(total)) for total in page],
            order=("-month",),
            columns=USAGE_COLUMNS,
            name="usage",
        )
