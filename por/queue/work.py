"""Doing the work that is stored in the rows of a table: bounded, in order, and safe if the worker dies.

Every queue has the same run: take rows, mark them before the work, do the work under the request id that caused it,
and decide what a failure means. Queues differ in how a worker holds the rows it has taken:

- `LeasedQueue` is for short work. Rows are leased until the moment in `next_at`, so many workers share a table.
- Work that takes minutes or hours holds a PostgreSQL advisory lock instead (`por.db.locks.advisory_lock`) and writes
  its own `take`: no lease is long enough for it, and the lock is free the moment its worker dies. It checks at each
  step that it still has the lock.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Hashable, Sequence
from contextlib import closing
from datetime import timedelta
from math import inf
from typing import Any, ClassVar, Generic, TypeVar

from django.db import connection, transaction
from django.utils import timezone

from por.db import outages
from por.ops.logs import Cause, caused_by, without_addresses
from por.queue.models import Row, WorkRowQuerySet
from por.queue.rules import BATCH_FOR, HOLDS_BACK, LEASE, MAX_ATTEMPTS, RUN_FOR, backoff

Taken = TypeVar("Taken")


class Queue(ABC, Generic[Taken]):
    """A table of work. `run` is the same for all of them; make one instance for each run."""

    #: Seconds after which `run` takes no more rows.
    run_for: float = RUN_FOR
    #: When this run takes no more rows.
    until = inf

    def run(self) -> int:
        """Do the work that is due; return how many rows were taken.

        An outage of a server ends the run and does not count as a try, however long it lasts.
        """
        taken, self.until = 0, time.monotonic() + self.run_for
        with closing(self.take()) as batches:
            for rows in batches:
                taken += len(rows)
                if not self.do(rows) or time.monotonic() >= self.until:
                    break
        return taken

    def do(self, rows: Sequence[Taken]) -> bool:
        """Do the work of rows that were taken together; return False if an outage stopped it."""
        return all(self._try(row) for row in rows)

    def _try(self, row: Taken) -> bool:
        """Do the work of one row; return False if an outage stopped it."""
        with caused_by(self.cause_of(row)):
            try:
                self.work(row)
            except Exception as error:
                if self.is_stopped_by(error):
                    self.give_back(row)
                    return False
                self.fail(row, error)
        return True

    @abstractmethod
    def take(self) -> Generator[Sequence[Taken], None, None]:
        """Yield rows, marked and committed before the work, and held until the next are asked for.

        Long work is taken one row at a time, so a worker that dies takes nothing but its own row with it.
        """

    @abstractmethod
    def cause_of(self, row: Taken) -> Cause:
        """Return the request that caused the work, and who sent it."""

    @abstractmethod
    def work(self, row: Taken) -> None:
        """Do the work and mark the row as done."""

    def is_outage(self, error: Exception) -> bool:
        """Return whether a server is at fault and not the row."""
        return outages.caused_by(error) is not None

    def is_stopped_by(self, error: Exception) -> bool:
        """Return whether it is an outage. A lost connection is closed, so that the next statement opens another."""
        is_outage = self.is_outage(error)
        if is_outage and not connection.is_usable():
            connection.close()
        return is_outage

    @abstractmethod
    def give_back(self, row: Taken) -> None:
        """Let the row wait for the end of an outage. The try does not count."""

    @abstractmethod
    def fail(self, row: Taken, error: Exception) -> None:
        """Record that the work failed. The failed transaction is over, so what is recorded is kept."""


#: SQL: the condition and the order of rows that no one has taken before, and of those that are due again.
NEW = "NOT work.is_taken", "work.priority, work.{key}"
_AGAIN = "work.is_taken", "work.next_at, work.{key}"


class LeasedQueue(Queue[Row]):
    """A table of `WorkRow`s, worked on by any number of workers.

    Rows with the same ordering key and priority do not overtake one another, such as the messages to one person about
    one thing: a later row waits while an earlier one is due, in work, or due again soon.
    """

    lease: ClassVar[timedelta] = LEASE
    max_attempts: ClassVar[int] = MAX_ATTEMPTS
    #: The most rows that are leased together.
    batch: ClassVar[int]
    #: SQL: the table as `work`, joined with what the ordering key needs; which rows wait; the columns of the key.
    source: ClassVar[str]
    waiting: ClassVar[str]
    ordering_key: ClassVar[str]
    #: When no more rows of the batch are begun, so that the last one ends within its lease.
    batch_until = inf

    @abstractmethod
    def rows(self) -> WorkRowQuerySet[Row]:
        """Return the rows of the table, with all that the work needs of them."""

    @abstractmethod
    def ordering_key_of(self, row: Row) -> Hashable:
        """Return the ordering key of a row."""

    def is_ready(self) -> bool:
        """Return whether work can be done now. Asked before each lease, so an outage uses up no tries."""
        return True

    def take(self) -> Generator[list[Row], None, None]:
        """Yield the rows that no one has taken before, several together; and between them one that is due again."""
        due = self.rows().due()
        if not due.exists():
            return
        # A worker that died on each try could not give the row up.
        due.filter(attempts__gte=self.max_attempts).update(**due.model.given_up())
        found = True
        while found:
            found = False
            for which, order, most in ((*NEW, self.batch), (*_AGAIN, 1)):
                if self.is_ready() and (rows := self._lease(which, order, most)):
                    found = True
                    yield rows

    def _lease(self, which: str, order: str, most: int) -> list[Row]:
        """Return due rows, leased in one statement: `next_at` is pushed forward, and the try of a lone row is counted.

        Workers lease in turn: otherwise one could not see that another is taking an earlier row with the same ordering
        key. The bound is checked here too: a row may become due again within a run, after the dead ones were given up.
        """
        table = self.rows().model._meta
        assert table.pk.column
        name, key = connection.ops.quote_name(table.db_table), connection.ops.quote_name(table.pk.column)
        now, self.batch_until = timezone.now(), time.monotonic() + BATCH_FOR
        with transaction.atomic(), connection.cursor() as cursor:
            # PostgreSQL does not know how long the queue is in a burst, and would sort all of it for the first rows.
            cursor.execute(
                "SELECT set_config('enable_sort', 'off', true), pg_advisory_xact_lock(hashtext(%s), 0)",
                [f"lease {name}"],
            )
            cursor.execute(
                f"""
                WITH ahead AS MATERIALIZED (
                    SELECT work.{key} AS key, work.priority, ROW({self.ordering_key}) AS ordering_key FROM {self.source}
                    WHERE {self.waiting} AND work.is_taken AND work.next_at < %(soon)s
                ), chosen AS MATERIALIZED (
                    SELECT work.{key} AS key FROM {self.source}
                    WHERE {self.waiting} AND {which} AND work.next_at <= %(now)s AND work.attempts < %(tries)s
                        AND NOT EXISTS (
                            SELECT FROM ahead WHERE ahead.ordering_key = ROW({self.ordering_key})
                                AND ahead.priority = work.priority AND ahead.key < work.{key}
                        )
                    ORDER BY {order.format(key=key)} LIMIT %(most)s FOR UPDATE OF work SKIP LOCKED
                )
                UPDATE {name} AS work SET is_taken = true, next_at = %(end)s,
                    attempts = work.attempts + CASE (SELECT count(*) FROM chosen) WHEN 1 THEN 1 ELSE 0 END
                FROM chosen WHERE work.{key} = chosen.key RETURNING work.{key}
                """,
                {
                    "now": now,
                    "soon": now + HOLDS_BACK,
                    "end": now + self.lease,
                    "tries": self.max_attempts,
                    "most": most,
                },
            )
            leased = [one for (one,) in cursor.fetchall()]
        rows = list(self.rows().filter(pk__in=leased).order_by("priority", "pk")) if leased else []
        for row in rows:
            row.is_counted = len(leased) == 1
        return rows

    def do(self, rows: Sequence[Row]) -> bool:
        """Do the work of the rows one after another, and give back those that must wait or have no time left."""
        held: set[Hashable] = set()
        for place, row in enumerate(rows):
            if place and (time.monotonic() >= min(self.until, self.batch_until) or not self.is_ready()):
                self.release(rows[place:])
                return True
            if self.ordering_key_of(row) in held:
                self.release([row])
            elif not self._try(row):
                self.release(rows[place + 1 :])
                return False
            elif row.has_to_wait:
                held.add(self.ordering_key_of(row))
        return True

    def release(self, rows: Sequence[Row]) -> None:
        """Let other workers take these rows, as if no one had taken them."""
        for row in rows:
            self.write(row, is_taken=False, next_at=timezone.now())

    def count(self, row: Row) -> bool:
        """Count the try of a row that was leased with others; return False if another worker has taken it since."""
        if row.is_counted or self.write(row, attempts=row.tries, next_at=timezone.now() + self.lease):
            row.is_counted = True
        return row.is_counted

    def give_back(self, row: Row) -> None:
        """Let the row wait for the end of an outage. It still holds back the later rows with its ordering key."""
        self.write(row, attempts=row.tries - 1, next_at=timezone.now() + backoff(1))

    def fail(self, row: Row, error: Exception) -> None:
        """Let the row wait, longer after each try, or give it up after the last one."""
        is_last = row.tries >= self.max_attempts
        what_next = row.given_up() if is_last else {"next_at": timezone.now() + backoff(row.tries)}
        row.has_to_wait = "next_at" in what_next
        self.write(row, attempts=row.tries, last_error=text_of(error), **what_next)

    def write(self, row: Row, **columns: Any) -> bool:
        """Set columns of the row; return False if its lease ran out and another worker has taken it or done it."""
        mine = self.rows().waiting().filter(pk=row.pk, attempts=row.attempts)
        is_mine = bool(mine.update(**columns))
        for name, value in columns.items():
            setattr(row, name, value)
        return is_mine


def text_of(error: Exception) -> str:
    """Return an error as it is kept in a row: without addresses, at most 1,000 characters."""
    return without_addresses(f"{type(error).__name__}: {error}")[:1000]
