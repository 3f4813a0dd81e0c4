"""Logs: the request ID in every line, and no one's address, token or data in any."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from traceback import TracebackException
from typing import Any

import psycopg2
from django import db
from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")


@contextmanager
def caused_by_request(given: str) -> Iterator[None]:
    """Log and record what the block does under the ID of the request that caused it."""
    token = request_id.set(given)
    try:
        yield
    finally:
        request_id.reset(token)


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
    """One JSON object a line, tracebacks included, without anyone's address, token or row; routes stand for URLs."""

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)
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


class RequestIdFilter(logging.Filter):
    """Puts the id of the request, or of the request that caused a task, on each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
