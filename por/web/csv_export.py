"""Lists as CSV for spreadsheets: UTF-8 with a byte order mark, the separator of the reader's language, no formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.utils import translation

T = TypeVar("T")

#: Rows that are read at a time.
CHUNK = 1000
BOM = "\ufeff"
#: What a spreadsheet takes for the start of a formula at the start of a cell.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class _Echo:
    """A file whose `write` returns the text."""

    def write(self, text: str) -> str:
        return text


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]], *, language: str) -> Iterator[str]:
    """Yield the lines of the file one by one, so that a long list never fills the memory. Make rows in the language."""
    swedish = language.startswith("sv")  # where the comma is the decimal sign
    writer = csv.writer(_Echo(), delimiter=";" if swedish else ",", lineterminator="\r\n")
    yield BOM + writer.writerow(header)
    with translation.override(language):
        for row in rows:
            yield writer.writerow([cell(value, decimal_comma=swedish) for value in row])


def cell(value: Any, *, decimal_comma: bool = False) -> str:
    """Return a value as text: ISO 8601 in UTC, plain numbers, empty for None, and no text that runs as a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case Decimal() | float():
            text = f"{value:f}" if isinstance(value, Decimal) else str(value)  # never 4.1E-14
            return text.replace(".", ",") if decimal_comma else text
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case int() | UUID():
            return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
