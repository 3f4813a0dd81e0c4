"""Recording events, and the handlers that the relay calls for them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.db import connection

from por.db.prepared import Statement
from por.history.events import check_payload, registered
from por.history.events import verify as verify_events
from por.history.models import Event
from por.ops.logs import request_id
from por.queue import replays
from por.queue.rules import priority_of
from por.queue.wake import Wake

Handler = Callable[[Event], None]

_handlers: dict[str, list[Handler]] = defaultdict(list)
_around: list[Callable[[], AbstractContextManager[None]]] = []

#: Wakes the relay after a commit.
wake = Wake()


class Author(Protocol):
    """Who did something: a person for an organisation, or the system (the clock, a command)."""

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
    """What an event is about, as text, so that the event stays readable after the object is deleted."""

    kind: str
    id: str
    name: str


def on(verb: str, handler: Handler) -> None:
    """Let the relay call the handler for each event with this verb, in the relay's transaction.

    The handler may only insert rows of its own room.
    """
    _handlers[verb].append(handler)


def handlers_of(verb: str) -> Sequence[Handler]:
    """Return the handlers of the events with this verb."""
    return _handlers.get(verb, ())


def around(manager: Callable[[], AbstractContextManager[None]]) -> None:
    """Let the relay call the handlers of a batch within this context manager, in the relay's transaction.

    A room reads and inserts at its end what its handlers need, once for all of them.
    """
    _around.append(manager)


@contextmanager
def around_handlers() -> Iterator[None]:
    """Enter the context managers of all rooms."""
    with ExitStack() as stack:
        for manager in _around:
            stack.enter_context(manager())
        yield


def open_events() -> None:
    """Verify the registered events, and let the relay call the notification function of each."""
    verify_events()
    for spec in registered():
        if spec.notify is not None:
            on(spec.name, spec.notify)


def record(
    verb: str,
    about: ObjectRef,
    *,
    by: Author,
    at: datetime,
    chain: int | None,
    parties: Iterable[int] = (),
    changes: Mapping[str, Any] | None = None,
    reason: str = "",
) -> int:
    """Insert one event and its outbox row; return the event's id. It must be the last statement of a verb.

    `chain` is the organisation whose chain gets the event: the customer it is about, else the organisation it is about,
    else None for the chain of the system. `parties` are the other organisations that may read it.
    """
    check_payload(verb, changes or {})
    readers = sorted(set(parties))
    [(event_id,)] = _RECORD.rows(
        {
            "chain": "house" if chain is None else f"organisation:{chain}",
            **_common_columns(verb, by, at),
            "object_kind": about.kind,
            "object_id": about.id,
            "object_name": about.name,
            "changes": json.dumps(changes or {}, default=str),
            "reason": reason,
            "parties": json.dumps(readers),
            "readers": readers,
            "priority": priority_of(by.user_id),
        }
    )
    wake.after_commit()
    recorded: int = event_id
    return recorded


def _common_columns(verb: str, by: Author, at: datetime) -> dict[str, Any]:
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
    """One of several events: its chain, its payload, its object, and who else may read it; its verb if these differ."""

    chain: int
    changes: Mapping[str, Any]
    about: ObjectRef
    parties: Sequence[int] = ()
    verb: str = ""


def record_each(
    verb: str = "", *, by: Author, at: datetime, events: Sequence[EventDraft], in_request: bool = False
) -> None:
    """Insert several events in one statement, with their own verbs or all with this one.

    It locks the head of each chain, in the same order for all callers. It must be the last statement of a transaction
    that changed many objects, such as a batch of an import. The outbox rows of events without handlers are done from
    the start; but a web server may not insert such rows (`in_request`).
    """
    if not events:
        return
    for event in events:
        check_payload(event.verb or verb, event.changes)
    handled = sorted({str(event.verb or verb) for event in events if handlers_of(event.verb or verb)})
    rows = [
        (
            f"organisation:{event.chain}",
            str(event.verb or verb),
            *event.about,
            json.dumps(event.changes, default=str),
            json.dumps(sorted(set(event.parties))),
        )
        for event in sorted(events, key=lambda event: event.chain)
    ]
    columns = dict(
        zip(
            ("chain", "verb", "kind", "id", "name", "changes", "parties"),
            map(list, zip(*rows, strict=True)),
            strict=True,
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD_EACH + (_TO_DO if in_request else _TO_DO_OR_DONE),
            {
                **_common_columns(verb, by, at),
                "handled": handled,
                "priority": priority_of(by.user_id),
                **columns,
            },
        )
    if handled:
        wake.after_commit()


# One round trip for the event, its readers and its outbox row. The trigger fills in seq, prev and hash.
_RECORD = Statement.named("""
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
    INSERT INTO history_outbox (event_id, next_at, attempts, last_error, priority)
    SELECT event.id, statement_timestamp(), 0, '', %(priority)s FROM event
)
SELECT id FROM event
""")


_RECORD_EACH = """
WITH event AS (
    INSERT INTO history_event (
        chain, seq, prev, hash, at, verb, actor_id, actor_name, actor_organisation_id, actor_organisation_name,
        object_kind, object_id, object_name, changes, reason, request_id, parties
    )
    SELECT chain, 0, '', '', %(at)s, verb, %(actor_id)s, %(actor_name)s, %(actor_organisation_id)s,
        %(actor_organisation_name)s, object_kind, object_id, object_name, changes::jsonb, '', %(request_id)s,
        parties::jsonb
    FROM unnest(%(chain)s, %(verb)s, %(kind)s, %(id)s, %(name)s, %(changes)s, %(parties)s)
        AS draft (chain, verb, object_kind, object_id, object_name, changes, parties)
    RETURNING id, verb, parties
), readers AS (
    INSERT INTO history_party (event_id, organisation_id)
    SELECT event.id, reader::bigint FROM event, jsonb_array_elements_text(event.parties) AS reader
)
"""
_TO_DO = """
INSERT INTO history_outbox (event_id, next_at, attempts, last_error, priority)
SELECT event.id, statement_timestamp(), 0, '', %(priority)s FROM event
"""
_TO_DO_OR_DONE = """
INSERT INTO history_outbox (event_id, next_at, attempts, last_error, priority, done_at)
SELECT event.id, statement_timestamp(), 0, '', %(priority)s,
    CASE WHEN verb <> ALL (%(handled)s::text[]) THEN statement_timestamp() END
FROM event
"""


def organisation_of(chain: str) -> int | None:
    """Return the id of the organisation whose chain it is, as given to `record`; None for the chain of the system."""
    _kind, _colon, number = chain.partition(":")
    return int(number) if number else None
