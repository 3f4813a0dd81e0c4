"""How much is used: of one subscription, of all that a customer has, of all that a partner is of record for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations import reading
from associations.forms import UsageFilter, UsageForm
from associations.models import subscriptions_visible_to, usage_visible_to
from associations.rules import months_before
from associations.views import exports, figures
from associations.views.shared import BY_CUSTOMER, check_had_started, looking_back, theirs, words_of
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import Kind
from por.directory.models import Subscription
from por.http import (
    View,
    address,
    chips,
    chosen,
    count_of,
    only,
    page_of,
    render_page,
    subscriptions_text,
    tabs,
    wants_csv,
)

#: How many subscriptions are named whose use has changed most, and over how many months.
CHANGES, CHANGED_OVER = 6, 3


# --- One subscription -----------------------------------------------------------------------------------------------


@require_safe
@only(Kind.CUSTOMER)
def subscription_usage(request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
    return _of_one(request, subscription_id, page="subscription_detail", above="subscription_list")


@require_safe
@only(Kind.PARTNER)
def partner_subscription_usage(request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
    return _of_one(request, subscription_id, page="partner_subscription_detail", above="partner_subscription_list")


def _of_one(request: Request, subscription_id: uuid.UUID, *, page: str, above: str) -> HttpResponseBase:
    actor = request.actor
    subscription = theirs(actor, subscription_id)
    form = UsageForm(request.GET)
    check_had_started(subscription, form)
    visible = usage_visible_to(actor).filter(subscription=subscription)
    use = [] if form.errors else reading.use_of_workloads(reading.in_period(visible, form.since, form.until))
    if wants_csv(request) and not form.errors:
        return exports.months_csv(figures.newest_first(use), form.day)
    seen = reading.months_seen(actor, subscription)
    return render(
        request,
        "associations/subscription_usage.html",
        {
            "of_partner": actor.kind == Kind.PARTNER,
            "subscription": subscription,
            "page_url": reverse(f"associations:{page}", args=[subscription_id]),
            "list_url": reverse(f"associations:{above}"),
            "seen": seen,
            "seen_text": figures.months_text(seen),
            "corrections": [one for one in use if one.corrected_at],
            "form": form,
            **_figures(request, form, use),
            **looking_back(request, form),
        },
        status=422 if form.errors else 200,
    )


def _figures(request: Request, form: UsageForm, use: Sequence[reading.UseOfWorkload]) -> dict[str, Any]:
    """What the charts and the tables of both kinds of page show."""
    months = figures.months_of(use)
    return {
        "newest": figures.newest(use),
        "people": figures.people(use, months),
        "adoption": figures.adoption(use, months),
        "money": figures.money(use, months),
        "rows_of_figures": figures.newest_first(use),
        "running": timezone.now().date().replace(day=1),
        "all_months_url": address(request, months="all") if form.since else "",
        "csv_url": address(request, format="csv"),
    }


# --- Many subscriptions ---------------------------------------------------------------------------------------------


@require_safe
@only(Kind.CUSTOMER)
def customer_usage(request: Request) -> HttpResponseBase:
    theirs = subscriptions_visible_to(request.actor)
    return _of_many(request, theirs, _customers_views, page="subscription_usage")


@require_safe
@only(Kind.PARTNER)
def partner_usage(request: Request) -> HttpResponseBase:
    # Each view has only what the partner is or was of record for, and may see. To ask the latter of each again would
    # take most of the page's time.
    everything = Subscription.objects.all()
    views_of = partial(_partners_views, request.actor)
    return _of_many(request, everything, views_of, page="partner_subscription_usage")


def _customers_views(_as_of: date | None) -> list[View]:
    return [View("", gettext_lazy("All"), lambda found: found)]


def _partners_views(actor: Actor, as_of: date | None) -> list[View]:
    return [
        View("", gettext_lazy("Partner of record"), lambda found: reading.of_record(found, actor, as_of)),
        View("own", gettext_lazy("Your own tenant"), lambda found: reading.of_own_tenant(found, actor, as_of)),
        View("former", gettext_lazy("Former"), lambda found: reading.formerly_of_record(found, actor, as_of)),
    ]


def _of_many(
    request: Request,
    subscriptions: QuerySet[Subscription],
    views_of: Callable[[date | None], list[View]],
    *,
    page: str,
) -> HttpResponseBase:
    """What all of them use together, and each in its newest month; or the latter of all of them as CSV.

    `page` is the usage page of one of them.
    """
    actor = request.actor
    form = UsageFilter(request.GET)
    valid = form.is_valid()
    base = reading.for_listing(subscriptions, form.day)
    views = views_of(form.day)
    view = chosen(views, request)
    found = form.apply(view.narrow(base), actor) if valid else base.none()
    each = reading.in_period(usage_visible_to(actor), form.since, form.until)
    if valid and wants_csv(request):
        return exports.usage_csv(actor, found.order_by(*BY_CUSTOMER), each, form.day)
    listed = page_of(request, found, BY_CUSTOMER)
    usage = each.filter(subscription__in=found.values("pk"))
    use = reading.use_of_workloads(usage) if listed.rows else []
    later = months_before(form.until.replace(day=1), 1)
    earlier = months_before(later, CHANGED_OVER)
    past = looking_back(request, form)
    return render_page(
        request,
        "associations/usage.html",
        {
            "of_partner": actor.kind == Kind.PARTNER,
            "usage_page": f"associations:{page}",
            "form": form,
            "view": view,
            "tabs": tabs(views, base, view, request.path, past["as_of_query"]) if len(views) > 1 else [],
            "chips": chips(request, form, words_of(actor, form)) if valid else [],
            "clear_url": address(request, without=list(form.fields)),
            "count_text": subscriptions_text(count_of(found)),
            "page": listed,
            "rows": reading.used(actor, listed.rows, each, form.day),
            "totals": reading.totals(found, each) if use else None,
            "changes": reading.largest_changes(usage, earlier, later, CHANGES) if use else [],
            "earlier": earlier,
            "later": later,
            "associated": not listed.rows and not view.key and subscriptions_visible_to(actor).exists(),
            **_figures(request, form, use),
            **past,
        },
        part="list",
        status=200 if valid else 422,
    )
