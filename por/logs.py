"""One request id from the first log line to the last mail header, and nobody's address or token in any line."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")

#: An e-mail address, or the secret of an API token.
PRIVATE = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+|\bpor_[\w-]{20,}")


def without_addresses(text: str) -> str:
    """Errors quote what they failed at: the recipient, the row, the header."""
    return PRIVATE.sub("…", text)


class Formatter(JsonFormatter):
    """One JSON object a line, tracebacks included, with addresses and tokens left out."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        record = super().process_log_record(log_data)
        return {key: without_addresses(value) if isinstance(value, str) else value for key, value in record.items()}


class RequestIdFilter(logging.Filter):
    """Puts the id of the request, or of the request that caused a task, on each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
