"""The relay: it calls the handlers of each event. A person can restart events that it has given up."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Hashable, Sequence

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.db.locks import advisory_lock
from por.errors import NotFound, Refused
from por.history.actions.recording import (
    ObjectRef,
    Operator,
    around_handlers,
    handlers_of,
    organisation_of,
    record,
    wake,
)
from por.history.events import HistoryEvent
from por.history.models import Event, Outbox, OutboxQuerySet
from por.ops.logs import Cause, caused_by
from por.queue import replays
from por.queue.work import NEW, LeasedQueue

logger = logging.getLogger(__name__)


class Relay(LeasedQueue[Outbox]):
    """The queue of events whose handlers must be called: in order for each object, and for a batch in one transaction.

    If the batch fails, or its worker dies, each of its rows is done alone, so only the row at fault loses tries.
    """

    batch = 50
    source = "history_outbox AS work JOIN history_event AS event ON event.id = work.event_id"
    waiting = "work.done_at IS NULL AND work.dead_at IS NULL"
    ordering_key = "event.object_kind, event.object_id"

    def rows(self) -> OutboxQuerySet:
        return Outbox.objects.select_related("event")

    def cause_of(self, row: Outbox) -> Cause:
        return row.event.cause

    def ordering_key_of(self, row: Outbox) -> Hashable:
        return row.event.object_kind, row.event.object_id

    def do(self, rows: Sequence[Outbox]) -> bool:
        if len(rows) > 1:
            try:
                self._handle(rows)
                return True
            except Exception as error:
                if self.is_stopped_by(error):
                    for row in rows:
                        self.give_back(row)
                    return False
                logger.warning("Handlers of a batch failed (%s); each event is done alone.", type(error).__name__)
        return super().do(rows)

    def work(self, row: Outbox) -> None:
        if self.count(row):
            self._handle([row])

    @transaction.atomic
    def _handle(self, rows: Sequence[Outbox]) -> None:
        """Mark the rows as done, which locks them, and call their handlers in the same transaction.

        A row that is done already is left out: the lease of this slow worker ran out, and another has finished it.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE history_outbox SET done_at = %s, attempts = greatest(attempts, 1)"
                " WHERE event_id = ANY(%s) AND done_at IS NULL RETURNING event_id",
                [timezone.now(), [row.pk for row in rows]],
            )
            ours = {event_id for (event_id,) in cursor.fetchall()}
        with around_handlers():
            for row in rows:
                with caused_by(self.cause_of(row)):
                    for handler in handlers_of(row.event.verb) if row.pk in ours else ():
                        handler(row.event)

    def fail(self, row: Outbox, error: Exception) -> None:
        logger.exception("Handlers of event %s failed.", row.pk)
        super().fail(row, error)


class ActsRelay(Relay):
    """The queue of events that people caused and that no worker has taken yet."""

    waiting = f"{Relay.waiting} AND work.priority = 0"

    def take(self) -> Generator[list[Outbox], None, None]:
        acts = Outbox.objects.waiting().filter(is_taken=False, priority=0)
        while acts.exists() and (rows := self._lease(*NEW, self.batch)):
            yield rows


def relay_acts() -> int:
    """Call the handlers of the events that people caused; return how many there were. It costs one query for none."""
    return ActsRelay().run()


def relay(loads_for: float | None = None) -> int:
    """Call the handlers of every event whose outbox row is due; return how many rows were taken.

    Any number of workers do what people caused. What loads caused is done by one at a time, for `loads_for` seconds
    if these are given, so that it never keeps all workers from sending mail.
    """
    taken = relay_acts()
    if not Outbox.objects.due().exists():
        return taken
    with advisory_lock("relay of loads") as mine:
        if mine is None:
            return taken
        everything = Relay()
        everything.run_for = everything.run_for if loads_for is None else loads_for
        taken += everything.run()
        if time.monotonic() >= everything.until:
            wake.now()  # there may be more
    return taken


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
