"""Events in words, as one reader may read them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import F
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from associations.record.access import Reader
from associations.record.models import Association
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.access import partners_of
from por.history.events import EventSpec, chosen, spec_of
from por.history.models import Event

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A line of a timeline, in the shape that templates/ui/timeline.html shows.

    `id` is the beginning of the ID of a subscription that is named among others: two may have the same name.
    """

    icon: str
    tone: str
    sentence: SafeString
    at: datetime
    by: str
    reason: str
    id: str = ""


def items(actor: Actor, events: Iterable[Event], *, here: bool = False) -> list[Item]:
    """Return the events in words; `here` on the page of the one subscription they are all about."""
    found = list(events)
    known = _known(actor, found)
    return [_item(actor, event, known, here=here) for event in found]


@dataclass(frozen=True)
class Known:
    """What the reader may know about some events: the pages they may open, and the MPN IDs of their own partners.

    `own` is None for readers who may know all partners.
    """

    pages: frozenset[str]
    own: frozenset[str] | None


def _known(actor: Actor, events: Sequence[Event]) -> Known:
    ids = {event.object_id for event in events if event.object_kind == "subscription"}
    own = own_mpn_ids(actor) if events else None
    if actor.kind != OrganisationKind.PARTNER or not ids:
        return Known(frozenset(ids), own)
    seen = _seen(Reader.of(actor)).values(ids=[uuid.UUID(one) for one in ids])
    return Known(frozenset(str(subscription_id) for (subscription_id,) in seen), own)


@lru_cache(maxsize=256)
def _seen(reader: Reader) -> PreparedQuery[Any]:
    """Return the query for those of some subscriptions that a partner may open."""
    own = Association.objects.not_undone().visible_to(reader.actor())
    named = own.filter(AnyOf(F("subscription__subscription_id"), Param("ids")))
    return PreparedQuery(lambda: named.values_list("subscription__subscription_id"))


def _item(actor: Actor, event: Event, known: Known, *, here: bool) -> Item:
    spec = spec_of(event.verb)
    if spec is None:  # recorded by another release: this one would refuse to record it
        logger.error("Event %s is shown by its name: this release does not know %s.", event.pk, event.verb)
    by = event.actor_name
    if actor.kind != OrganisationKind.CUSTOMER and event.actor_organisation_name:
        by = f"{by}, {event.actor_organisation_name}" if by else event.actor_organisation_name
    return Item(
        spec.icon if spec else "info",
        spec.tone if spec else "",
        _sentence(spec, event, known, _url(actor, spec, event, known), here=here),
        event.at,
        by,
        reason_of(event, known.own) or (spec.detail(event) if spec and spec.detail else ""),
        event.object_id[:8] if not here and event.object_id in known.pages else "",
    )


def _sentence(spec: EventSpec | None, event: Event, known: Known, url: str, *, here: bool) -> SafeString:
    name = event.object_name or event.object_id or event.object_kind
    linked = format_html('<a href="{}">{}</a>', url, name) if url else name
    if spec is None:
        return format_html(_("{object}: {verb}"), object=linked, verb=event.verb)
    pattern = chosen(spec.here if here else spec.elsewhere, event.changes)
    partner = partner_name(event, known.own, first=pattern.startswith("{partner}"))
    values = {key: value["name"] for key, value in event.changes.items() if isinstance(value, dict) and "name" in value}
    return format_html(
        pattern, **{**event.changes, **values, "partner": format_html("<b>{}</b>", partner), "object": linked}
    )


def _url(actor: Actor, spec: EventSpec | None, event: Event, known: Known) -> str:
    """Return the page of the event's object for this reader, for staff the page of the event; "" if there is none."""
    if actor.is_staff:
        return reverse("portal:event", args=[event.pk])
    if spec is None:
        return ""
    link = spec.link
    page = link.partner if actor.kind == OrganisationKind.PARTNER else link.customer
    if not page or (not link.key and event.object_kind != link.kind):
        return ""
    if link.kind == "subscription" and event.object_id not in known.pages:
        return ""  # every other page is open to all readers of its events
    return reverse(page, args=[event.changes[link.key] if link.key else event.object_id])


def partner_name(event: Event, own: frozenset[str] | None, *, first: bool = True) -> str:
    """Return the partner an event is about; "another partner" to a partner, whose IDs are `own`, that may not know it.

    `first` is true where the name begins the line.
    """
    if not may_know_partner(event, own):
        return _("Another partner") if first else _("another partner")
    return str((event.changes.get("partner") or {}).get("name", ""))


def may_know_partner(event: Event, own: frozenset[str] | None) -> bool:
    """Return whether the reader of an event, whose IDs are `own`, may know the partner that it is about.

    Parties to a change request know each other, and only they read its events.
    """
    if own is None or (event.changes.get("partner") or {}).get("mpn_id") in own:
        return True
    spec = spec_of(event.verb)
    return spec is not None and spec.names_parties


def reason_of(event: Event, own: frozenset[str] | None) -> str:
    """Return the reason of an event; "" if it was written for another partner than the reader's, whose IDs are `own`.

    Such reasons stand only in old events. Now they are recorded in an event that no other partner reads.
    """
    spec = spec_of(event.verb)
    if own is None or spec is None or not spec.reason_is_private:
        return event.reason
    return event.reason if (event.changes.get("partner") or {}).get("mpn_id") in own else ""


def own_mpn_ids(actor: Actor) -> frozenset[str] | None:
    """Return the MPN IDs of the partners that an actor may read in events; None if it may read all."""
    if actor.kind != OrganisationKind.PARTNER:
        return None
    return frozenset(mpn_id for (mpn_id,) in _OWN_MPN_IDS.values(organisation=actor.organisation_id))


_OWN_MPN_IDS: PreparedQuery[Any] = PreparedQuery(
    lambda: partners_of(Reader(OrganisationKind.PARTNER).actor()).values_list("mpn_id")
)
