"""Replaying rows that were given up: by a person with the right. Of two people at the same time, one succeeds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol

from django.db import connection
from django.utils import timezone

from por.db.locks import lock_timeout_as_busy
from por.errors import NotFound, Refused
from por.queue.models import Row, WorkRowQuerySet

#: The value of `Right.REPLAY`, which is in a room above this one.
RIGHT = "delivery.replay"
#: How many rows one press of the button replays. The others stay on the page for the next press.
MOST = 200


class Operator(Protocol):
    """Someone who may have the right to replay."""

    def require(self, right: str) -> None: ...


class Replayed(NamedTuple, Generic[Row]):
    """A row that waits again, and for the event: when it was replayed, and its columns before that."""

    row: Row
    at: datetime
    before: dict[str, Any]


def replay(
    rows: WorkRowQuerySet[Row], key: int, *, by: Operator, not_found: NotFound, refusal: Callable[[Row], Refused]
) -> Replayed[Row]:
    """Let a row that failed wait again, with all tries left; return it, locked.

    Called within the transaction of a verb that records it. Raises Forbidden, Locked, `not_found`, or `refusal` of a
    row that has not failed: its work is done, or someone else was first. Only the worker's role may update a queue, so
    a function of the database does this one change.
    """
    by.require(RIGHT)
    if not rows.filter(pk=key).exists():
        raise not_found
    with lock_timeout_as_busy(), connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {rows.model.replay_function}(%s)", [key])
        before = dict(zip((column.name for column in cursor.description), cursor.fetchone() or (), strict=False))
    row = rows.filter(pk=key).first()
    if row is None:  # a mail for no one, which the worker has just deleted
        raise not_found
    if not before:
        raise refusal(row)
    return Replayed(row, timezone.now(), before)


def replay_each(failed: WorkRowQuerySet[Row], verb: Callable[[int], object], *, by: Operator) -> int:
    """Call the verb for the key of each failed row, oldest first, each in its own transaction; return how many."""
    by.require(RIGHT)
    replayed = 0
    for key in list(failed.order_by("pk").values_list("pk", flat=True)[:MOST]):
        with suppress(Refused):  # someone else was first
            verb(key)
            replayed += 1
    return replayed
