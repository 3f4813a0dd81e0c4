"""What a batch of an import has changed in associations, as events."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection

from associations.attaching.events import AttachEvent
from associations.record.events import EndEvent
from associations.record.file_events import FileEvent
from associations.record.models import Association
from associations.record.recording import Change
from associations.record.rules import AssociationKind
from por.history.models import Event
from por.imports.events import ImportEvent


class Before(NamedTuple):
    """The period of an association before a batch has changed it."""

    began_at: datetime
    ended_at: datetime | None
    end_reason: str
    ends_on: date | None

    @classmethod
    def of(cls, association: Association) -> Before:
        return cls(association.began_at, association.ended_at, association.end_reason, association.ends_on)


def changes_of(before: Before, now: Association) -> Iterator[Change]:
    """Yield the events of an association that had another period before; none if only the reason of its end changed."""
    if before.ended_at is not None and now.ended_at is None:
        ended = {"ended_at_before": before.ended_at.isoformat(), "end_reason_before": before.end_reason}
        yield Change(FileEvent.reopened(now.kind), now, ended)
    dates: dict[str, Any] = {}
    if before.began_at != now.began_at:
        dates["began_at_before"] = before.began_at.isoformat()
    if before.ended_at is not None and now.ended_at is not None and before.ended_at != now.ended_at:
        dates["ended_at_before"] = before.ended_at.isoformat()
    if now.ended_at is None and before.ends_on != now.ends_on:
        days = before.ends_on, now.ends_on
        dates["ends_on_before"], dates["ends_on"] = (day.isoformat() if day else None for day in days)
    if dates:
        yield Change(FileEvent.redated(now.kind), now, dates)
    if before.ended_at is None and now.ended_at is not None:
        yield Change(EndEvent.ended(now.kind), now)


def begun(new: Mapping[int, int]) -> list[Change]:
    """Return the events of new associations, given by their keys with their customers.

    A customer's first import of associations is one event, so it has none for each.
    """
    known = _known(set(new.values()))
    pks = [pk for pk, customer in new.items() if customer in known]
    return [
        Change(AttachEvent.ATTACHED if one.kind == AssociationKind.DPOR else FileEvent.OTHER_KIND_BEGUN, one)
        for one in Association.objects.filter(pk__in=pks).with_names().order_by("pk")
    ]


def _known(customers: Collection[int]) -> set[int]:
    """Return those for which an earlier import, or a person, has begun associations.

    An import that was killed has not recorded that it has loaded them, so for the next one it is still the first.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT customer FROM unnest(%s::bigint[]) AS customer
            WHERE EXISTS (
                SELECT FROM history_event
                WHERE chain = 'organisation:' || customer AND verb = %s AND object_id = 'associations.csv'
            ) OR EXISTS (SELECT FROM associations_association WHERE customer_id = customer AND source <> 'estate')
            """,
            [sorted(customers), ImportEvent.LOADED],
        )
        return {customer for (customer,) in cursor.fetchall()}


def moved_by_people(subscription_ids: Collection[uuid.UUID]) -> set[int]:
    """Return the keys of those associations of the subscriptions whose start a person has moved.

    One query finds them for all lines of a batch. A query for each corrected line would take longer than all else.
    """
    if not subscription_ids:
        return set()
    verbs = [AttachEvent.DATED_BACK, AttachEvent.DATED_FORWARD]
    moves = Event.objects.filter(verb__in=verbs, object_kind="subscription", object_id__in=map(str, subscription_ids))
    return {changes["association"] for changes in moves.values_list("changes", flat=True)}
