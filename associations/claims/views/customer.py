"""A customer's pages about claims: the list, and one claim with what it means."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from associations.claims.actions.conflicts import open_conflicts
from associations.claims.actions.ending import can_decline, is_in_term
from associations.claims.actions.shared import one_of
from associations.claims.models import Claim
from associations.claims.queries import customers
from associations.claims.queries.claims import counts_of
from associations.claims.rules import ClaimStatus
from associations.claims.views.past import past_claim
from associations.record import timeline
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.web.filters import AsOfForm
from por.web.lists import Listing, claims_text


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_claim_list(request: Request) -> HttpResponse:
    actor, tabs = request.actor, customers.customer_tabs()
    shown = Listing(
        request,
        customers.claims_for_customer(actor),
        order=customers.NEWEST_FIRST,
        tabs=tabs,
        count_text=claims_text,
        counts=lambda: counts_of(Claim.objects.visible_to(actor), tabs),
    )
    now = timezone.now()
    rows = [
        (one, is_in_term(one, now) and one.status == ClaimStatus.APPROVED, customers.deadline_of(one))
        for one in shown.page.rows
    ]
    return render(request, "claims/customer_list.html", shown.context | {"rows": rows})


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_claim(request: Request, claim_id: int) -> HttpResponse:
    """Show who claims what, and what an approved claim means, or how it was at the end of a day.

    It shows no file, comment or reason.
    """
    actor, now, past = request.actor, timezone.now(), AsOfForm(request.GET)
    if past.is_valid() and past.day:
        return past_claim(request, claim_id, past)
    claim = one_of(customers.claims_for_customer(actor), claim_id)
    declinable = can_decline(claim, now)
    return render(
        request,
        "claims/customer_claim.html",
        {
            "claim": claim,
            "conflicts": open_conflicts(claim),
            "is_approved": claim.status == ClaimStatus.APPROVED,
            "in_term": is_in_term(claim, now),
            "deadline": customers.deadline_of(claim),
            "can_decline": declinable,
            "may_decline": declinable and actor.may(Right.DECLINE_CLAIM),
            "items": timeline.items(actor, customers.events_of(actor, claim), here=True),
            "form": past,
            "as_of_form": past,
        },
        status=422 if past.errors else 200,
    )
