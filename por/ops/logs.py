"""One request id from the first log line to the last mail header, and nobody's address, token or data in any line."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from copy import copy
from traceback import TracebackException
from typing import Any

import psycopg2
from django import db
from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")

#: An e-mail address, or the secret of an API token.
PRIVATE = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+|\bpor_[\w-]{20,}")


def without_addresses(text: str) -> str:
    """Errors quote what they failed at: the recipient, the row, the header."""
    return PRIVATE.sub("…", text)


#: Classes of SQLSTATE whose messages quote the values that the database could not take.
ABOUT_VALUES = ("22", "23")


def without_values(error: BaseException) -> str:
    """What the database said against a statement, without the rows and statements it quotes."""
    cause = error if isinstance(error, psycopg2.Error) else error.__cause__
    state = getattr(cause, "pgcode", None) or ""
    if not state.startswith(ABOUT_VALUES):
        return str(error).partition("\n")[0]
    where = getattr(cause, "diag", None)
    names = (getattr(where, f"{kind}_name", None) for kind in ("table", "column", "constraint"))
    return " ".join([state, *(name for name in names if name)])


def route_of(request: Any) -> str:
    """Stands for the address of a request in the log: an address may hold a token, a name or an ID."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "/…"


class Formatter(JsonFormatter):
    """One JSON object a line, tracebacks included: routes for addresses, and no address, token or row of anybody's."""

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)
        request = record.__dict__.pop("request", None)
        path = getattr(request, "path", None)
        if isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if path and arg == path else _told(arg) for arg in record.args)
        if record.name == "celery.app.trace" and isinstance(record.args, Mapping):
            record.__dict__.pop("data", None)  # the same again, with the traceback as text
            failure = record.exc_info[1] if record.exc_info else None
            record.args = {**record.args, "exc": f"{type(failure).__name__}({_told(failure)})" if failure else ""}
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the library's name
        told, error = TracebackException(*ei), ei[1]
        parts: list[tuple[TracebackException | None, BaseException | None]] = [(told, error)]
        while parts:
            part, error = parts.pop()
            if part is None or error is None:
                continue
            if isinstance(error, db.Error | psycopg2.Error):
                part._str = without_values(error)  # type: ignore[attr-defined]
            parts += [(part.__cause__, error.__cause__), (part.__context__, error.__context__)]
        return "".join(told.format()).rstrip("\n")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        record = super().process_log_record(log_data)
        return {key: without_addresses(value) if isinstance(value, str) else value for key, value in record.items()}


def _told(arg: Any) -> Any:
    return without_values(arg) if isinstance(arg, db.Error | psycopg2.Error) else arg


class RequestIdFilter(logging.Filter):
    """Puts the id of the request, or of the request that caused a task, on each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
