"""The relay: it calls the handlers of each event. A person can restart events that it has given up."""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.errors import NotFound, Refused
from por.history.actions.recording import ObjectRef, Operator, handlers_of, organisation_of, record
from por.history.events import HistoryEvent
from por.history.models import Event, Outbox, OutboxQuerySet
from por.queue import replays
from por.queue.work import LeasedQueue

logger = logging.getLogger(__name__)


class Relay(LeasedQueue[Outbox]):
    """The queue of events whose handlers must be called."""

    def rows(self) -> OutboxQuerySet:
        return Outbox.objects.select_related("event")

    def request_id_of(self, row: Outbox) -> str:
        return row.event.request_id

    @transaction.atomic
    def work(self, row: Outbox) -> None:
        """Mark the row as done, which locks it, and call the handlers in the same transaction."""
        if not Outbox.objects.filter(pk=row.pk, done_at=None).update(done_at=timezone.now()):
            return  # the lease of this slow worker ran out, and another worker has finished the work
        for handler in handlers_of(row.event.verb):
            handler(row.event)

    def fail(self, row: Outbox, error: Exception) -> None:
        logger.exception("Handlers of event %s failed.", row.pk)
        super().fail(row, error)


def relay() -> int:
    """Call the handlers of every event whose outbox row is due; return how many rows were taken."""
    return Relay().run()


# --- Restarting events that were given up -------------------------------------------------------------------------


@transaction.atomic
def replay(event_id: int, *, by: Operator) -> Event:
    """Let the relay call the handlers of a given-up event again, with all tries left; return the event.

    Raises Forbidden, NotFound, Locked, or `not_dead`: it is done, or someone else was first.
    """
    found = replays.replay(
        Outbox.objects.select_related("event"),
        event_id,
        by=by,
        not_found=NotFound("not_found", _("We could not find this event.")),
        refusal=lambda row: Refused(
            "not_dead", _("This event is not stuck. It is done, or someone has just tried it again.")
        ),
    )
    event = found.row.event
    about, changes = ObjectRef("event", str(event.pk), event.object_name), {"verb": event.verb, **found.before}
    record(HistoryEvent.REPLAYED, about, by=by, at=found.at, chain=organisation_of(event.chain), changes=changes)
    return event


def replay_dead(*, by: Operator) -> int:
    """Replay all events that were given up; return how many. Raises Forbidden."""
    return replays.replay_each(Outbox.objects.dead(), lambda event_id: replay(event_id, by=by), by=by)
