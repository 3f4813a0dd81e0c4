"""Doing the work that is stored in the rows of a table: one row at a time, bounded, and safe if the worker dies.

Every queue has the same run: take a row, mark it before the work, do the work under the request id that caused it,
and decide what a failure means. Queues differ in how a worker holds the row it has taken:

- `LeasedQueue` is for short work. The row is leased until the moment in `next_at`, so many workers share a table.
- Work that takes minutes or hours holds a PostgreSQL advisory lock instead (`por.db.locks.advisory_lock`) and writes
  its own `take`: no lease is long enough for it, and the lock is free the moment its worker dies.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from django.db import connection
from django.utils import timezone

from por.db import outages
from por.ops.logs import request_id, without_addresses
from por.queue.models import Row, WorkRowQuerySet
from por.queue.rules import LEASE, MAX_ATTEMPTS, RUN_FOR, backoff

Taken = TypeVar("Taken")


class Queue(ABC, Generic[Taken]):
    """A table of work. `run` is the same for all of them; make one instance for each run."""

    #: Seconds after which `run` takes no more rows.
    run_for: ClassVar[float] = RUN_FOR

    def run(self) -> int:
        """Do the work that is due; return how many rows were taken.

        An outage of a server ends the run and does not count as a try, however long it lasts.
        """
        taken, until = 0, time.monotonic() + self.run_for
        with closing(self.take()) as rows:
            for row in rows:
                taken += 1
                if not self._try(row) or time.monotonic() >= until:
                    break
        return taken

    def _try(self, row: Taken) -> bool:
        """Do the work of one row; return False if an outage stopped it."""
        token = request_id.set(self.request_id_of(row))
        try:
            self.work(row)
        except Exception as error:
            if self.is_outage(error):
                if not connection.is_usable():
                    connection.close()  # the next statement opens another one
                self.give_back(row)
                return False
            self.fail(row, error)
        finally:
            request_id.reset(token)
        return True

    @abstractmethod
    def take(self) -> Generator[Taken, None, None]:
        """Yield one row after another, each marked and committed before the work, and held until the next is asked for.

        Rows are taken one at a time, so a worker that dies takes nothing but its own row with it.
        """

    @abstractmethod
    def request_id_of(self, row: Taken) -> str:
        """Return the id of the request that caused the work."""

    @abstractmethod
    def work(self, row: Taken) -> None:
        """Do the work and mark the row as done."""

    def is_outage(self, error: Exception) -> bool:
        """Return whether a server is at fault and not the row."""
        return outages.caused_by(error) is not None

    @abstractmethod
    def give_back(self, row: Taken) -> None:
        """Let the row wait for the end of an outage. The try does not count."""

    @abstractmethod
    def fail(self, row: Taken, error: Exception) -> None:
        """Record that the work failed. The failed transaction is over, so what is recorded is kept."""


class LeasedQueue(Queue[Row]):
    """A table of `WorkRow`s, worked on by any number of workers."""

    lease: ClassVar[timedelta] = LEASE
    max_attempts: ClassVar[int] = MAX_ATTEMPTS

    @abstractmethod
    def rows(self) -> WorkRowQuerySet[Row]:
        """Return the rows of the table, with all that the work needs of them."""

    def is_ready(self) -> bool:
        """Return whether work can be done now. Asked before each lease, so an outage uses up no tries."""
        return True

    def take(self) -> Generator[Row, None, None]:
        due = self.rows().due()
        if not due.exists():
            return
        # A worker that died on each try could not give the row up.
        due.filter(attempts__gte=self.max_attempts).update(**due.model.given_up())
        while self.is_ready() and (row := self._lease()) is not None:
            yield row

    def _lease(self) -> Row | None:
        """Return one due row, leased in one statement: its try is counted and `next_at` is pushed forward.

        The bound is checked here too: a row may become due again within a run, after the dead ones were given up.
        """
        table = self.rows().model._meta
        assert table.pk.column
        name, key = connection.ops.quote_name(table.db_table), connection.ops.quote_name(table.pk.column)
        due = self.rows().due().filter(attempts__lt=self.max_attempts).order_by("next_at").values("pk")[:1]
        first, values = due.query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {name} SET attempts = attempts + 1, next_at = %s"
                f" WHERE {key} = ({first} FOR UPDATE SKIP LOCKED) RETURNING {key}",
                [timezone.now() + self.lease, *values],
            )
            leased = cursor.fetchone()
        return self.rows().get(pk=leased[0]) if leased else None

    def give_back(self, row: Row) -> None:
        self.write(row, attempts=row.attempts - 1, next_at=timezone.now() + backoff(1))

    def fail(self, row: Row, error: Exception) -> None:
        """Let the row wait, longer after each try, or give it up after the last one."""
        is_last = row.attempts >= self.max_attempts
        what_next = row.given_up() if is_last else {"next_at": timezone.now() + backoff(row.attempts)}
        self.write(row, last_error=text_of(error), **what_next)

    def write(self, row: Row, **columns: Any) -> None:
        """Set columns of the row, unless its lease ran out and another worker has taken it or done its work."""
        mine = self.rows().waiting().filter(pk=row.pk, attempts=row.attempts)
        mine.update(**columns)
        for name, value in columns.items():
            setattr(row, name, value)


def text_of(error: Exception) -> str:
    """Return an error as it is kept in a row: without addresses, at most 1,000 characters."""
    return without_addresses(f"{type(error).__name__}: {error}")[:1000]
