"""The relay: it calls the handlers of each event, and a person can start what was given up again."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.errors import NotFound, Refused
from por.history.actions.recording import ObjectRef, Operator, _handlers, logger, organisation_of, record
from por.history.models import Event, Outbox, OutboxQuerySet
from por.queue import replays
from por.queue.work import LeasedQueue


class Relay(LeasedQueue[Outbox]):
    """The events whose listeners have to be called."""

    def rows(self) -> OutboxQuerySet:
        return Outbox.objects.select_related("event")

    def request_id_of(self, row: Outbox) -> str:
        return row.event.request_id

    @transaction.atomic
    def work(self, row: Outbox) -> None:
        """Call the listeners in one transaction with the mark that it is done, which comes first and locks the row."""
        if not Outbox.objects.filter(pk=row.pk, done_at=None).update(done_at=timezone.now()):
            return  # the lease ran out under a slow worker, and another one has finished the work
        for handler in _handlers[row.event.verb]:
            handler(row.event)

    def fail(self, row: Outbox, error: Exception) -> None:
        logger.exception("Listeners of event %s failed.", row.pk)
        super().fail(row, error)


def relay() -> int:
    """Call the listeners of every event whose outbox row is due; return how many rows were taken."""
    return Relay().run()


# --- What was given up is tried again -----------------------------------------------------------------------------
@transaction.atomic
def replay(event_id: int, *, by: Operator) -> Event:
    """Let the listeners of an event that were given up be called again, with all tries before them; return the event.

    Raises Forbidden, Absent, Busy, or `not_dead`: it is done, or someone else was first.
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
    record("outbox.replayed", about, by=by, at=found.at, of=organisation_of(event.chain), changes=changes)
    return event


def replay_dead(*, by: Operator) -> int:
    """Replay all events that were given up; return how many. Raises Forbidden."""
    return replays.replay_each(Outbox.objects.dead(), lambda event_id: replay(event_id, by=by), by=by)
