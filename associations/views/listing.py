"""The list of subscriptions: the same for customers and partners but for its views, its order and its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.http.response import HttpResponseBase

from associations import reading
from associations.forms import SubscriptionFilter
from associations.views import exports
from associations.views.shared import (
    View,
    address,
    chips,
    chosen,
    count_of,
    page_of,
    render_page,
    subscriptions_text,
    tabs,
)
from por.accounts.middleware import Request


def subscription_page(
    request: Request,
    template: str,
    views: Sequence[View],
    *,
    order: Sequence[str],
    words: Callable[[SubscriptionFilter], Mapping[str, str]],
) -> HttpResponseBase:
    """One page of what the query asks for, or all of it as CSV; `words` are those of filters that are codes."""
    actor = request.actor
    base = reading.subscriptions_for_listing(actor)
    view = chosen(views, request)
    form = SubscriptionFilter(request.GET)
    valid = form.is_valid()
    found = form.apply(view.narrow(base), actor) if valid else base.none()
    if valid and request.GET.get("format") == "csv":
        return exports.subscriptions_csv(actor, found.order_by(*order))
    page = page_of(request, found, order)
    return render_page(
        request,
        template,
        {
            "form": form,
            "view": view,
            "tabs": tabs(views, base, view, request.path),
            "chips": chips(request, form, words(form)) if valid else [],
            "clear_url": address(request, without=list(form.fields)),
            "csv_url": address(request, format="csv"),
            "count_text": subscriptions_text(count_of(found)),
            "page": page,
            "rows": reading.rows(actor, page.rows),
        },
        part="list",
        status=200 if valid else 422,
    )
