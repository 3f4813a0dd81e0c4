"""The page with a list of subscriptions, of customers and of partners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, cast

from django.core.cache import caches
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.utils import timezone

from associations.change_requests.queries import open_requests
from associations.record import queries
from associations.record.access import few_keys, newest_of, restricted
from associations.subscriptions.exports import subscriptions_csv
from associations.subscriptions.forms import ListShape, SubscriptionFilter, params
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.db.keyset import Prepared
from por.db.prepared import PreparedQuery
from por.directory.models import Subscription
from por.directory.queries import formerly
from por.web.lists import Listing, ListTab, count_of, subscriptions_text
from por.web.pages import as_of_context, render_page

TabsOf = Callable[[Actor, date | None], Sequence[ListTab]]
Of = Callable[[Actor, date | None], QuerySet[Subscription]]
Restrict = Callable[[Actor, QuerySet[Subscription], date | None], QuerySet[Subscription]]


@dataclass(frozen=True)
class PageShape:
    """What the SQL of a tab of a page depends on: the reader, the filters that are used, and what today is.

    The functions are those of subscription_page. They are the same for every request.
    """

    list: ListShape
    today: date
    tabs_of: TabsOf
    tab: str
    of: Of
    restrict: Restrict

    @property
    def planned_each_time(self) -> bool:
        return self.list.planned_each_time

    def rows(self) -> QuerySet[Subscription]:
        tab = next(one for one in self.tabs_of(self.list.reader.actor(), None) if one.key == self.tab)
        return self.list.filtered(tab.filter(self.base()))

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


def subscription_page(
    request: Request,
    template: str,
    tabs_of: TabsOf,
    *,
    order: Sequence[str],
    filters: type[SubscriptionFilter] = SubscriptionFilter,
    of: Of = queries.subscriptions_for_listing,
    restrict: Restrict = everything,
    by_kind: Callable[[Actor, QuerySet[Subscription]], QuerySet[Subscription, Any]] | None = None,
    totals: Callable[[Iterable[Any]], Mapping[str, int]] = dict,
    file: Callable[[Actor, QuerySet[Subscription], date | None], HttpResponseBase] = subscriptions_csv,
    more: Callable[[QuerySet[Subscription], Sequence[Subscription], date | None], dict[str, Any]] = lambda *_: {},
) -> HttpResponseBase:
    """Return one page of what the query asks for, or all of it as CSV.

    `of` returns what the tabs choose from: what the actor may see, unless each tab makes sure of that itself.
    `restrict` narrows them down to those of the list. These and `tabs_of` are functions of a module, because prepared
    queries are kept by them. `by_kind` returns the rows that `totals` turns into the counts of all tabs. `more` returns
    further context for the template, from all subscriptions of the list and from those on the page.
    """
    actor = request.actor
    form = filters(request.GET)
    form.is_valid()
    few = few_keys(actor)
    found = of(actor, form.day)
    base = restrict(actor, found if few is None else restricted(found, *few), form.day)
    past = as_of_context(request, form)

    def prepared(tab: str, filtered: bool) -> Prepared:
        given = form.cleaned_data if filtered else {}
        shape = PageShape(ListShape.of(actor, few, given), timezone.localdate(), tabs_of, tab, of, restrict)
        return Prepared(Subscription, shape, params(actor, few, given), of_models=True)

    def kept(_base: QuerySet[Subscription]) -> Mapping[str, int]:
        key = f"tabs:{request.path}:{actor.organisation_id}:{timezone.localdate()}:{newest_of(actor)}"
        tabs = [tab.key for tab in tabs_of(actor, None)]
        counts = caches["local"].get_or_set(key, lambda: {tab: count_of(prepared(tab, False)) for tab in tabs})
        return cast("Mapping[str, int]", counts)

    def counted(_base: QuerySet[Subscription]) -> Mapping[str, int]:
        shape = PageShape(ListShape.of(actor, few, {}), timezone.localdate(), tabs_of, "", of, restrict)
        return totals(_by_kind(shape, by_kind).values(**params(actor, few, {})))

    # A large partner's tabs take long to count, and every change of its record is an event.
    keeps = actor.kind == OrganisationKind.PARTNER and few is None and not form.errors and not form.day
    shown = Listing(
        request,
        base,
        order=order,
        form=form,
        tabs=tabs_of(actor, form.day),
        count_text=subscriptions_text,
        as_of_query=past["as_of_query"],
        counts=counted if by_kind else kept if keeps else None,
        prepared=prepared if form.is_valid() and form.is_simple else None,
    )
    if shown.wants_csv:
        return file(actor, shown.ordered, form.day)
    rows = shown.page.rows
    named = queries.rows(actor, rows, form.day)
    text = form.cleaned_data.get("search", "")
    context = {
        **shown.context,
        "rows": named,
        "formerly": formerly(text, organisations_of(named)) if text else [],
        "questions": {} if form.day else open_requests(actor, [one.pk for one in rows]),
        "may_attach": actor.may(Right.ATTACH),
        "may_move": actor.may(Right.MOVE) and bool(actor.below),
        **past,
        **more(base, rows, form.day),
    }
    return render_page(request, template, context, part="list", status=shown.status)
