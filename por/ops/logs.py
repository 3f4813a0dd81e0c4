"""Logs: the ID of the request and of who sent it in every line, and no one's name, address, token or data in any."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from traceback import TracebackException
from typing import Any, NamedTuple

import psycopg2
from django import db
from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")
#: The IDs of who sent the request, as far as they are known. A copy of the context sees what is learned later.
_sender: ContextVar[dict[str, int]] = ContextVar("sender")


class Cause(NamedTuple):
    """The request that caused some work, and by their IDs the person, the organisation and the token that sent it."""

    request_id: str = ""
    person_id: int | None = None
    organisation_id: int | None = None
    token_id: int | None = None


def begin_request(given: str = "") -> None:
    """Log what follows in this thread under the ID of a request, of which no one knows yet who sent it."""
    request_id.set(given)
    _sender.set({})


def name_sender(*, person_id: int | None, organisation_id: int | None = None, token_id: int | None = None) -> None:
    """Log what follows in this request under the IDs of who sent it, as far as they are known."""
    ids = {"person_id": person_id, "organisation_id": organisation_id, "token_id": token_id}
    if (sender := _sender.get(None)) is not None:
        sender.update({name: value for name, value in ids.items() if value is not None})


@contextmanager
def caused_by(cause: Cause) -> Iterator[None]:
    """Log and record what the block does under the IDs of the request that caused it, and of who sent that."""
    before = request_id.set(cause.request_id), _sender.set({})
    name_sender(person_id=cause.person_id, organisation_id=cause.organisation_id, token_id=cause.token_id)
    try:
        yield
    finally:
        request_id.reset(before[0])
        _sender.reset(before[1])


#: An email address, or the secret of an API token.
PRIVATE = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+|\bpor_[\w-]{20,}")


def without_addresses(text: str) -> str:
    """Return the text without addresses and tokens. Errors quote what failed: the recipient, the row, the header."""
    return PRIVATE.sub("…", text)


#: Classes of SQLSTATE whose messages quote the values that the database could not take.
ABOUT_VALUES = ("22", "23")


def without_values(error: BaseException) -> str:
    """Return the message of a database error without the rows and statements it quotes."""
    cause = error if isinstance(error, psycopg2.Error) else error.__cause__
    state = getattr(cause, "pgcode", None) or ""
    if not state.startswith(ABOUT_VALUES):
        return str(error).partition("\n")[0]
    where = getattr(cause, "diag", None)
    names = (getattr(where, f"{kind}_name", None) for kind in ("table", "column", "constraint"))
    return " ".join([state, *(name for name in names if name)])


def route_of(request: Any) -> str:
    """Return the route of a request, to be logged in place of its address, which may hold a token, a name or an ID."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "/…"


class Formatter(JsonFormatter):
    """One JSON object a line, tracebacks included, without anyone's address, token or row; routes stand for URLs.

    Each has the ID of the request, and of who sent it: a handler formats a line in the thread that logs it.
    """

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)
        record.__dict__.update(_sender.get({}), request_id=request_id.get())
        request = record.__dict__.pop("request", None)
        path = getattr(request, "path", None)
        if isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if path and arg == path else _safe(arg) for arg in record.args)
        if record.name == "celery.app.trace" and isinstance(record.args, Mapping):
            record.__dict__.pop("data", None)  # the same again, with the traceback as text
            failure = record.exc_info[1] if record.exc_info else None
            record.args = {
                **record.args,
                "exc": f"{type(failure).__name__}({_safe(failure)})" if failure else "",
            }
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the library's name
        report, error = TracebackException(*ei), ei[1]
        parts: list[tuple[TracebackException | None, BaseException | None]] = [(report, error)]
        while parts:
            part, error = parts.pop()
            if part is None or error is None:
                continue
            if isinstance(error, db.Error | psycopg2.Error):
                part._str = without_values(error)  # type: ignore[attr-defined]
            parts += [(part.__cause__, error.__cause__), (part.__context__, error.__context__)]
        return "".join(report.format()).rstrip("\n")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        record = super().process_log_record(log_data)
        return {key: without_addresses(value) if isinstance(value, str) else value for key, value in record.items()}


def _safe(arg: Any) -> Any:
    """Return an argument of a log line; a database error as text without its values."""
    return without_values(arg) if isinstance(arg, db.Error | psycopg2.Error) else arg
