"""Limits of waiting for the database: a verb for a lock, a page for a search; and locks for one worker alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from threading import Lock
from typing import Any, NamedTuple

from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.utils.translation import gettext_lazy as _

from por.db import outages
from por.errors import Locked, Refused

QUERY_CANCELED = "57014"
#: Seconds that a single query of a search may take.
SEARCH_FOR = 4.0


@contextmanager
def lock_timeout_as_busy() -> Iterator[None]:
    """Raise Locked, with the code `busy`, if the block waits too long for a lock of the database."""
    try:
        yield
    except OperationalError as error:
        if outages.sqlstate(error) != outages.LOCK_TIMEOUT:
            raise
        message = _("Someone else is changing this right now. Wait a moment, then try again.")
        raise Locked("busy", message, retry_after=1) from error


@contextmanager
def statement_timeout(seconds: float = SEARCH_FOR) -> Iterator[None]:
    """Give up each query of the block after this many seconds; raise Refused, with the code `search_too_long`, then."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [round(seconds * 1000)])
            yield
            cursor.execute("SET LOCAL statement_timeout = 0")  # a surrounding transaction goes on without it
    except OperationalError as error:
        if outages.sqlstate(error) != QUERY_CANCELED:
            raise
        message = _("This search takes too long. Narrow it, for example by choosing fewer days.")
        raise Refused("search_too_long", message) from error


class Held(NamedTuple):
    """A lock that this worker alone has: its number, and the connection whose open transaction holds it.

    All threads of the worker may check it, one at a time (`turn`).
    """

    number: int
    connection: Any
    turn: Lock

    def check(self) -> None:
        """Raise OperationalError if the lock is lost with its connection, so that another worker may have it now."""
        try:
            with self.turn, self.connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except InterfaceError as error:  # another thread has found it lost
            raise OperationalError(*error.args) from error


def is_held(work: str) -> bool:
    """Return whether some worker has the lock of this work, without taking it even for a moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT EXISTS (
                SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND classid::bigint = hashtext(%s)::bigint & 4294967295
            )
            """,
            [work],
        )
        found: bool = cursor.fetchone()[0]
    return found


def one_at_a_time(work: str, number: int = 0) -> None:
    """Wait until no other transaction does this work with this number; others wait until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s), %s)", [work, number])


@contextmanager
def advisory_lock(work: str, numbers: Sequence[int] = (0,)) -> Iterator[Held | None]:
    """Yield the lock of this work with the first number that is free, until the block ends or the worker dies.

    Yield None if others have all of them. The lock belongs to a transaction on a connection of its own: behind a
    pooler, a lock of the session would stay with a connection of the server that serves others next.
    """
    with closing(connection.copy()) as own:
        own.set_autocommit(False)
        own.inc_thread_sharing()
        with own.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            for number in numbers:
                cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s), %s)", [work, number])
                if cursor.fetchone()[0]:
                    break
            else:
                number = None
        try:
            yield None if number is None else Held(number, own, Lock())
        finally:
            with suppress(Error):  # it may be lost
                own.rollback()
