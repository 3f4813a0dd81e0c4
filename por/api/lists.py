"""Lists: page by page with a cursor, or whole as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from por.api.endpoint import invalid
from por.api.problems import FieldError
from por.csv_export import BOM, csv_lines

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
#: Rows of a CSV that are read and written at a time.
CHUNK = 500

_BELOW_ZERO = re.compile(r"-[0-9]+(\.[0-9]+)?")

Row = Mapping[str, Any]


def listing(
    request: Request,
    queryset: QuerySet[Any, Any],
    rows: Callable[[list[Any]], Sequence[Row]],
    *,
    by: str,
    columns: Sequence[str],
    name: str,
) -> HttpResponseBase:
    """One page of the queryset, or all of it as CSV where `?format=csv` asks for it.

    `by` is the unique field it is ordered by, newest first with a minus; `rows` puts one page into words,
    `columns` are the paths of a CSV's cells within a row.
    """
    match request.query_params.get("format", "json"):
        case "json":
            pages = _Pages(by)
            return pages.get_paginated_response(rows(pages.paginate_queryset(queryset, request)))
        case "csv":
            lines = _csv(_all_rows(queryset, rows, by), columns)
            response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
            response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
            return response
    raise invalid([FieldError("format", "invalid_choice", _("The format must be json or csv."))])


def filtered(request: Request, form: type[forms.Form]) -> Any:
    """The form of a list's filters with what the query says; unknown parameters are ignored. Raises Invalid."""
    filters = form(request.query_params)
    if not filters.is_valid():
        raise invalid(
            [
                FieldError(field, error.code or "invalid", " ".join(error.messages))
                for field, errors in filters.errors.as_data().items()
                for error in errors
            ]
        )
    return filters


class _Pages(CursorPagination):
    """Pages by one unique field, without counting; a cursor or size that makes no sense is said to be at fault."""

    page_size = PAGE_SIZE

    def __init__(self, by: str) -> None:
        self.ordering = by

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get("page_size", str(PAGE_SIZE))
        if not re.fullmatch("[0-9]{1,3}", asked) or not 1 <= int(asked) <= MAX_PAGE_SIZE:
            sentence = _("The page size must be between 1 and %(most)s rows.") % {"most": MAX_PAGE_SIZE}
            raise invalid([FieldError("page_size", "page_size_invalid", sentence)])
        return int(asked)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        try:
            return super().paginate_queryset(queryset, request, view) or []
        except (NotFound, ValueError, ValidationError):  # it cannot be read, or names no place in this list
            sentence = _("This cursor does not belong to this list. Send the request again without the cursor.")
            raise invalid([FieldError("cursor", "cursor_invalid", sentence)]) from None


def _all_rows(queryset: QuerySet[Any, Any], rows: Callable[[list[Any]], Sequence[Row]], by: str) -> Iterator[Row]:
    """Every row, read in parts that follow each other by the field they are ordered by."""
    field, beyond = (by[1:], "lt") if by.startswith("-") else (by, "gt")
    queryset = queryset.order_by(by)
    part = list(queryset[:CHUNK])
    while part:
        yield from rows(part)
        last = part[-1][field] if isinstance(part[-1], dict) else getattr(part[-1], field)
        part = list(queryset.filter(**{f"{field}__{beyond}": last})[:CHUNK])


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    """As pages write it, but for programs: commas, and no mark before the header."""
    header = [column.replace(".", "_") for column in columns]
    lines = csv_lines(header, ([_cell(row, column) for column in columns] for row in rows), language="en")
    yield next(lines).removeprefix(BOM)
    yield from lines


def _cell(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row.get(name) if row is not None else None
    # A figure is a figure, also where JSON has it as text.
    return Decimal(row) if isinstance(row, str) and _BELOW_ZERO.fullmatch(row) else row
