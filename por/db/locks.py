"""How long we wait for the database: a verb for a lock, a page for a search. Then both say so."""

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
    try:
        yield
    except OperationalError as error:
        if outages.sqlstate(error) != outages.LOCK_TIMEOUT:
            raise
        sentence = _("Someone else is changing this right now. Wait a moment, then try again.")
        raise Locked("busy", sentence, retry_after=1) from error


@contextmanager
def statement_timeout(seconds: float = SEARCH_FOR) -> Iterator[None]:
    """Each query in it is given up after so many seconds; raises Refused with the code `search_too_long` then."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [round(seconds * 1000)])
            yield
            cursor.execute("SET LOCAL statement_timeout = 0")  # a surrounding transaction goes on without it
    except OperationalError as error:
        if outages.sqlstate(error) != QUERY_CANCELED:
            raise
        sentence = _("This search takes too long. Narrow it, for example by choosing fewer days.")
        raise Refused("search_too_long", sentence) from error


@contextmanager
def advisory_lock(work: str, number: int = 0) -> Iterator[bool]:
    """Yield whether this worker alone, of all on the database, does this work until the block ends or it dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [work, number])
        mine: bool = cursor.fetchone()[0]
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:  # the first one's connection may have been lost, and the lock with it
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [work, number])
