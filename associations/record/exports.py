"""Events as a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations.record.timeline import may_know_partner, own_mpn_ids, partner_name, reason_of
from por.accounts.models import Actor
from por.history.models import Event
from por.web.csv_export import CHUNK
from por.web.lists import csv_file

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


def events_csv(actor: Actor, events: QuerySet[Event]) -> StreamingHttpResponse:
    """Return the events as a file, as far as the actor may know them."""
    return csv_file(_("history"), EVENT_COLUMNS, _event_rows(actor, events))


def _event_rows(actor: Actor, events: QuerySet[Event]) -> Iterator[list[Any]]:
    own = own_mpn_ids(actor)
    for event in events.iterator(chunk_size=CHUNK):
        partner = event.changes.get("partner") or {}
        known = may_know_partner(event, own)
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
            reason_of(event, own),
        ]


def _instant(recorded: str | None) -> datetime | None:
    """Return a recorded instant, which is text in an event."""
    return datetime.fromisoformat(recorded) if recorded else None
