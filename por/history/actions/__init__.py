"""Writing down what happened and telling those who listen; beside it: signing, and checking that nobody touched it."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por import faults
from por.errors import Absent, Refused
from por.history.actions.verifying import HASH as HASH
from por.history.actions.verifying import verify as verify
from por.history.models import Event, Outbox
from por.history.rules import LEASE, MAX_ATTEMPTS, backoff
from por.logs import request_id, without_addresses
from por.waiting import busy_instead_of_a_lock_timeout

logger = logging.getLogger(__name__)

Handler = Callable[[Event], None]
_handlers: dict[str, list[Handler]] = defaultdict(list)


#: A run ends after so many seconds, well within the time a task has; the next one is seconds away.
RUN_FOR = 120


def _no_bell() -> None:
    """Nobody to ring yet; the relay comes round by itself."""


#: Rings the relay after a commit. It may fail or be lost: the outbox is the guarantee.
bell: Callable[[], None] = _no_bell


class Author(Protocol):
    """Whoever did something: a person for an organisation, or nobody (the clock, a command)."""

    @property
    def user_id(self) -> int | None: ...
    @property
    def name(self) -> str: ...
    @property
    def organisation_id(self) -> int | None: ...
    @property
    def organisation_name(self) -> str: ...


class Operator(Author, Protocol):
    """An author with rights."""

    def require(self, right: str) -> None: ...


class About(NamedTuple):
    """What an event is about, as text, so that history outlives the thing."""

    kind: str
    id: str
    name: str


def on(verb: str, handler: Handler) -> None:
    """Calls the handler, in the relay's transaction, for each event with this verb; it only inserts rows of its own."""
    _handlers[verb].append(handler)


def record(
    verb: str,
    about: About,
    *,
    by: Author,
    at: datetime,
    of: int | None,
    parties: Iterable[int] = (),
    changes: Mapping[str, Any] | None = None,
    reason: str = "",
) -> int:
    """Writes one event and its one outbox row; returns the event's id. The last statement of a verb.

    `of` is the organisation whose chain it stands in (the customer it is about, else the organisation it is
    about), None for the house's; `parties` are the organisations that may read it besides.
    """
    readers = sorted(set(parties))
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "chain": "house" if of is None else f"organisation:{of}",
                **_what_and_who(verb, by, at),
                "object_kind": about.kind,
                "object_id": about.id,
                "object_name": about.name,
                "changes": json.dumps(changes or {}, default=str),
                "reason": reason,
                "parties": json.dumps(readers),
                "readers": readers,
            },
        )
        event_id: int = cursor.fetchone()[0]
    transaction.on_commit(_ring)
    return event_id


def _what_and_who(verb: str, by: Author, at: datetime) -> dict[str, Any]:
    return {
        "at": at,
        "verb": verb,
        "actor_id": by.user_id,
        "actor_name": by.name,
        "actor_organisation_id": by.organisation_id,
        "actor_organisation_name": by.organisation_name,
        "request_id": request_id.get(),
    }


class Said(NamedTuple):
    """One of several events that differ in little: whose chain it stands in, what changed, and about what."""

    of: int
    changes: Mapping[str, Any]
    about: About
    parties: Sequence[int] = ()


def record_each(verb: str, *, by: Author, at: datetime, events: Sequence[Said]) -> None:
    """Writes an event for each, in one statement, and so locks the head of each chain, in one order for all callers.

    For the last statement of what changed many things at once: a load. What no handler waits for is told
    to nobody, so its outbox row is done at once.
    """
    rows = [
        (
            f"organisation:{event.of}",
            *event.about,
            json.dumps(event.changes, default=str),
            json.dumps(sorted(set(event.parties))),
        )
        for event in sorted(events, key=lambda event: event.of)
    ]
    columns = dict(
        zip(("chain", "kind", "id", "name", "changes", "parties"), map(list, zip(*rows, strict=True)), strict=True)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD_EACH,
            {
                **_what_and_who(verb, by, at),
                "is_awaited": verb in _handlers,
                **columns,
            },
        )
    if verb in _handlers:
        transaction.on_commit(_ring)


# One round trip for the event, its readers and its outbox row. The trigger fills in seq, prev and hash.
_RECORD = """
WITH event AS (
    INSERT INTO history_event (
        chain, seq, prev, hash, at, verb, actor_id, actor_name, actor_organisation_id, actor_organisation_name,
        object_kind, object_id, object_name, changes, reason, request_id, parties
    ) VALUES (
        %(chain)s, 0, '', '', %(at)s, %(verb)s, %(actor_id)s, %(actor_name)s, %(actor_organisation_id)s,
        %(actor_organisation_name)s, %(object_kind)s, %(object_id)s, %(object_name)s, %(changes)s, %(reason)s,
        %(request_id)s, %(parties)s
    ) RETURNING id
), readers AS (
    INSERT INTO history_party (event_id, organisation_id)
    SELECT event.id, reader FROM event, unnest(%(readers)s::bigint[]) AS reader
), promise AS (
    INSERT INTO history_outbox (event_id, next_at, attempts, last_error)
    SELECT event.id, statement_timestamp(), 0, '' FROM event
)
SELECT id FROM event
"""

_RECORD_EACH = """
WITH event AS (
    INSERT INTO history_event (
        chain, seq, prev, hash, at, verb, actor_id, actor_name, actor_organisation_id, actor_organisation_name,
        object_kind, object_id, object_name, changes, reason, request_id, parties
    )
    SELECT chain, 0, '', '', %(at)s, %(verb)s, %(actor_id)s, %(actor_name)s, %(actor_organisation_id)s,
        %(actor_organisation_name)s, object_kind, object_id, object_name, changes::jsonb, '', %(request_id)s,
        parties::jsonb
    FROM unnest(%(chain)s, %(kind)s, %(id)s, %(name)s, %(changes)s, %(parties)s)
        AS said (chain, object_kind, object_id, object_name, changes, parties)
    RETURNING id, parties
), readers AS (
    INSERT INTO history_party (event_id, organisation_id)
    SELECT event.id, reader::bigint FROM event, jsonb_array_elements_text(event.parties) AS reader
)
INSERT INTO history_outbox (event_id, next_at, attempts, last_error, done_at)
SELECT event.id, statement_timestamp(), 0, '', CASE WHEN NOT %(is_awaited)s THEN statement_timestamp() END FROM event
"""


def _ring() -> None:
    try:
        bell()
    except Exception as error:
        logger.warning("The relay could not be rung (%s); it comes round by itself.", error)


def relay() -> int:
    """Calls the listeners of every event whose outbox row is due; returns how many rows it took.

    Rows are taken one at a time, so that a worker that dies takes nothing but its own row along.
    """
    if not _due():
        return 0
    taken, until = 0, time.monotonic() + RUN_FOR
    while time.monotonic() < until and (event_id := _lease()) is not None:
        taken += 1
        try:
            _tell(event_id)
        except Exception as error:
            if faults.caused_by(error) is not None:
                _give_back(event_id)
                break
            logger.exception("Listeners of event %s failed.", event_id)
            _put_off(event_id, error)
    return taken


def _due() -> bool:
    """Whether anything is due, once what has used up its tries without coming to say so is put aside as dead."""
    due = Outbox.objects.filter(done_at=None, dead_at=None, next_at__lte=timezone.now())
    if not due.exists():
        return False
    due.filter(attempts__gte=MAX_ATTEMPTS).update(dead_at=timezone.now())
    return True


def _lease() -> int | None:
    """Takes one due row: counts the attempt and pushes it forward, before the work.

    The bound is asked here as well: a row may come due again within one run, while nobody puts aside what is dead.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE history_outbox SET attempts = attempts + 1,"
            " next_at = statement_timestamp() + %s * interval '1 second'"
            " WHERE event_id = (SELECT event_id FROM history_outbox WHERE done_at IS NULL AND dead_at IS NULL"
            " AND next_at <= statement_timestamp() AND attempts < %s ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " RETURNING event_id",
            [LEASE.total_seconds(), MAX_ATTEMPTS],
        )
        row = cursor.fetchone()
    return row[0] if row else None


@transaction.atomic
def _tell(event_id: int) -> None:
    promise = Outbox.objects.select_related("event").select_for_update(of=("self",)).get(pk=event_id)
    if promise.done_at is not None:
        return  # the lease ran out under a slow worker and another one finished the work
    token = request_id.set(promise.event.request_id)
    try:
        for handler in _handlers[promise.event.verb]:
            handler(promise.event)
    finally:
        request_id.reset(token)
    promise.done_at = timezone.now()
    promise.save(update_fields=["done_at"])


def _give_back(event_id: int) -> None:
    """A full disk or a lost connection is not the event's: the try does not count, however long it lasts."""
    Outbox.objects.filter(pk=event_id).update(attempts=F("attempts") - 1, next_at=timezone.now() + backoff(1))


def _put_off(event_id: int, error: Exception) -> None:
    """Outside the transaction that failed, so that the attempt and its error are kept."""
    promise = Outbox.objects.get(pk=event_id)
    promise.last_error = without_addresses(f"{type(error).__name__}: {error}")[:1000]
    promise.next_at = timezone.now() + backoff(promise.attempts)
    if promise.attempts >= MAX_ATTEMPTS:
        promise.dead_at = timezone.now()
    promise.save(update_fields=["last_error", "next_at", "dead_at"])


# --- What was given up is tried again -----------------------------------------------------------------------------

#: So many at one press of the button; what is left shows, and can be pressed again.
REPLAYED_AT_ONCE = 200


@transaction.atomic
def replay(event_id: int, *, by: Operator) -> Event:
    """Calls the listeners of an event again that were given up, with all their tries before them.

    Raises Forbidden, Absent, Busy, or `not_dead`: it is done, or somebody else was first.
    """
    by.require("delivery.replay")
    with busy_instead_of_a_lock_timeout():
        promises = Outbox.objects.select_related("event").select_for_update(of=("self",), no_key=True)
        promise = promises.filter(pk=event_id).first()
    if promise is None:
        raise Absent("not_found", _("We could not find this event."))
    if promise.dead_at is None:
        raise Refused("not_dead", _("This event is not stuck. It is done, or someone has just tried it again."))
    event, now = promise.event, timezone.now()
    tried = {"verb": event.verb, "attempts": promise.attempts, "dead_at": promise.dead_at}
    promise.dead_at, promise.attempts, promise.next_at = None, 0, now
    promise.save(update_fields=["dead_at", "attempts", "next_at"])
    about = About("event", str(event.pk), event.object_name)
    record("outbox.replayed", about, by=by, at=now, of=organisation_of(event.chain), changes=tried)
    return event


def replay_dead(*, by: Operator) -> int:
    """Does so for all that are dead, oldest first, each in a transaction of its own; returns how many it were."""
    by.require("delivery.replay")
    dead = Outbox.objects.dead().order_by("event_id").values_list("event_id", flat=True)
    replayed = 0
    for event_id in list(dead[:REPLAYED_AT_ONCE]):
        with suppress(Refused):  # somebody else was first
            replay(event_id, by=by)
            replayed += 1
    return replayed


def organisation_of(chain: str) -> int | None:
    """The organisation whose chain it is, None for the house's: what `record` was given as `of`."""
    _kind, _colon, number = chain.partition(":")
    return int(number) if number else None
