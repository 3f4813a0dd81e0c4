"""Lists that customers and partners share: subscriptions, and what happened to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase

from associations import reading
from associations.forms import HistoryFilter, SubscriptionFilter
from associations.models import events_visible_to, narrowed, subscriptions_visible_to
from associations.reading.changing import open_questions
from associations.views import exports, timeline
from associations.views.shared import looking_back, words_of
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.directory.models import Subscription
from por.http import (
    View,
    address,
    chips,
    chosen,
    count_of,
    events_text,
    page_of,
    render_page,
    subscriptions_text,
    tabs,
)


def subscription_page(
    request: Request,
    template: str,
    views_of: Callable[[date | None], Sequence[View]],
    *,
    order: Sequence[str],
    filters: type[SubscriptionFilter] = SubscriptionFilter,
    narrow: Callable[[QuerySet[Subscription], date | None], QuerySet[Subscription]] = lambda found, _day: found,
    file: Callable[[Actor, QuerySet[Subscription], date | None], HttpResponseBase] = exports.subscriptions_csv,
    more: Callable[[QuerySet[Subscription], Sequence[Subscription], date | None], dict[str, Any]] = lambda *_: {},
) -> HttpResponseBase:
    """One page of what the query asks for, or all of it as CSV.

    `narrow` says of which subscriptions the list is; `more` is what its template needs besides, of all of them and of
    those on the page.
    """
    actor = request.actor
    form = filters(request.GET)
    valid = form.is_valid()
    base = narrow(narrowed(reading.subscriptions_for_listing(actor, form.day), actor), form.day)
    views = views_of(form.day)
    view = chosen(views, request)
    found = form.apply(view.narrow(base), actor) if valid else base.none()
    if valid and request.GET.get("format") == "csv":
        return file(actor, found.order_by(*order), form.day)
    page = page_of(request, found, order)
    past = looking_back(request, form)
    return render_page(
        request,
        template,
        {
            "form": form,
            "view": view,
            "tabs": tabs(views, base, view, request.path, past["as_of_query"]),
            "chips": chips(request, form, words_of(actor, form)) if valid else [],
            "clear_url": address(request, without=list(form.fields)),
            "csv_url": address(request, format="csv"),
            "count_text": subscriptions_text(count_of(found)),
            "page": page,
            "rows": reading.rows(actor, page.rows, form.day),
            "questions": {} if form.day else open_questions(actor, [one.pk for one in page.rows]),
            "may_attach": actor.may("record.attach"),
            **past,
            **more(base, page.rows, form.day),
        },
        part="list",
        status=200 if valid else 422,
    )


def history_page(request: Request, template: str, *, order: str) -> HttpResponseBase:
    """One page of the events the query asks for, or all of them as CSV."""
    actor = request.actor
    form = HistoryFilter(request.GET)
    valid = form.is_valid()
    base = events_visible_to(actor)
    found = form.apply(base) if valid else base.none()
    if valid and request.GET.get("format") == "csv":
        return exports.events_csv(actor, found.order_by(order))
    page = page_of(request, found, (order,))
    words = {}
    if valid and (subscription_id := form.cleaned_data["subscription"]):
        visible = subscriptions_visible_to(actor).select_related("sku", "customer__organisation")
        words["subscription"] = str(visible.filter(subscription_id=subscription_id).first() or subscription_id)
    return render_page(
        request,
        template,
        {
            "form": form,
            "chips": chips(request, form, words) if valid else [],
            "clear_url": address(request, without=list(form.fields)),
            "csv_url": address(request, format="csv"),
            "count_text": events_text(count_of(found)),
            "events": timeline.items(actor, page.rows),
            "page": page,
        },
        part="list",
        status=200 if valid else 422,
    )
