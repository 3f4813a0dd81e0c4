"""Usage: of one subscription, of a customer's subscriptions, of those a partner is partner of record for."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.record import queries
from associations.record.access import subscriptions_visible_to, usage_visible_to
from associations.record.forms import check_had_started
from associations.record.queries import BY_CUSTOMER, get_visible, subscriptions_for_listing
from associations.record.sums import most_changed, use_of_record
from associations.record.usage import (
    Totals,
    UseOfWorkload,
    in_period,
    months_of_changes,
    months_seen,
    use_of_workloads,
)
from associations.subscriptions import figures
from associations.subscriptions.views.listing import Of, TabsOf, of_any_partner, subscription_listing
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Subscription
from por.portal.exports import months_csv, usage_csv
from por.portal.forms import UsageFilter, UsageForm
from por.portal.queries import UsageOfList, newest_usage
from por.web.lists import Listing, ListTab, address, wants_csv
from por.web.pages import as_of_context, render_page

#: How many of the largest changes a page shows.
CHANGES = 6


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
    use = [] if form.errors else use_of_workloads(in_period(visible, form.since, form.until))
    if wants_csv(request) and not form.errors:
        return months_csv(figures.newest_first(use), form.day)
    seen = months_seen(actor, subscription)
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
            "claims_text": figures.claims_text(seen),
            "corrections": [one for one in use if one.corrected_at],
            "form": form,
            **_figures(request, form, use),
            **as_of_context(request, form),
        },
        status=422 if form.errors else 200,
    )


def _figures(request: Request, form: UsageForm, use: Sequence[UseOfWorkload]) -> dict[str, Any]:
    """Return what the charts and tables show, on the page of one subscription and of many."""
    months = figures.months_of(use)
    return {
        "newest": figures.newest(use),
        "people": figures.people(use, months),
        "adoption": figures.adoption(use, months),
        "money": figures.money(use, months),
        "rows_of_figures": figures.newest_first(use),
        "running": timezone.localdate().replace(day=1),
        "all_months_url": address(request, months="all") if form.since else "",
        "csv_url": address(request, format="csv"),
    }


# --- Many subscriptions ---------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_usage(request: Request) -> HttpResponseBase:
    return _of_many(request, _customers_tabs, subscriptions_for_listing, page="subscription_usage")


@require_safe
@only(OrganisationKind.PARTNER)
def partner_usage(request: Request) -> HttpResponseBase:
    return _of_many(request, _partners_tabs, of_any_partner, page="partner_subscription_usage")


def _customers_tabs(_actor: Actor, _as_of: date | None) -> list[ListTab]:
    return [ListTab("", gettext_lazy("All"), lambda found: found)]


def _partners_tabs(actor: Actor, as_of: date | None) -> list[ListTab]:
    """Return the tabs. Each holds only subscriptions that the partner is or was of record for."""
    return [
        ListTab("", gettext_lazy("Partner of record"), lambda found: queries.of_record(found, actor, as_of)),
        ListTab("own", gettext_lazy("Your own tenant"), lambda found: queries.of_own_tenant(found, actor, as_of)),
        ListTab("former", gettext_lazy("Former"), lambda found: queries.formerly_of_record(found, actor, as_of)),
    ]


def _of_many(request: Request, tabs_of: TabsOf, of: Of, *, page: str) -> HttpResponseBase:
    """Show the usage of all of them together and the newest month of each, or return the latter for all as CSV.

    `page` is the name of the usage page of one subscription; the others are those of subscription_listing.
    """
    actor = request.actor
    form = UsageFilter(request.GET)
    form.is_valid()
    past = as_of_context(request, form)
    shown = subscription_listing(request, form, tabs_of, order=BY_CUSTOMER, as_of_query=past["as_of_query"], of=of)
    if shown.wants_csv:
        return usage_csv(actor, shown.ordered, form.since, form.until, form.day)
    rows = shown.page.rows
    usage = UsageOfList(actor, shown.matching, form.since, form.until)
    earlier, later = months_of_changes(form.until)
    keys: list[int] | None = None
    newest: Totals | None
    if _is_whole_record(actor, shown):
        of_record = use_of_record(actor, form.since)
        use, newest = of_record.workloads, of_record.newest
        keys = most_changed(actor, later, CHANGES)
    else:
        use = usage.of_workloads() if rows else []
        newest = usage.totals() if use else None
    context = {
        **shown.context,
        "of_partner": actor.kind == OrganisationKind.PARTNER,
        "usage_page": f"portal:{page}",
        "rows": newest_usage(actor, rows, form.since, form.until, form.day),
        "totals": newest if use else None,
        "changes": usage.largest_changes(earlier, later, CHANGES, keys) if use else [],
        "earlier": earlier,
        "later": later,
        "associated": not rows and shown.tab is shown.tabs[0] and subscriptions_visible_to(actor).exists(),
        **_figures(request, form, use),
        **past,
    }
    return render_page(request, "portal/usage.html", context, part="list", status=shown.status)


def _is_whole_record(actor: Actor, shown: Listing[Subscription]) -> bool:
    """Return whether the list has all subscriptions that the partner is partner of record for today."""
    filters = {name for name, value in shown.form.cleaned_data.items() if value} - {"months"}
    is_whole = shown.tab is shown.tabs[0] and not filters and not shown.form.errors
    return is_whole and actor.kind == OrganisationKind.PARTNER
