"""Writing down what happened and telling those who listen; beside it: signing, and checking that nobody touched it."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.db import connection

from por.history.events import check_payload, registered
from por.history.events import verify as verify_events
from por.history.models import Event
from por.ops.logs import request_id
from por.queue import replays
from por.queue.wake import Wake

logger = logging.getLogger(__name__)


Handler = Callable[[Event], None]


_handlers: dict[str, list[Handler]] = defaultdict(list)


#: Wakes the relay after a commit.
wake = Wake()


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


class Operator(Author, replays.Operator, Protocol):
    """An author with rights."""


class ObjectRef(NamedTuple):
    """What an event is about, as text, so that history outlives the thing."""

    kind: str
    id: str
    name: str


def on(verb: str, handler: Handler) -> None:
    """Calls the handler, in the relay's transaction, for each event with this verb; it only inserts rows of its own."""
    _handlers[verb].append(handler)


def open_events() -> None:
    """Verify the events that are registered, and call what each tells once it is recorded."""
    verify_events()
    for spec in registered():
        if spec.tell is not None:
            on(spec.name, spec.tell)


def record(
    verb: str,
    about: ObjectRef,
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
    check_payload(verb, changes or {})
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
    wake.after_commit()
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


class EventDraft(NamedTuple):
    """One of several events that differ in little: whose chain it stands in, what changed, and about what."""

    of: int
    changes: Mapping[str, Any]
    about: ObjectRef
    parties: Sequence[int] = ()


def record_each(verb: str, *, by: Author, at: datetime, events: Sequence[EventDraft]) -> None:
    """Writes an event for each, in one statement, and so locks the head of each chain, in one order for all callers.

    For the last statement of what changed many things at once: a load. What no handler waits for is told
    to nobody, so its outbox row is done at once.
    """
    for event in events:
        check_payload(verb, event.changes)
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
        wake.after_commit()


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
), outbox AS (
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


def organisation_of(chain: str) -> int | None:
    """The organisation whose chain it is, None for the house's: what `record` was given as `of`."""
    _kind, _colon, number = chain.partition(":")
    return int(number) if number else None
