"""Lists on pages: tabs, filters, counts, pages of rows, and the same list as a CSV file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from django import forms
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import QueryDict, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import get_language, ngettext

from por.db.keyset import CursorInvalid, Prepared, Shape, read_part
from por.db.locks import statement_timeout
from por.errors import Refused
from por.web.csv_export import csv_lines
from por.web.filters import FilterForm
from por.web.formatting import day_text, number_text
from por.web.requests import Request

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

Row = TypeVar("Row", bound=Model)

PAGE_SIZE = 50
#: Lists are counted up to this number; a longer list shows it with a plus.
COUNT_TO = 10_000
#: The parameter for where a page of a list starts. It is no filter, so it is dropped when a filter changes.
CURSOR = "cursor"


def address(request: Request, *, without: Sequence[str] = (), **given: str) -> str:
    """Return the address of this page with a changed query, for the first page of the list unless one is given."""
    query = request.GET.copy() if request.GET else QueryDict(mutable=True)
    for name in (*without, CURSOR, "format"):
        query.pop(name, None)
    for name, value in given.items():
        query[name] = value
    return f"?{query.urlencode()}" if query else request.path


def count_of(rows: QuerySet[Any] | Prepared) -> int:
    """Return the number of rows, at most COUNT_TO + 1."""
    return rows.count(COUNT_TO + 1) if isinstance(rows, Prepared) else countable(rows).count()


def countable(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    """Return the keys of the rows, at most COUNT_TO + 1, to be counted."""
    return rows.order_by().values("pk")[: COUNT_TO + 1]


def counted(count: int) -> str:
    """Return a count as text; past COUNT_TO, that number with a plus."""
    return f"{number_text(COUNT_TO)}+" if count > COUNT_TO else number_text(count)


def subscriptions_text(count: int) -> str:
    return ngettext("%(n)s subscription", "%(n)s subscriptions", count) % {"n": counted(count)}


def claims_text(count: int) -> str:
    return ngettext("%(n)s claim", "%(n)s claims", count) % {"n": counted(count)}


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


def locations_text(count: int) -> str:
    return ngettext("%(n)s location", "%(n)s locations", count) % {"n": counted(count)}


@dataclass(frozen=True)
class ListTab:
    """A saved view of a list. `key` is its name in the address; that of the first tab is empty.

    `order` replaces the order of the list. `count` gives the rows to count, if they are not those it shows.
    """

    key: str
    label: LazyText
    filter: Callable[[Any], QuerySet[Any]]
    order: Sequence[str] = ()
    count: Callable[[Any], QuerySet[Any]] | None = None


@dataclass(frozen=True)
class Tab:
    """A saved view as a link. The link drops the filters, so the count is what it leads to."""

    label: LazyText | str
    url: str
    count: int
    current: bool


def selected(tabs: Sequence[ListTab], request: Request) -> ListTab:
    """Return the tab that the address names, else the first."""
    return next((tab for tab in tabs if tab.key == request.GET.get("view", "")), tabs[0])


@dataclass(frozen=True)
class Chip:
    """A filter that is set, and the address without it."""

    label: str
    value: str
    url: str


def _chips(request: Request, form: FilterForm) -> list[Chip]:
    """Return the filters that are set."""
    found, words = [], form.words(request.actor)
    for name, field in form.fields.items():
        value = form.cleaned_data.get(name)
        if not value:
            continue
        text = words.get(name) or _words_for(field, value)
        found.append(Chip(str(field.label), text, address(request, without=[name])))
    return found


def _words_for(field: forms.Field, value: Any) -> str:
    if isinstance(field, forms.ChoiceField):
        return str(dict(cast("list[tuple[str, str]]", field.choices))[value])
    return day_text(value) if isinstance(value, date) else str(value)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a long list, and the addresses of the pages before and after; each is empty at its end."""

    rows: list[Row]
    previous: str
    next: str


@dataclass(frozen=True)
class Whole(Shape):
    """The shape of a list that is the same for all its readers."""

    rows: Callable[[], QuerySet[Any]]
    planned_each_time = False


def prepared_whole(rows: Callable[[], QuerySet[Any]]) -> Prepared:
    """Return a list that is the same for all its readers, prepared."""
    return Prepared(rows().model, Whole(rows), {}, of_models=True)


class Listing(Generic[Row]):
    """A list with tabs, filters and pages, as the address asks for it. Its rows are read when they are needed.

    If the filters are not valid or a search takes too long, the list is empty, and the form shows why.

    `base` may be a function that returns the rows: a list that is prepared is read without them.

    `as_shown` returns the same rows with no more of each than a page shows. Those of `prepared` have as much, and
    those of a file all of it.

    `counts` returns how many rows each tab has without filters, by its key. Without it, each tab is counted by itself.

    `prepared` returns the same rows as prepared queries read them: those of the tab with this key, with or without the
    filters. If only the whole of a list without tabs is prepared, `whole` is the function of a module that returns it.
    """

    def __init__(
        self,
        request: Request,
        base: QuerySet[Row] | Callable[[], QuerySet[Row]],
        *,
        order: Sequence[str],
        form: FilterForm | None = None,
        tabs: Sequence[ListTab] = (),
        count_text: Callable[[int], str] | None = None,
        as_of_query: str = "",
        counts: Callable[[], Mapping[str, int]] | None = None,
        prepared: Callable[[str, bool], Prepared] | None = None,
        whole: Callable[[], QuerySet[Row]] | None = None,
        as_shown: Callable[[QuerySet[Row]], QuerySet[Row]] = lambda found: found,
    ) -> None:
        self.request, self.tabs, self.as_of_query = request, tabs, as_of_query
        self._base, self.as_shown = base, as_shown
        self.counts, self.prepared = counts, prepared
        self.form = FilterForm(request.GET) if form is None else form
        self.tab = selected(tabs, request) if tabs else None
        self.order = (self.tab and self.tab.order) or order
        self.count_text = count_text
        if whole and self.form.is_valid() and not self._filtered:
            self.prepared = lambda _tab, _filtered: prepared_whole(whole)

    @property
    def wants_csv(self) -> bool:
        """Return whether the whole list is asked for as a file, and its filters are valid."""
        return wants_csv(self.request) and not self.form.errors

    @cached_property
    def base(self) -> QuerySet[Row]:
        """Return what the tabs choose from."""
        return self._base() if callable(self._base) else self._base

    @cached_property
    def found(self) -> QuerySet[Row]:
        """Return all rows that match, in no order."""
        if not self.form.is_valid():
            return self.base.none()
        return cast(
            "QuerySet[Row]",
            self.form.apply(self.tab.filter(self.base) if self.tab else self.base, self.request.actor),
        )

    @cached_property
    def matching(self) -> QuerySet[Row] | Prepared:
        """Return the same rows as a page shows them, prepared if they can be."""
        return self.prepared(self.tab.key if self.tab else "", True) if self.prepared else self.as_shown(self.found)

    @property
    def ordered(self) -> QuerySet[Row]:
        """Return all rows that match, in the order of the list."""
        return self.found.order_by(*self.order)

    @property
    def page(self) -> Page[Row]:
        return self._read[0]

    @property
    def status(self) -> int:
        """Return 422 if the filters are not valid or reading the rows took too long, else 200."""
        _page, _count = self._read
        return 422 if self.form.errors else 200

    @property
    def context(self) -> dict[str, Any]:
        """Return what the template of a list needs."""
        page, count = self._read
        failed = bool(self.form.errors)
        return {
            "form": self.form,
            "view": self.tab,
            "tabs": self._links(),
            "chips": [] if failed else _chips(self.request, self.form),
            "clear_url": address(self.request, without=list(self.form.fields)),
            "csv_url": address(self.request, format="csv"),
            "count_text": self.count_text(count) if self.count_text and not failed else "",
            "page": page,
        }

    def _links(self) -> list[Tab]:
        if len(self.tabs) < 2:
            return []
        path, more = f"{self.request.path}{self.as_of_query}", "&" if self.as_of_query else "?"
        return [
            Tab(
                tab.label,
                f"{path}{more}view={tab.key}" if tab.key else path,
                self._count_behind(tab),
                tab is self.tab,
            )
            for tab in self.tabs
        ]

    def _count_behind(self, tab: ListTab) -> int:
        """Return the number of rows of a tab without filters, which may have been counted for the list already."""
        if self.counts:
            return self._counted[tab.key]
        if tab is self.tab and tab.count is None and self.count_text and not (self.form.errors or self._filtered):
            return self._read[1]
        return count_of(self.prepared(tab.key, False) if self.prepared else (tab.count or tab.filter)(self.base))

    @cached_property
    def _counted(self) -> Mapping[str, int]:
        """Return what `counts` returns, each at most COUNT_TO + 1."""
        return {key: min(count, COUNT_TO + 1) for key, count in self.counts().items()} if self.counts else {}

    @property
    def _filtered(self) -> bool:
        return any(self.form.cleaned_data.values())

    @cached_property
    def _read(self) -> tuple[Page[Row], int]:
        """Return the page, and the number of rows if it is shown."""
        if self.form.errors:
            return Page([], "", ""), 0
        try:
            with statement_timeout() if self.form.has_time_limit and self._filtered else nullcontext():
                return self._page(), self._count() if self.count_text else 0
        except Refused as refused:
            self.form.add_error(None, str(refused.message))
            return Page([], "", ""), 0

    def _count(self) -> int:
        """Return the number of rows that match."""
        if self.tab and self.counts and not self._filtered:
            return self._counted[self.tab.key]
        return count_of(self.matching)

    def _page(self) -> Page[Row]:
        """Return the page that the address asks for; the first page if the cursor is not valid or past the end."""
        cursor = self.request.GET.get(CURSOR, "")
        try:
            part = read_part(self.matching, self.order, PAGE_SIZE, cursor)
        except CursorInvalid:
            part = None
        if part is None or (cursor and not part.rows):
            part = read_part(self.matching, self.order, PAGE_SIZE)
        return Page(
            part.rows,
            previous=address(self.request, **{CURSOR: part.previous}) if part.previous else "",
            next=address(self.request, **{CURSOR: part.next}) if part.next else "",
        )


# --- Files ----------------------------------------------------------------------------------------------------------


def wants_csv(request: Request) -> bool:
    return request.GET.get("format") == "csv"


def _in_one_transaction(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines within one transaction. Its cursor on the server lives no longer, which a pooler relies on."""
    with transaction.atomic():
        yield from lines


def csv_file(
    name: str, header: Sequence[str], rows: Iterable[Sequence[Any]], *, day: date | None = None
) -> StreamingHttpResponse:
    """Return a list as a file that is written while it is read. Its name has the day, or today if there is none."""
    lines = _in_one_transaction(csv_lines(header, rows, language=get_language() or "en"))
    filename = f"{name}-{(day or timezone.localdate()).isoformat()}.csv"
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )
