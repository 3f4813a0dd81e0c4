"""When a server that the product stands on does not do its part: what that comes to, in one sentence.

None of these is the request's fault or a defect of ours, so none is a 500: they pass, and the same request works again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import redis
from django import db
from django.utils.translation import gettext_lazy as _

from por.errors import Locked, Refused, Unavailable

logger = logging.getLogger(__name__)

LOCK_TIMEOUT = "55P03"
#: Somebody else holds what was asked for: lock timeout, deadlock, serialization failure.
HELD = frozenset({LOCK_TIMEOUT, "40P01", "40001"})
#: The database answers, and cannot write: disk full, out of memory, read-only, an error of the disk.
FULL = frozenset({"53000", "53100", "53200", "25006", "58000", "58030"})
#: The database does not take us: too many connections, shutting down, starting up, the connection broken.
AWAY = ("08", "53300", "53400", "57P")


def fault_of(error: BaseException | None) -> Refused | None:
    """What to answer to an error of PostgreSQL or Valkey that will pass; None if it is none of these."""
    if isinstance(error, redis.RedisError):  # away, hung, or out of memory
        # Only the limits of sign-in ask the cache. Without them nobody is let in: whoever guesses would be too.
        sentence = _("You cannot sign in at the moment. Try again in a minute.")
        return Unavailable("unavailable", sentence, retry_after=10)
    if not isinstance(error, db.Error):
        return None
    code = sqlstate(error)
    if code in HELD:
        sentence = _("Someone else is changing this right now. Wait a moment, then try again.")
        return Locked("busy", sentence, retry_after=1)
    if code in FULL:
        sentence = _("We cannot save anything at the moment. What you see is safe. Try again in a few minutes.")
        return Unavailable("unavailable", sentence, retry_after=60)
    if code.startswith(AWAY) or (not code and _is_lost(error)):
        sentence = _(
            "We cannot reach our database at the moment. Nothing was left half changed. Try again in a minute."
        )
        return Unavailable("unavailable", sentence, retry_after=10)
    return None


def sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's five characters for what went wrong, from wherever in the chain of causes they are; else nothing."""
    while error is not None:
        if code := getattr(error, "pgcode", None):
            return str(code)
        error = error.__cause__
    return ""


def caused_by(error: BaseException | None) -> Refused | None:
    """The same, noted in the log by one line instead of a traceback for each request."""
    fault = fault_of(error)
    if fault is not None and error is not None:
        fault.__cause__ = error
        note(error)
    return fault


@contextmanager
def tolerate_outage() -> Iterator[None]:
    """End the block at an outage of a server, with one line in the log. For work that is started again by the clock."""
    try:
        yield
    except Exception as error:
        if caused_by(error) is None:
            raise


@contextmanager
def of_storage() -> Iterator[None]:
    """For whoever keeps or fetches files: a disk or a bucket that does not do its part is Unavailable, like a database.

    That a file is not there is said as it is.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        # The bucket's client is not imported for its exceptions: that takes half a second.
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in {"botocore", "boto3"}:
            raise
        note(error)
        sentence = _("We cannot save or fetch files at the moment. Nothing was changed. Try again in a few minutes.")
        raise Unavailable("unavailable", sentence, retry_after=60) from error


def note(error: BaseException) -> None:
    """What PostgreSQL says of rows stays out of the log."""
    code = sqlstate(error)
    words = code or (str(error).strip().splitlines() or [""])[0]
    logger.warning("A server does not do its part: %s %s", type(error).__name__, words)


def _is_lost(error: db.Error) -> bool:
    """The connection broke: the driver says so in words of its own, without a code."""
    if isinstance(error, db.OperationalError | db.InterfaceError):
        return True
    return type(error) is db.DatabaseError and type(error.__cause__) is psycopg2.DatabaseError
