"""The pages on which a claim is declined, ended, disputed or made again. Each asks before it acts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from associations.claims.actions import again, ending
from associations.claims.actions.shared import one_of
from associations.claims.events.mails import until_text
from associations.claims.forms.endings import (
    DeclineForm,
    DisassociateForm,
    DisputeForm,
    EndByNumberForm,
    NumberForm,
)
from associations.claims.models import Claim
from associations.claims.rules import CLAIM, CONSENT, ClaimStatus, Consent
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.errors import Refused
from por.web.pages import Submission, submit

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

CUSTOMER_PAGE, PARTNER_PAGE = "claims:customer_claim", "claims:claim"
asks = require_http_methods(["GET", "HEAD", "POST"])


@asks
@only(OrganisationKind.CUSTOMER, to=Right.DECLINE_CLAIM)
def claim_decline(request: Request, claim_id: int) -> HttpResponse:
    """Ask whether the claim is declined; decline it. A second click changes nothing and gets the same answer."""
    claim = _visible(request, claim_id)
    form = DeclineForm(request.POST if request.method == "POST" else None)

    def decline() -> Claim:
        given = form.cleaned_data
        return ending.decline(claim_id, by=request.actor, note=given["reason"], version=given["version"])

    sent = submit(form, decline) if form.is_bound else None
    if sent is not None and (sent.is_done or _is_now(claim_id, ClaimStatus.ENDED)):
        if sent.is_done:
            messages.success(request, _("You declined the claim. We tell the partner."))
        return redirect(CUSTOMER_PAGE, claim_id)
    claim = _visible(request, claim_id)  # as the refusal has found it
    refusal = CLAIM.refusals[claim.status][1] if claim.status != ClaimStatus.APPROVED else None
    if refusal is None and not ending.can_decline(claim, timezone.now()):
        refusal = CONSENT.refusals[Consent.LAPSED][1]
    in_term = ending.is_in_term(claim, timezone.now())
    return _page(
        request,
        "claims/claim_decline.html",
        claim,
        form,
        sent,
        refusal=refusal,
        in_term=in_term,
        due=until_text(claim, claim.consent_due_at) if in_term and claim.consent_due_at else "",
    )


@asks
@only(OrganisationKind.PARTNER, to=Right.DISASSOCIATE)
def claim_disassociate(request: Request, claim_id: int) -> HttpResponse:
    """Ask why the claim is ended; end it. A second click changes nothing and gets the same answer."""
    claim = _visible(request, claim_id)
    form = DisassociateForm(request.POST if request.method == "POST" else None)

    def disassociate() -> Claim:
        given = form.cleaned_data
        return ending.disassociate(claim_id, given["reason"], by=request.actor, version=given["version"])

    return _partner(
        request,
        "claims/claim_disassociate.html",
        claim,
        form,
        disassociate,
        verb="disassociate",
        leads_to=ClaimStatus.ENDED,
        done=_("You ended the claim. We tell the customer."),
    )


@asks
@only(OrganisationKind.PARTNER, to=Right.WRITE_CLAIMS)
def claim_dispute(request: Request, claim_id: int) -> HttpResponse:
    """Ask why the claim should be approved; dispute its rejection. A second click gets the same answer."""
    claim = _visible(request, claim_id)
    form = DisputeForm(request.POST if request.method == "POST" else None)

    def dispute() -> Claim:
        given = form.cleaned_data
        return again.dispute(claim_id, given["text"], by=request.actor, version=given["version"])

    return _partner(
        request,
        "claims/claim_dispute.html",
        claim,
        form,
        dispute,
        verb="dispute",
        leads_to=ClaimStatus.DISPUTED,
        done=_("You disputed the rejection. A reviewer looks at the claim again."),
        due=until_text(claim, claim.due_at) if claim.status == ClaimStatus.REJECTED and claim.due_at else "",
    )


@asks
@only(OrganisationKind.PARTNER, to=Right.WRITE_CLAIMS)
def claim_again(request: Request, claim_id: int) -> HttpResponse:
    """Ask whether a new draft is made from a claim that is over; make it, and show it."""
    claim = _visible(request, claim_id)
    sent = submit(None, lambda: again.claim_again(claim_id, by=request.actor)) if request.method == "POST" else None
    if sent is not None and sent.is_done:
        messages.success(request, _("A new draft is filled in as the old claim was. Check it, and add proof."))
        return redirect(PARTNER_PAGE, sent.result.pk)
    refusal: LazyText | str | None = None if claim.status in again.OVER else CLAIM.refusals[claim.status][1]
    if sent is not None and sent.refused is not None:
        refusal = sent.refused.message
    return _page(request, "claims/claim_again.html", claim, None, sent, refusal=refusal)


def _partner(
    request: Request,
    template: str,
    claim: Claim,
    form: forms.Form,
    verb_of_form: Callable[[], Claim],
    *,
    verb: str,
    leads_to: ClaimStatus,
    done: str,
    **context: Any,
) -> HttpResponse:
    sent = submit(form, verb_of_form) if form.is_bound else None
    if sent is not None and (sent.is_done or _is_now(claim.pk, leads_to)):
        if sent.is_done:
            messages.success(request, done)
        return redirect(PARTNER_PAGE, claim.pk)
    claim = _visible(request, claim.pk)  # as the refusal has found it
    refusal = None if CLAIM.allows(claim.status, verb) else CLAIM.refusals[claim.status][1]
    return _page(request, template, claim, form, sent, refusal=refusal, **context)


def _is_now(claim_id: int, status: ClaimStatus) -> bool:
    """Return whether an earlier click, or a colleague, has brought the claim where this one leads."""
    return Claim.objects.filter(pk=claim_id, status=status).exists()


def _visible(request: Request, claim_id: int) -> Claim:
    return one_of(Claim.objects.visible_to(request.actor).for_listing(), claim_id)


def _page(
    request: Request, template: str, claim: Claim, form: forms.Form | None, sent: Submission[Any] | None, **context: Any
) -> HttpResponse:
    """Show the question, or why there is nothing to ask. The form has the version of the claim as it is now."""
    shown = {"claim": claim, "ask_form": form, "form": form if form is not None and form.errors else None}
    return render(request, template, shown | context, status=sent.status if sent is not None else 200)


# --- Support --------------------------------------------------------------------------------------------------------


@asks
@only(OrganisationKind.STAFF, to=Right.END_CLAIM_BY_NUMBER)
def claim_end(request: Request) -> HttpResponse:
    """Show what the number of a claim would end; end it once a reason is given."""
    if request.method == "POST":
        return _end(request)
    form = NumberForm(request.GET if "number" in request.GET else None)
    sent = submit(form, lambda: ending.find_by_number(form.cleaned_data["number"], by=request.actor), reword=_at_number)
    claim = sent.result if form.is_bound and sent.is_done else None
    end = EndByNumberForm(initial={"number": claim.number, "version": claim.version}) if claim else None
    return _end_page(request, form, claim, end, status=sent.status if form.is_bound else 200)


def _end(request: Request) -> HttpResponse:
    form = EndByNumberForm(request.POST)

    def end() -> Claim:
        given = form.cleaned_data
        return ending.end_by_number(given["number"], given["reason"], given["version"], by=request.actor)

    sent = submit(form, end)
    if sent.is_done:
        text = _("The claim %(number)s has ended. We tell the partner and the customer.")
        messages.success(request, text % {"number": sent.result.number})
        return redirect("claims:claim_end")
    number = form["number"].value() or ""
    if Claim.objects.filter(number=number, status=ClaimStatus.ENDED).exists():  # an earlier click has ended it
        return redirect("claims:claim_end")
    claim = None
    with suppress(Refused):
        claim = ending.find_by_number(number, by=request.actor)
    return _end_page(request, NumberForm(initial={"number": number}), claim, form, status=sent.status)


def _at_number(refused: Refused) -> Refused:
    return Refused(refused.code, refused.message, field="number") if type(refused) is Refused else refused


def _end_page(
    request: Request, form: NumberForm, claim: Claim | None, end: EndByNumberForm | None, *, status: int
) -> HttpResponse:
    wrong = next((one for one in (form, end) if one is not None and one.is_bound and one.errors), None)
    context = {"number_form": form, "claim": claim, "end_form": end, "form": wrong}
    return render(request, "claims/claim_end.html", context, status=status)
