"""Lists as CSV that spreadsheets open well: UTF-8 with a mark, the separator of the reader's language, no formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.utils import translation

T = TypeVar("T")


CHUNK = 1000


def _instant(recorded: str | None) -> datetime | None:
    """An instant in what was recorded, where it is text."""
    return datetime.fromisoformat(recorded) if recorded else None


BOM = "\ufeff"


#: What a spreadsheet takes for the start of a formula, in the first place of a cell.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]], *, language: str) -> Iterator[str]:
    """The lines of the file, one by one, so that a long list never stands in memory. Rows are made in the language."""
    swedish = language.startswith("sv")  # where the comma is the decimal sign
    writer = csv.writer(_Echo(), delimiter=";" if swedish else ",", lineterminator="\r\n")
    yield BOM + writer.writerow(header)
    with translation.override(language):
        for row in rows:
            yield writer.writerow([cell(value, decimal_comma=swedish) for value in row])


def cell(value: Any, *, decimal_comma: bool = False) -> str:
    """One value as text: ISO 8601 dates in UTC, plain figures, nothing for None, no text that runs as a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case Decimal() | float():
            return str(value).replace(".", ",") if decimal_comma else str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case int() | UUID():
            return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
