"""Subscriptions that a file gives to another customer: the former one keeps its row, and the new one gets its own.

So nobody sees more or less than before: usage, associations and questions stay with the row of their time.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from django.utils import timezone

from por.directory.models import Subscription


class Move(NamedTuple):
    """A move: the rows of the former and of the new customer. `back` is when the new one had lost it, if it had."""

    former: Subscription
    subscription: Subscription
    back: datetime | None = None


#: Called with the moves of a batch, in its transaction. All rows are locked.
move_listeners: list[Callable[[Sequence[Move]], None]] = []


class Moves:
    """The moves of one batch, whose subscriptions are locked."""

    def __init__(self, locked: Iterable[Subscription]) -> None:
        self._left = {(one.subscription_id, one.customer_id): one for one in locked if one.left_at is not None}
        self._moves: list[Move] = []

    def add(self, old: Subscription, wanted: dict[str, Any]) -> Subscription:
        """Return the row of the new customer, unsaved. One that had the subscription before has a row already."""
        before = self._left.get((old.subscription_id, wanted["customer_id"]))
        new = Subscription(
            subscription_id=old.subscription_id,
            version=before.version + 1 if before else 1,
            came_at=before.came_at if before else timezone.now(),
            **wanted,
        )
        self._moves.append(Move(old, new, before.left_at if before else None))
        return new

    def leave(self) -> None:
        """Save that the former customers have them no longer. Call it before the new rows are saved."""
        now = timezone.now()
        for move in self._moves:
            move.former.left_at, move.former.status = now, Subscription.Status.EXPIRED
            move.former.version += 1
        Subscription.objects.bulk_update([move.former for move in self._moves], ["left_at", "status", "version"])

    def tell(self) -> None:
        """Tell the other rooms. Call it last."""
        if self._moves:
            for listener in move_listeners:
                listener(self._moves)


class Others:
    """The subscriptions that rows may replace: of each ID the customer's own, or else the one that is somewhere now."""

    def __init__(self, stored: Iterable[Subscription]) -> None:
        self._by_id: dict[uuid.UUID, dict[int, Subscription]] = defaultdict(dict)
        self._here: dict[uuid.UUID, Subscription] = {}
        for one in stored:
            self._by_id[one.subscription_id][one.customer_id] = one
            if one.left_at is None:
                self._here[one.subscription_id] = one

    def of(self, subscription_id: uuid.UUID | None) -> list[Subscription]:
        """Return all rows with this ID."""
        return [] if subscription_id is None else list(self._by_id[subscription_id].values())

    def get(self, subscription_id: uuid.UUID, customer: int) -> Subscription | None:
        return self._by_id[subscription_id].get(customer) or self._here.get(subscription_id)

    def forget(self, subscription_id: uuid.UUID) -> None:
        """Forget where a subscription was that this batch has moved: its new row has no key yet."""
        self._here.pop(subscription_id, None)


# --- Which row a line is about -------------------------------------------------------------------------------------


def join_by_time(staged: str, moment: str, unit: str) -> str:
    """Return the JOIN that finds the `subscription` of staged rows, which are about a moment: a day, or a month.

    What was before a move is the former customer's. The day, or the month, of the move itself is the new one's.
    """

    def of_today(name: str) -> str:
        on = f"{name}.subscription_id = {staged}.subscription_id AND {name}.left_at IS NULL"
        return f"LEFT JOIN directory_subscription AS {name} ON {on}"

    if not Subscription.objects.filter(left_at__isnull=False).exists():
        return of_today("subscription")
    return f"""
        {of_today("here")}
        LEFT JOIN LATERAL (
            SELECT id FROM directory_subscription
            WHERE subscription_id = {staged}.subscription_id AND left_at IS NOT NULL
                AND {moment} < date_trunc('{unit}', left_at AT TIME ZONE 'UTC')
                AND (came_at IS NULL OR {moment} >= date_trunc('{unit}', came_at AT TIME ZONE 'UTC'))
            ORDER BY came_at DESC NULLS LAST LIMIT 1
        ) AS former ON true
        LEFT JOIN directory_subscription AS subscription ON subscription.id = coalesce(former.id, here.id)
    """


def row_on(rows: Iterable[Subscription], day: date) -> Subscription | None:
    """Return the row that a line about this day is about, of all with one ID: the same as join_by_time."""
    here = None
    former: list[Subscription] = []
    for one in rows:
        if one.left_at is None:
            here = one
        elif day < one.left_at.date() and (one.came_at is None or day >= one.came_at.date()):
            former.append(one)
    return max(former, key=lambda one: one.came_at or datetime.min.replace(tzinfo=UTC), default=here)
