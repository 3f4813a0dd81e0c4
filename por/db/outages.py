"""Outages of the servers that the product needs, turned into refusals.

None is the fault of the request or a defect of the product, so none is a 500: they pass, and the same request works.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from django import db
from django.utils.translation import gettext_lazy as _

from por.errors import Locked, Refused, Unavailable

logger = logging.getLogger(__name__)

LOCK_TIMEOUT = "55P03"
#: Someone else holds the lock: lock timeout, deadlock, serialization failure.
HELD = frozenset({LOCK_TIMEOUT, "40P01", "40001"})
#: The database answers, and cannot write: disk full, out of memory, read-only, an error of the disk.
FULL = frozenset({"53000", "53100", "53200", "25006", "58000", "58030"})
#: The database takes no connection: too many connections, shutting down, starting up, connection broken.
AWAY = ("08", "53300", "53400", "57P")


def fault_of(error: BaseException | None) -> Refused | None:
    """Return the refusal for an error of PostgreSQL that will pass; None for any other error."""
    if not isinstance(error, db.Error):
        return None
    code = sqlstate(error)
    if code in HELD:
        message = _("Someone else is changing this right now. Wait a moment, then try again.")
        return Locked("busy", message, retry_after=1)
    if code in FULL:
        message = _("We cannot save anything at the moment. What you see is safe. Try again in a few minutes.")
        return Unavailable("unavailable", message, retry_after=60)
    if code.startswith(AWAY) or (not code and _is_lost(error)):
        message = _("We cannot reach our database at the moment. Nothing was left half changed. Try again in a minute.")
        return Unavailable("unavailable", message, retry_after=10)
    return None


def sqlstate(error: BaseException | None) -> str:
    """Return PostgreSQL's code of five characters from the error or one of its causes; empty if none has one."""
    while error is not None:
        if code := getattr(error, "pgcode", None):
            return str(code)
        error = error.__cause__
    return ""


def caused_by(error: BaseException | None) -> Refused | None:
    """Return the refusal of `fault_of`, and log one line instead of a traceback for each request."""
    fault = fault_of(error)
    if fault is not None and error is not None:
        fault.__cause__ = error
        note(error)
    return fault


@contextmanager
def tolerate_outage() -> Iterator[None]:
    """End the block at an outage of a server, with one line in the log. For work that the scheduler starts again."""
    try:
        yield
    except Exception as error:
        if caused_by(error) is None:
            raise


@contextmanager
def of_storage() -> Iterator[None]:
    """Raise Unavailable if the disk or the bucket fails while files are kept or fetched.

    A file that does not exist stays a FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        # Importing the bucket's client for its exceptions would take half a second.
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in {"botocore", "boto3"}:
            raise
        note(error)
        message = _("We cannot save or fetch files at the moment. Nothing was changed. Try again in a few minutes.")
        raise Unavailable("unavailable", message, retry_after=60) from error


def note(error: BaseException) -> None:
    """Log the outage in one line, without PostgreSQL's messages, which may quote rows."""
    code = sqlstate(error)
    words = code or (str(error).strip().splitlines() or [""])[0]
    logger.warning("A server is not available: %s %s", type(error).__name__, words)


def _is_lost(error: db.Error) -> bool:
    """Return whether the connection broke. The driver reports that without a code."""
    if isinstance(error, db.OperationalError | db.InterfaceError):
        return True
    return type(error) is db.DatabaseError and type(error.__cause__) is psycopg2.DatabaseError
