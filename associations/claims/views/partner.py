"""A partner's claims: the list, the page of one, its comments, and withdrawing it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.claims.actions import again, commenting, drafting
from associations.claims.actions.conflicts import open_conflicts
from associations.claims.actions.shared import units_of, visible
from associations.claims.exports import claims_csv
from associations.claims.forms.claims import ClaimFilter, CommentForm, WithdrawForm
from associations.claims.models import Claim
from associations.claims.policies import policy_of
from associations.claims.queries.as_of import as_then, claims_then, listed_then
from associations.claims.queries.claims import (
    as_partner_sees,
    claims_for_listing,
    comments_of,
    contested,
    contested_by_keys,
    counts_of,
    due_of,
    in_view,
)
from associations.claims.queries.migrated import approved_then, expiring, warning, without_proof
from associations.claims.queries.steps import steps_of
from associations.claims.queries.units import kept
from associations.claims.rules import CLAIM, ClaimStatus
from associations.claims.views.past import past_claim
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.web.filters import AsOfForm
from por.web.lists import Listing, ListTab, claims_text
from por.web.pages import as_of_context, posted, render_page, submit

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


def _tab(key: str, label: LazyText) -> ListTab:
    def shown(found: QuerySet[Claim]) -> QuerySet[Claim]:
        return in_view(found, key)

    return ListTab(key, label, shown)


WITHOUT_PROOF = "without_proof"
EXPIRING = "expiring"
CONTESTED = "contested"
WITHOUT_PROOF_TAB = ListTab(
    WITHOUT_PROOF, gettext_lazy("Migrated without proof"), lambda found: found.filter(without_proof())
)
TABS = [
    _tab("", gettext_lazy("All")),
    _tab("drafts", gettext_lazy("Drafts")),
    _tab("in_review", gettext_lazy("In review")),
    _tab("action_required", gettext_lazy("Action required")),
    _tab("approved", gettext_lazy("Approved")),
    WITHOUT_PROOF_TAB,
    ListTab(EXPIRING, gettext_lazy("Expiring"), lambda found: found.filter(expiring(timezone.localdate()))),
    ListTab(CONTESTED, gettext_lazy("Contested"), contested_by_keys, count=contested),
    _tab("ended", gettext_lazy("Rejected or ended")),
]


def _tabs_then(day: date) -> list[ListTab]:
    """Return the views of the list as of a day. The others are today's."""
    return [
        ListTab("", gettext_lazy("All"), lambda found: found),
        ListTab("approved", gettext_lazy("Approved"), lambda found: found.filter(approved_then(day))),
        ListTab(WITHOUT_PROOF, gettext_lazy("Migrated without proof"), lambda found: found.filter(without_proof(day))),
    ]


@require_safe
@only(OrganisationKind.PARTNER)
def partner_claim_list(request: Request) -> HttpResponseBase:
    """Show the claims of the company, newest first, or as they were on a day. The file has exactly those that match."""
    actor, form = request.actor, ClaimFilter(request.GET)
    day = form.day if form.is_valid() else None
    tabs = TABS if day is None else _tabs_then(day)
    all_claims = Claim.objects.visible_to(actor) if day is None else claims_then(actor, day)
    shown = Listing(
        request,
        claims_for_listing(actor) if day is None else listed_then(actor, day),
        order=("-pk",),
        tabs=tabs,
        form=form,
        count_text=claims_text,
        as_of_query="" if day is None else f"?as_of={day.isoformat()}",
        counts=lambda: counts_of(all_claims, tabs),
    )
    if shown.wants_csv:
        return claims_csv(shown.ordered, past=day is not None)
    rows = shown.page.rows if day is None else [as_then(one) for one in shown.page.rows]
    context = {
        **shown.context,
        **as_of_context(request, form),
        "rows": as_partner_sees(rows),
        "may_claim": day is None and actor.may(Right.WRITE_CLAIMS),
        "selectable": shown.tab is WITHOUT_PROOF_TAB and actor.may(Right.WRITE_PROOFS),
    }
    return render_page(request, "claims/partner_claim_list.html", context, part="list", status=shown.status)


@require_safe
@only(OrganisationKind.PARTNER)
def partner_claim(request: Request, claim_id: int) -> HttpResponse:
    """Show the claim, or how it was at the end of a day."""
    past = AsOfForm(request.GET)
    if past.is_valid() and past.day:
        return past_claim(request, claim_id, past)
    return to_partner(request, visible(claim_id, by=request.actor), past=past)


@posted("claims:claim")
@only(OrganisationKind.PARTNER)
def partner_claim_comment(request: Request, claim_id: int) -> HttpResponse:
    """Add a comment. The form has no version: a comment does not depend on what else has happened."""
    actor = request.actor
    claim = visible(claim_id, by=actor, to=Right.WRITE_CLAIMS)
    form = CommentForm(request.POST)
    sent = submit(form, lambda: commenting.comment(claim_id, form.cleaned_data["text"], by=actor))
    if sent.is_done:
        messages.success(request, _("Comment added. The reviewer can read it."))
        return redirect("claims:claim", claim_id)
    return to_partner(request, visible(claim.pk, by=actor), comment=form, status=sent.status)


@posted("claims:claim")
@only(OrganisationKind.PARTNER)
def partner_claim_withdraw(request: Request, claim_id: int) -> HttpResponse:
    """Withdraw a claim. A second click changes nothing and gets the same answer."""
    actor = request.actor
    visible(claim_id, by=actor, to=Right.WRITE_CLAIMS)
    form = WithdrawForm(request.POST)

    def withdraw() -> Claim:
        given = form.cleaned_data
        return drafting.withdraw(claim_id, by=actor, version=given["version"], note=given["note"])

    sent = submit(form, withdraw)
    claim = visible(claim_id, by=actor)
    if sent.is_done or (sent.refused and claim.status == ClaimStatus.WITHDRAWN):
        if sent.is_done:
            messages.success(request, _("Claim withdrawn."))
        return redirect("claims:claim", claim_id)
    return to_partner(request, claim, withdraw=form, status=sent.status)


def can_be_changed(claim: Claim) -> bool:
    """Return whether its partner can change the claim now."""
    return drafting.may_change(claim, policy_of(timezone.now()))


def to_partner(
    request: Request,
    claim: Claim,
    *,
    form: forms.Form | None = None,
    comment: CommentForm | None = None,
    withdraw: WithdrawForm | None = None,
    past: AsOfForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the page of a claim to its partner. A form that was sent has its errors; `past` has the day to look back."""
    actor, past = request.actor, past or AsOfForm({})
    may_write, may_list = actor.may(Right.WRITE_CLAIMS), actor.may(Right.LIST_PROOFS)
    is_sent = claim.submitted_at is not None
    context: dict[str, Any] = {
        "claim": claim,
        "form": form or comment or withdraw or past,
        "as_of_form": past,
        "units": [(unit, kept(claim, unit)) for unit in units_of(claim)],
        "due": due_of(claim),
        "warning": warning(claim, timezone.localdate()),
        "steps": steps_of(actor, claim),
        "conflicts": open_conflicts(claim),
        "may_list": may_list,
        "proofs": list(claim.proofs.order_by("-number")) if may_list else [],
        "comments": list(comments_of(actor, claim)),
        "may_comment": may_write and claim.status not in commenting.CLOSED,
        "comment_form": comment or CommentForm(),
        "withdraw_form": withdraw or WithdrawForm(initial={"version": claim.version}),
        "may_change": may_write and can_be_changed(claim),
        "may_withdraw": may_write and CLAIM.allows(claim.status, "withdraw"),
        "may_dispute": may_write and claim.status == ClaimStatus.REJECTED and bool(claim.due_at),
        "may_claim_again": may_write and is_sent and claim.status in again.OVER,
        "may_disassociate": claim.status == ClaimStatus.APPROVED and actor.may(Right.DISASSOCIATE),
    }
    return render(request, "claims/partner_claim.html", context, status=422 if past.errors else status)
