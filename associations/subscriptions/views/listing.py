"""Lists that customers and partners share: subscriptions, and what happened to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase

from associations.change_requests.queries import open_questions
from associations.record import queries
from associations.record.access import restrict_to_ids
from associations.subscriptions import exports as exports_module
from associations.subscriptions.forms import SubscriptionFilter
from por.accounts.middleware import Request
from por.accounts.models import Actor
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
    restrict: Callable[[QuerySet[Subscription], date | None], QuerySet[Subscription]] = lambda found, _day: found,
    file: Callable[[Actor, QuerySet[Subscription], date | None], HttpResponseBase] = exports_module.subscriptions_csv,
    more: Callable[[QuerySet[Subscription], Sequence[Subscription], date | None], dict[str, Any]] = lambda *_: {},
) -> HttpResponseBase:
    """Return one page of what the query asks for, or all of it as CSV.

    `restrict` says of which subscriptions the list is; `more` is what its template needs besides, of all of them and of
    those on the page.
    """
    actor = request.actor
    form = filters(request.GET)
    form.is_valid()
    base = restrict(restrict_to_ids(queries.subscriptions_for_listing(actor, form.day), actor), form.day)
    past = as_of_context(request, form)
    shown = Listing(
        request,
        base,
        order=order,
        form=form,
        tabs=tabs_of(form.day),
        count_text=subscriptions_text,
        as_of_query=past["as_of_query"],
    )
    if shown.wants_csv:
        return file(actor, shown.ordered, form.day)
    rows = shown.page.rows
    context = {
        **shown.context,
        "rows": queries.rows(actor, rows, form.day),
        "questions": {} if form.day else open_questions(actor, [one.pk for one in rows]),
        "may_attach": actor.may("record.attach"),
        **past,
        **more(base, rows, form.day),
    }
    return render_page(request, template, context, part="list", status=shown.status)
