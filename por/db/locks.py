"""Limits of waiting for the database: a verb for a lock, a page for a search; and locks for one worker alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
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


@contextmanager
def advisory_lock(work: str, number: int = 0) -> Iterator[bool]:
    """Yield whether this worker has the lock of this work; no other has it until the block ends or the worker dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [work, number])
        mine: bool = cursor.fetchone()[0]
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:  # the first one's connection may have been lost, and the lock with it
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [work, number])
