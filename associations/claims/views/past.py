"""One claim as it was at the end of a day: a page that each of its readers has, and on which nothing can be changed."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from associations.claims.models import Claim
from associations.claims.queries import as_of, customers
from associations.claims.queries.claims import due_of, may_read_all, proved_at
from associations.claims.queries.steps import steps_of
from associations.claims.rules import Outcome, Turn
from associations.record import timeline
from associations.record.models import end_of
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.web.filters import AsOfForm
from por.web.pages import as_of_context

#: The list that each reader comes from.
LISTS = {
    OrganisationKind.CUSTOMER: "claims:customer_claim_list",
    OrganisationKind.PARTNER: "claims:claim_list",
    OrganisationKind.STAFF: "claims:review_list",
}


def past_claim(request: Request, claim_id: int, form: AsOfForm) -> HttpResponse:
    """Show the claim as it was at the end of the day of a valid form. Raises NotFound if the reader saw none then."""
    actor, day = request.actor, form.day
    assert day is not None
    claim = as_of.claim_then(actor, claim_id, day)
    reads_all = may_read_all(actor)
    context: dict[str, Any] = {
        "claim": claim,
        "list_url": LISTS[OrganisationKind(actor.kind)],
        "reads_all": reads_all,
        "due": due_of(claim) if reads_all or claim.turn == Turn.CUSTOMER else None,
        "contested": bool(claim.sides.all()),
        "units": [(unit, outcome and Outcome(outcome).label) for unit, outcome in as_of.units_then(claim, day)],
        "proofs": list(claim.proofs.all()) if actor.may(Right.LIST_PROOFS) else None,
        "newest_proof_at": proved_at(claim),
        "items": _items(actor, claim, form),
        **as_of_context(request, form),
    }
    return render(request, "claims/past_claim.html", context)


def _items(actor: Actor, claim: Claim, form: AsOfForm) -> list[Any]:
    """Return what had happened by then: the steps, or for a customer the events that it may read."""
    assert form.day is not None
    end = end_of(form.day)
    if may_read_all(actor):
        return steps_of(actor, claim, before=end)
    return list(timeline.items(actor, customers.events_of(actor, claim).filter(at__lt=end), here=True))
