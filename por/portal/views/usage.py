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

from associations.record import queries
from associations.record import usage as usages
from associations.record.access import subscriptions_visible_to, usage_visible_to
from associations.record.forms import check_had_started
from associations.record.policies import months_before
from associations.record.queries import BY_CUSTOMER, get_visible
from associations.subscriptions import exports, figures
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Subscription
from por.portal import exports as exports_module
from por.portal import queries as portal
from por.portal.forms import UsageFilter, UsageForm
from por.web.lists import Listing, ListTab, address, subscriptions_text, wants_csv
from por.web.pages import as_of_context, render_page

#: How many subscriptions are named whose use has changed most, and over how many months.
CHANGES, CHANGED_OVER = 6, 3


# --- One subscription -----------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.CUSTOMER)
def subscription_usage(request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
    return _of_one(request, subscription_id, page="subscription_detail", above="subscription_list")


@require_safe
@only(OrganisationKind.PARTNER)
def partner_subscription_usage(request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
    return _of_one(request, subscription_id, page="partner_subscription_detail", above="partner_subscription_list")


def _of_one(request: Request, subscription_id: uuid.UUID, *, page: str, above: str) -> HttpResponseBase:
    actor = request.actor
    subscription = get_visible(actor, subscription_id)
    form = UsageForm(request.GET)
    check_had_started(subscription, form)
    visible = usage_visible_to(actor).filter(subscription=subscription)
    use = [] if form.errors else usages.use_of_workloads(usages.in_period(visible, form.since, form.until))
    if wants_csv(request) and not form.errors:
        return exports.months_csv(figures.newest_first(use), form.day)
    seen = usages.months_seen(actor, subscription)
    return render(
        request,
        "portal/subscription_usage.html",
        {
            "of_partner": actor.kind == OrganisationKind.PARTNER,
            "subscription": subscription,
            "page_url": reverse(f"associations:{page}", args=[subscription_id]),
            "list_url": reverse(f"associations:{above}"),
            "seen": seen,
            "seen_text": figures.months_text(seen),
            "corrections": [one for one in use if one.corrected_at],
            "form": form,
            **_figures(request, form, use),
            **as_of_context(request, form),
        },
        status=422 if form.errors else 200,
    )


def _figures(request: Request, form: UsageForm, use: Sequence[usages.UseOfWorkload]) -> dict[str, Any]:
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
@only(OrganisationKind.CUSTOMER)
def customer_usage(request: Request) -> HttpResponseBase:
    get_visible = subscriptions_visible_to(request.actor)
    return _of_many(request, get_visible, _customers_tabs, page="subscription_usage")


@require_safe
@only(OrganisationKind.PARTNER)
def partner_usage(request: Request) -> HttpResponseBase:
    # Each tab has only what the partner is or was of record for, and may see. To ask the latter of each again would
    # take most of the page's time.
    everything = Subscription.objects.all()
    tabs_of = partial(_partners_tabs, request.actor)
    return _of_many(request, everything, tabs_of, page="partner_subscription_usage")


def _customers_tabs(_as_of: date | None) -> list[ListTab]:
    return [ListTab("", gettext_lazy("All"), lambda found: found)]


def _partners_tabs(actor: Actor, as_of: date | None) -> list[ListTab]:
    return [
        ListTab("", gettext_lazy("Partner of record"), lambda found: queries.of_record(found, actor, as_of)),
        ListTab("own", gettext_lazy("Your own tenant"), lambda found: queries.of_own_tenant(found, actor, as_of)),
        ListTab("former", gettext_lazy("Former"), lambda found: queries.formerly_of_record(found, actor, as_of)),
    ]


def _of_many(
    request: Request,
    subscriptions: QuerySet[Subscription],
    tabs_of: Callable[[date | None], list[ListTab]],
    *,
    page: str,
) -> HttpResponseBase:
    """What all of them use together, and each in its newest month; or the latter of all of them as CSV.

    `page` is the usage page of one of them.
    """
    actor = request.actor
    form = UsageFilter(request.GET)
    form.is_valid()
    past = as_of_context(request, form)
    shown = Listing(
        request,
        queries.for_listing(subscriptions, form.day),
        order=BY_CUSTOMER,
        form=form,
        tabs=tabs_of(form.day),
        count_text=subscriptions_text,
        as_of_query=past["as_of_query"],
    )
    each = usages.in_period(usage_visible_to(actor), form.since, form.until)
    if shown.wants_csv:
        return exports_module.usage_csv(actor, shown.ordered, each, form.day)
    rows = shown.page.rows
    usage = each.filter(subscription__in=shown.found.values("pk"))
    use = usages.use_of_workloads(usage) if rows else []
    later = months_before(form.until.replace(day=1), 1)
    earlier = months_before(later, CHANGED_OVER)
    context = {
        **shown.context,
        "of_partner": actor.kind == OrganisationKind.PARTNER,
        "usage_page": f"associations:{page}",
        "rows": portal.used(actor, rows, each, form.day),
        "totals": usages.totals(shown.found, each) if use else None,
        "changes": portal.largest_changes(usage, earlier, later, CHANGES) if use else [],
        "earlier": earlier,
        "later": later,
        "associated": not rows and shown.tab is shown.tabs[0] and subscriptions_visible_to(actor).exists(),
        **_figures(request, form, use),
        **past,
    }
    return render_page(request, "portal/usage.html", context, part="list", status=shown.status)
