"""What the pages of all rooms need: who may open them, parts of pages, lists with views, filters and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from django import forms
from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext_lazy as _

from por.accounts.middleware import Request
from por.accounts.rules import Kind
from por.csv_export import csv_lines
from por.errors import Forbidden, Refused
from por.formats import day_text, number_text
from por.waiting import bounded_search

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

Row = TypeVar("Row", bound=Model)

PAGE_SIZE = 50
#: Lists are counted this far, and then said to have more.
COUNT_TO = 10_000
#: Where a page of a list starts; no filters, so they go when a filter changes.
CURSORS = ("after", "before")

NOT_YOURS = _("This does not exist, or you do not have access to it.")
_WRONG_KIND = {
    Kind.CUSTOMER: _("This page is for customers. Switch to a customer organisation, or go to your start page."),
    Kind.PARTNER: _("This page is for partners. Switch to a partner organisation, or go to your start page."),
    Kind.STAFF: _("This page is for platform staff. Go to your start page."),
}


def only(kind: Kind, *, to: str = "") -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Lets in those who act for an organisation of this kind: whatever their role, or those with the right `to`."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.actor.kind != kind:
                raise Forbidden("wrong_kind", _WRONG_KIND[kind])
            if to:
                request.actor.require(to)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def posted(page: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """For the verbs of a page: who comes by a link, as after signing in again, gets the page itself."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != "POST":
                return HttpResponseRedirect(resolve_url(page, *args, **kwargs))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def render_page(
    request: Request, template: str, context: Mapping[str, Any], *, part: str, status: int = 200
) -> HttpResponse:
    """The whole page, or only its named part where htmx asked for it."""
    partial = request.htmx and not request.htmx.boosted and not request.htmx.history_restore_request
    response = render(request, f"{template}#{part}" if partial else template, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def address(request: Request, *, without: Sequence[str] = (), **given: str) -> str:
    """This page's address with a changed query, from the first page of the list unless one is given."""
    query = request.GET.copy()
    for name in (*without, *CURSORS, "format"):
        query.pop(name, None)
    for name, value in given.items():
        query[name] = value
    return f"?{query.urlencode()}" if query else request.path


def count_of(rows: QuerySet[Any]) -> int:
    """How many there are, at most one more than lists are counted."""
    return rows.order_by()[: COUNT_TO + 1].count()


def counted(count: int) -> str:
    """The figure as people read it: past what is counted, with a plus."""
    return f"{number_text(COUNT_TO)}+" if count > COUNT_TO else number_text(count)


def subscriptions_text(count: int) -> str:
    return ngettext("%(n)s subscription", "%(n)s subscriptions", count) % {"n": counted(count)}


def events_text(count: int) -> str:
    return ngettext("%(n)s event", "%(n)s events", count) % {"n": counted(count)}


def customers_text(count: int) -> str:
    return ngettext("%(n)s customer", "%(n)s customers", count) % {"n": counted(count)}


def people_text(count: int) -> str:
    return ngettext("%(n)s person", "%(n)s people", count) % {"n": counted(count)}


def deliveries_text(count: int) -> str:
    return ngettext("%(n)s message", "%(n)s messages", count) % {"n": counted(count)}


def partners_text(count: int) -> str:
    return ngettext("%(n)s partner", "%(n)s partners", count) % {"n": counted(count)}


@dataclass(frozen=True)
class View:
    """A saved view over a list. `key` is its name in the address; that of the first view is empty."""

    key: str
    label: LazyText
    narrow: Callable[[Any], QuerySet[Any]]


@dataclass(frozen=True)
class Tab:
    """A saved view as a link. It leaves the filters behind, so its count is what it shows."""

    label: LazyText | str
    url: str
    count: int
    current: bool


def tabs(views: Sequence[View], base: QuerySet[Any], current: View, path: str, as_of_query: str = "") -> list[Tab]:
    return [
        Tab(
            view.label,
            f"{path}{as_of_query}{'&' if as_of_query else '?'}view={view.key}" if view.key else f"{path}{as_of_query}",
            count_of(view.narrow(base)),
            view is current,
        )
        for view in views
    ]


def chosen(views: Sequence[View], request: Request) -> View:
    """The view the address names, else the first."""
    return next((view for view in views if view.key == request.GET.get("view", "")), views[0])


@dataclass(frozen=True)
class Chip:
    """A filter that is set, and the address without it."""

    label: str
    value: str
    url: str


def chips(request: Request, form: forms.Form, words: Mapping[str, str] | None = None) -> list[Chip]:
    """The filters in force. `words` says what stands for a value that is not for people."""
    found = []
    for name, field in form.fields.items():
        value = form.cleaned_data.get(name)
        if not value:
            continue
        text = (words or {}).get(name) or _words_for(field, value)
        found.append(Chip(str(field.label), text, address(request, without=[name])))
    return found


def _words_for(field: forms.Field, value: Any) -> str:
    if isinstance(field, forms.ChoiceField):
        return str(dict(cast("list[tuple[str, str]]", field.choices))[value])
    return day_text(value) if isinstance(value, date) else str(value)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a long list, and the addresses of those before and after; empty at either end."""

    rows: list[Row]
    previous: str
    next: str


def page_of(request: Request, rows: QuerySet[Row], order: Sequence[str]) -> Page[Row]:
    """The page the address asks for. Pages go on from a row, not a number: none is skipped when rows come or go.

    The order's fields go one way, all up or all down, are never null and together tell any two rows apart.
    """
    for cursor in CURSORS:
        place = _place(request.GET.get(cursor), order)
        if place is None:
            continue
        found = _from(rows, order, place, backwards=cursor == "before")
        if found:
            more = len(found) > PAGE_SIZE
            found = found[:PAGE_SIZE]
            if cursor == "before":
                found.reverse()
                return _page(request, found, order, before=more, after=True)
            return _page(request, found, order, before=True, after=more)
    found = list(rows.order_by(*order)[: PAGE_SIZE + 1])
    return _page(request, found[:PAGE_SIZE], order, before=False, after=len(found) > PAGE_SIZE)


def _from(rows: QuerySet[Row], order: Sequence[str], place: Sequence[Any], *, backwards: bool) -> list[Row]:
    """The rows past that place, one more than fit on a page, nearest first."""
    down = order[0].startswith("-") != backwards
    names = [name.lstrip("-") for name in order]
    past, same = Q(), Q()
    for name, value in zip(names, place, strict=True):
        past |= same & Q(**{f"{name}__{'lt' if down else 'gt'}": value})
        same &= Q(**{name: value})
    return list(rows.filter(past).order_by(*(f"-{name}" if down else name for name in names))[: PAGE_SIZE + 1])


def _page(request: Request, rows: list[Row], order: Sequence[str], *, before: bool, after: bool) -> Page[Row]:
    return Page(
        rows,
        previous=address(request, before=_cursor(rows[0], order)) if before else "",
        next=address(request, after=_cursor(rows[-1], order)) if after else "",
    )


def _cursor(row: Model, order: Sequence[str]) -> str:
    """Where a row stands, signed: nobody can make the list look anywhere else."""
    return signing.dumps([_value(row, name.lstrip("-")) for name in order], salt=",".join(order))


def _place(cursor: str | None, order: Sequence[str]) -> list[Any] | None:
    try:
        return cast("list[Any]", signing.loads(cursor or "", salt=",".join(order)))
    except signing.BadSignature:
        return None


def _value(row: Model, name: str) -> Any:
    value: Any = row
    for part in name.split("__"):
        value = getattr(value, part)
    return value.isoformat() if isinstance(value, date) else value  # which the database reads again, to the microsecond


class Filter(Protocol):
    """A form of filters that knows how to apply them."""

    def apply(self, rows: QuerySet[Any]) -> QuerySet[Any]: ...


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """What a list with views, filters and pages shows. `found` are all its rows, `context` is for its template."""

    found: QuerySet[Row]
    page: Page[Row]
    context: dict[str, Any]
    status: int


def listing(
    request: Request,
    form: forms.Form,
    base: QuerySet[Row],
    *,
    order: Sequence[str],
    count_text: Callable[[int], str],
    views: Sequence[View] = (),
    words: Mapping[str, str] | None = None,
) -> Listing[Row]:
    """The page the address asks for; none, and an error on the form, where that is malformed or takes too long."""
    view = chosen(views, request) if views else None
    found = base.none()
    page, count = Page[Row]([], "", ""), 0
    if form.is_valid():
        found = cast(Filter, form).apply(view.narrow(base) if view else base)
        try:
            with bounded_search():
                page, count = page_of(request, found, order), count_of(found)
        except Refused as refused:
            form.add_error(None, str(refused.sentence))
    context = {
        "form": form,
        "view": view,
        "tabs": tabs(views, base, view, request.path) if view else [],
        "chips": [] if form.errors else chips(request, form, words),
        "clear_url": address(request, without=list(form.fields)),
        "csv_url": address(request, format="csv"),
        "count_text": "" if form.errors else count_text(count),
        "page": page,
    }
    return Listing(found.order_by(*order), page, context, 422 if form.errors else 200)


def wants_csv(request: Request) -> bool:
    return request.GET.get("format") == "csv"


def csv_file(
    name: str, header: Sequence[str], rows: Iterable[Sequence[Any]], *, day: date | None = None
) -> StreamingHttpResponse:
    """A list as a file, written as it is read; as of that day, or as it is now."""
    lines = csv_lines(header, rows, language=get_language() or "en")
    filename = f"{name}-{(day or timezone.now().date()).isoformat()}.csv"
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )
