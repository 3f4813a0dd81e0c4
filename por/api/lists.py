"""Lists of the API: one part at a time with a cursor, or the whole list as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar, cast
from urllib.parse import quote_plus

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from por.api.endpoint import invalid, wants_csv
from por.api.problems import FieldError
from por.db.keyset import CursorInvalid, Prepared, read_part, read_parts
from por.web.csv_export import BOM, csv_lines
from por.web.filters import FilterForm

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
#: Rows of a CSV that are read and written at a time.
CHUNK = 500

#: The mark in place of a cursor in an address.
_CURSOR = re.compile(r"(?<=[?&]cursor=)-(?=&|$)")

_BELOW_ZERO = re.compile(r"-[0-9]+(\.[0-9]+)?")

Row = Mapping[str, Any]
Filters = TypeVar("Filters", bound=FilterForm)


def listing(
    request: Request,
    queryset: QuerySet[Any, Any] | Prepared,
    rows: Callable[[list[Any]], Sequence[Row]],
    *,
    order: Sequence[str],
    columns: Sequence[str],
    name: str,
) -> HttpResponseBase:
    """Return one part of the queryset, or all of it as CSV where that is asked for.

    `rows` writes the rows of one part, `columns` are the paths of a CSV's cells within a row. Raise Invalid.
    """
    size = _page_size(request)  # refused for a file too, although that has all rows
    if not wants_csv(request):
        return _part(request, queryset, rows, order, size)
    written = chain.from_iterable(map(rows, read_parts(queryset, order, CHUNK)))
    response = StreamingHttpResponse(_csv(written, columns), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def filtered(request: Request, form: type[Filters]) -> Filters:
    """Return the filters of a list as the query gives them. Raise Invalid."""
    given = request.query_params
    values = tuple((name, tuple(given.getlist(name))) for name in form.base_fields)
    return cast("Filters", _valid(form, get_language(), timezone.localdate(), values))


@lru_cache(maxsize=256)
def _valid(
    form: type[Filters], _language: str | None, _today: date, given: tuple[tuple[str, tuple[str, ...]], ...]
) -> Filters:
    """Return the form, valid for these values. It is kept, as it depends on nothing but the language and the day."""
    filters = form(MultiValueDict({name: list(values) for name, values in given if values}))
    if not filters.is_valid():
        raise invalid(
            [
                FieldError(field, error.code or "invalid", " ".join(error.messages))
                for field, errors in filters.errors.as_data().items()
                for error in errors
            ]
        )
    return filters


def _part(
    request: Request,
    queryset: QuerySet[Any, Any] | Prepared,
    rows: Callable[[list[Any]], Sequence[Row]],
    order: Sequence[str],
    size: int,
) -> HttpResponse:
    try:
        part = read_part(queryset, order, size, request.query_params.get("cursor", ""))
    except CursorInvalid:
        message = _("This cursor does not belong to this list. Send the request again without the cursor.")
        raise invalid([FieldError("cursor", "cursor_invalid", message)]) from None
    here = request.build_absolute_uri() if part.next or part.previous else ""
    links = {"next": _link(here, part.next), "previous": _link(here, part.previous)}
    return written(request, {**links, "results": rows(part.rows)})


def _link(here: str, cursor: str) -> str | None:
    """Return the address of the part of the list that the cursor leads to; None without one."""
    if not cursor:
        return None
    before, after = _around_cursor(here)
    return f"{before}{quote_plus(cursor)}{after}"


@lru_cache(maxsize=256)
def _around_cursor(address: str) -> tuple[str, str]:
    """Return what stands before and after the cursor in the address of a part of the list."""
    before, after = _CURSOR.split(replace_query_param(address, "cursor", "-"))
    return before, after


def written(request: Request, data: Any) -> HttpResponse:
    """Return the answer in JSON. A Response of the framework, which could have a template too, takes longer to make."""
    renderer, media_type = request.accepted_renderer, request.accepted_media_type
    content = renderer.render(data, media_type, request.parser_context)
    return HttpResponse(content, content_type=renderer.media_type)


def _page_size(request: Request) -> int:
    asked = request.query_params.get("page_size", str(PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,3}", asked) or not 1 <= int(asked) <= MAX_PAGE_SIZE:
        message = _("The page size must be between 1 and %(most)s rows.") % {"most": MAX_PAGE_SIZE}
        raise invalid([FieldError("page_size", "page_size_invalid", message)])
    return int(asked)


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a CSV for programs: with commas, and no byte order mark before the header."""
    header = [column.replace(".", "_") for column in columns]
    lines = csv_lines(header, ([_cell(row, column) for column in columns] for row in rows), language="en")
    yield next(lines).removeprefix(BOM)
    yield from lines


def _cell(row: Any, path: str) -> Any:
    """Return a cell of a row: of a list its parts, each with its values in order."""
    for name in path.split("."):
        row = row.get(name) if row is not None else None
    if isinstance(row, list):
        parts = (one.values() if isinstance(one, Mapping) else (one,) for one in row)
        return "; ".join(" ".join(map(str, values)) for values in parts)
    # JSON has exact amounts as text; in a CSV a negative one is a number, not the start of a formula.
    return Decimal(row) if isinstance(row, str) and _BELOW_ZERO.fullmatch(row) else row
