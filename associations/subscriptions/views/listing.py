"""The page with a list of subscriptions, of customers and of partners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase

from associations.change_requests.queries import open_requests
from associations.record import queries
from associations.record.access import restrict_to_ids
from associations.subscriptions.exports import subscriptions_csv
from associations.subscriptions.forms import SubscriptionFilter
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.directory.models import Subscription
from por.web.lists import Listing, ListTab, subscriptions_text
from por.web.pages import as_of_context, render_page


def subscription_page(
    request: Request,
    template: str,
    tabs_of: Callable[[date | None], Sequence[ListTab]],
    *,
    order: Sequence[str],
    filters: type[SubscriptionFilter] = SubscriptionFilter,
    of: Callable[[Actor, date | None], QuerySet[Subscription]] = queries.subscriptions_for_listing,
    restrict: Callable[[QuerySet[Subscription], date | None], QuerySet[Subscription]] = lambda found, _day: found,
    counts: Callable[[QuerySet[Subscription]], Mapping[str, int]] | None = None,
    file: Callable[[Actor, QuerySet[Subscription], date | None], HttpResponseBase] = subscriptions_csv,
    more: Callable[[QuerySet[Subscription], Sequence[Subscription], date | None], dict[str, Any]] = lambda *_: {},
) -> HttpResponseBase:
    """Return one page of what the query asks for, or all of it as CSV.

    `of` returns what the tabs choose from: what the actor may see, unless each tab makes sure of that itself.
    `restrict` narrows them down to those of the list. `counts` counts all tabs at once. `more` returns further context
    for the template, from all subscriptions of the list and from those on the page.
    """
    actor = request.actor
    form = filters(request.GET)
    form.is_valid()
    base = restrict(restrict_to_ids(of(actor, form.day), actor), form.day)
    past = as_of_context(request, form)
    shown = Listing(
        request,
        base,
        order=order,
        form=form,
        tabs=tabs_of(form.day),
        count_text=subscriptions_text,
        as_of_query=past["as_of_query"],
        counts=counts,
    )
    if shown.wants_csv:
        return file(actor, shown.ordered, form.day)
    rows = shown.page.rows
    context = {
        **shown.context,
        "rows": queries.rows(actor, rows, form.day),
        "questions": {} if form.day else open_requests(actor, [one.pk for one in rows]),
        "may_attach": actor.may(Right.ATTACH),
        **past,
        **more(base, rows, form.day),
    }
    return render_page(request, template, context, part="list", status=shown.status)
