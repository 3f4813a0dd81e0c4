"""The page with a list of subscriptions, of customers and of partners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, lru_cache, partial
from typing import Any, TypeVar, cast

from django.core.cache import caches
from django.db.models import F, QuerySet
from django.http.response import HttpResponseBase
from django.utils import timezone

from associations.change_requests.queries import open_requests
from associations.record import queries
from associations.record.access import few_keys, newest_of, newest_of_customers, restricted
from associations.record.former import show_as_seen
from associations.subscriptions.exports import subscriptions_csv
from associations.subscriptions.forms import ListShape, SubscriptionFilter, params
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.db.keyset import Part, Prepared, Shape, count_each, read_part
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.models import Subscription
from por.directory.queries import formerly
from por.web.lists import COUNT_TO, CURSOR, PAGE_SIZE, Listing, ListTab, subscriptions_text
from por.web.pages import as_of_context, render_page

Kept = TypeVar("Kept")
TabsOf = Callable[[Actor, date | None], Sequence[ListTab]]
Of = Callable[[Actor, date | None], QuerySet[Subscription]]
Restrict = Callable[[Actor, QuerySet[Subscription], date | None], QuerySet[Subscription]]


@dataclass(frozen=True)
class PageShape(Shape):
    """What the SQL of a tab of a page depends on: the reader, the filters that are used, and what today is.

    The functions are those of subscription_listing. They are the same for every request. With `only`, the rows are
    those of the tab that have one of some keys.
    """

    list: ListShape
    today: date
    tabs_of: TabsOf
    tab: str
    of: Of
    restrict: Restrict
    only: bool = False

    @property
    def planned_each_time(self) -> bool:
        return self.list.planned_each_time

    def rows(self) -> QuerySet[Subscription]:
        tab = next(one for one in self.tabs_of(self.list.reader.actor(), None) if one.key == self.tab)
        found = queries.as_shown(self.list.filtered(tab.filter(self.base())))
        return found.filter(AnyOf(F("pk"), Param("only"))) if self.only else found

    def base(self) -> QuerySet[Subscription]:
        """Return what the tabs choose from."""
        actor = self.list.reader.actor()
        return self.restrict(actor, self.list.restricted(self.of(actor, None)), None)


@lru_cache(maxsize=256)
def _by_kind(shape: PageShape, by_kind: Any) -> PreparedQuery[Any]:
    return PreparedQuery(
        lambda: by_kind(shape.list.reader.actor(), shape.base()), planned_each_time=shape.planned_each_time
    )


def organisations_of(rows: Iterable[queries.Row]) -> list[Organisation]:
    """Return the customers and the partners that rows name."""
    customers = [row.subscription.customer.organisation for row in rows]
    return customers + [row.record.partner.organisation for row in rows if row.record]


def everything(_actor: Actor, found: QuerySet[Subscription], _day: date | None) -> QuerySet[Subscription]:
    return found


def of_any_partner(_actor: Actor, as_of: date | None) -> QuerySet[Subscription]:
    """Return all subscriptions, for tabs that hold only those that the partner is or was of record for.

    To check again for each row that the partner may see it would take most of the page's time.
    """
    return queries.for_listing(Subscription.objects.all(), as_of)


def subscription_listing(
    request: Request,
    form: SubscriptionFilter,
    tabs_of: TabsOf,
    *,
    order: Sequence[str],
    as_of_query: str,
    of: Of = queries.subscriptions_for_listing,
    restrict: Restrict = everything,
    by_kind: Callable[[Actor, QuerySet[Subscription]], QuerySet[Subscription, Any]] | None = None,
    totals: Callable[[Iterable[Any]], Mapping[str, int]] = dict,
) -> Listing[Subscription]:
    """Return the list that the address asks for.

    `of` returns what the tabs choose from: what the actor may see, unless each tab makes sure of that itself.
    `restrict` narrows them down to those of the list. These and `tabs_of` are functions of a module, because prepared
    queries are kept by them. `by_kind` returns the rows that `totals` turns into the counts of all tabs.

    A large partner's tabs take long to count. So the counts are kept until there is a new event about it, or a new
    import. Those of `by_kind` depend on what others do for its customers. They are kept until there is a new event of
    one of these customers, and with them the keys of the first rows. Each row is checked again when it is read.
    """
    actor, few, today = request.actor, few_keys(request.actor), timezone.localdate()

    def base() -> QuerySet[Subscription]:
        found = of(actor, form.day)
        return restrict(actor, found if few is None else restricted(found, *few), form.day)

    tabs = tabs_of(actor, form.day)
    keeps = actor.kind == OrganisationKind.PARTNER and few is None and not form.errors and not form.day
    whole = ListShape.of(actor, few, {})

    def prepared(tab: str, filtered: bool) -> Prepared:
        given = form.cleaned_data if filtered else {}
        shape = PageShape(ListShape.of(actor, few, given), today, tabs_of, tab, of, restrict)
        rows = Prepared(Subscription, shape, params(actor, few, given), of_models=True)
        if not (keeps and by_kind and filtered and shape.list == whole) or CURSOR in request.GET:
            return rows

        def first() -> list[int]:
            by = next(one.order for one in tabs if one.key == tab) or order
            part: Part[Subscription] = read_part(rows, by, PAGE_SIZE + 1)
            return [one.pk for one in part.rows]

        keys = kept(f"first:{tab}", first)
        return replace(rows, shape=replace(shape, only=True), given={**rows.given, "only": keys})

    @cache
    def state() -> str:
        zone, newest = timezone.get_current_timezone_name(), newest_of_customers if by_kind else newest_of
        return f"{request.path}:{actor.organisation_id}:{zone}:{today}:{newest(actor)}"

    def kept(name: str, find: Callable[[], Kept]) -> Kept:
        return cast("Kept", caches["local"].get_or_set(f"{name}:{state()}", find))

    def counted() -> Mapping[str, int]:
        if not by_kind:
            counts = count_each([prepared(tab.key, False) for tab in tabs], COUNT_TO + 1)
            return {tab.key: count for tab, count in zip(tabs, counts, strict=True)}
        shape = PageShape(whole, today, tabs_of, "", of, restrict)
        return totals(_by_kind(shape, by_kind).values(**params(actor, few, {})))

    return Listing(
        request,
        base,
        order=order,
        form=form,
        tabs=tabs,
        count_text=subscriptions_text,
        as_of_query=as_of_query,
        counts=partial(kept, "counts", counted) if keeps else counted if by_kind or not form.day else None,
        prepared=prepared if form.is_valid() and form.is_simple else None,
        as_shown=queries.as_shown,
    )


def subscription_page(
    request: Request,
    template: str,
    tabs_of: TabsOf,
    *,
    filters: type[SubscriptionFilter] = SubscriptionFilter,
    file: Callable[[Actor, QuerySet[Subscription], date | None], HttpResponseBase] = subscriptions_csv,
    more: Callable[[Listing[Subscription], Sequence[Subscription], date | None], dict[str, Any]] = lambda *_: {},
    with_record: bool = True,
    **of_list: Any,
) -> HttpResponseBase:
    """Return one page of a subscription_listing, or all of it as CSV.

    `more` returns further context for the template, from the list and from the rows of the page.
    Without `with_record`, the template shows neither the record of a row nor its usage.
    """
    actor = request.actor
    form = filters(request.GET)
    form.is_valid()
    past = as_of_context(request, form)
    shown = subscription_listing(request, form, tabs_of, as_of_query=past["as_of_query"], **of_list)
    if shown.wants_csv:
        return file(actor, shown.ordered, form.day)
    rows = shown.page.rows
    text = form.cleaned_data.get("search", "")
    named = queries.rows(actor, rows, form.day) if with_record or text else []
    if not with_record:
        show_as_seen(actor, rows)
    context = {
        **shown.context,
        "rows": named,
        "formerly": formerly(text, organisations_of(named)) if text else [],
        "questions": open_requests(actor, [one.pk for one in rows]) if with_record and not form.day else {},
        "may_attach": actor.may(Right.ATTACH),
        "may_move": actor.may(Right.MOVE) and bool(actor.below),
        **past,
        **more(shown, rows, form.day),
    }
    return render_page(request, template, context, part="list", status=shown.status)
