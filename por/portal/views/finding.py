"""The staff's search over customers, partners and subscriptions at once."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from associations.change_requests.queries import open_requests
from associations.record import queries
from associations.subscriptions.forms import SubscriptionFilter
from associations.subscriptions.views.listing import organisations_of
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind
from por.db.locks import statement_timeout
from por.directory.forms import CustomerFilter, PartnerFilter
from por.directory.models import Customer, Partner
from por.directory.queries import formerly
from por.portal.queries import customer_rows, partner_rows
from por.web.filters import FilterForm, SearchField

FEW = 5  # of each; the list of each has all of them


class FindForm(FilterForm):
    """What to look for."""

    search = SearchField()


@require_safe
@only(OrganisationKind.STAFF)
def find(request: Request) -> HttpResponse:
    """Show the first customers, partners and subscriptions that match, with links to all of each."""
    form = FindForm(request.GET)
    found: dict[str, Any] = {}
    if form.is_valid() and form.cleaned_data["search"]:
        with statement_timeout():
            found = _found(request)
    context = {"form": form, "text": form.cleaned_data.get("search", "")} | found
    return render(request, "portal/find.html", context, status=422 if form.errors else 200)


def _found(request: Request) -> dict[str, Any]:
    """Return what matches. `more` has the names of those of which there are more than are shown."""
    actor = request.actor
    customers = Customer.objects.select_related("organisation").order_by("organisation__name", "pk")
    partners = Partner.objects.select_related("organisation__parent").order_by("organisation__name", "pk")
    subscriptions = queries.subscriptions_for_listing(actor).order_by(*queries.BY_CUSTOMER)
    asked: dict[str, tuple[FilterForm, QuerySet[Any]]] = {
        "customers": (CustomerFilter(request.GET), customers),
        "partners": (PartnerFilter(request.GET), partners),
        "subscriptions": (SubscriptionFilter(request.GET), subscriptions),
    }
    rows: dict[str, list[Any]] = {}
    for name, (form, all_rows) in asked.items():
        rows[name] = list(form.apply(all_rows, actor)[: FEW + 1]) if form.is_valid() else []
    shown = {name: found[:FEW] for name, found in rows.items()}
    named = queries.rows(actor, shown["subscriptions"])
    organisations = [one.organisation for name in ("customers", "partners") for one in shown[name]]
    return {
        "formerly": formerly(request.GET["search"].strip(), [*organisations, *organisations_of(named)]),
        "more": {name for name, found in rows.items() if len(found) > FEW},
        "nothing": not any(rows.values()),
        "customers": customer_rows(actor, shown["customers"]),
        "partners": partner_rows(actor, shown["partners"]),
        "rows": named,
        "questions": open_requests(actor, [one.pk for one in shown["subscriptions"]]),
    }
