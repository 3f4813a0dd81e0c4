"""The pages of the staff: the queue of claims, one claim with the decision, and the interests of reviewers."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from associations.claims.actions import assigning, commenting, interests, reviewing
from associations.claims.actions.conflicts import open_conflicts
from associations.claims.actions.interests import marks_for_others, may_change
from associations.claims.actions.shared import one_of, parties_of
from associations.claims.forms.reviews import (
    AssignForm,
    DecideForm,
    InterestForm,
    QueueFilter,
    StaffCommentForm,
    StartForm,
)
from associations.claims.models import Claim
from associations.claims.queries import reviews
from associations.claims.queries.claims import comments_of, counts_of
from associations.claims.queries.proofs import proofs_of
from associations.claims.queries.steps import steps_of
from associations.claims.rules import CHECKLIST, CLAIM, PENDING, ClaimStatus, checklist, own_fields
from associations.claims.views.past import past_claim
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.web.filters import AsOfForm
from por.web.lists import Listing, claims_text
from por.web.pages import posted, render_page, submit

#: What a claim is after each decision.
DECIDED = {
    DecideForm.ASK: {ClaimStatus.ACTION_REQUIRED},
    DecideForm.APPROVE: {ClaimStatus.APPROVED},
    DecideForm.REJECT: {ClaimStatus.REJECTED, ClaimStatus.REJECTED_FINAL},
}


@require_safe
@only(OrganisationKind.STAFF)
def review_list(request: Request) -> HttpResponse:
    """Show the queue: the claim that is due first at the top."""
    actor = request.actor
    tabs = reviews.tabs(actor)
    shown = Listing(
        request,
        reviews.claims_for_queue(actor),
        order=reviews.BY_DUE,
        form=QueueFilter(request.GET),
        tabs=tabs,
        count_text=claims_text,
        counts=lambda: counts_of(Claim.objects.visible_to(actor), tabs),
    )
    rows = [
        (one, reviews.time_left(one.due_at) if one.status in PENDING else None, reviews.age_text(one.submitted_at))
        for one in shown.page.rows
    ]
    context = shown.context | {"rows": rows, "may_review": actor.may(Right.REVIEW_CLAIMS)}
    return render_page(request, "claims/staff_list.html", context, part="list", status=shown.status)


@require_safe
@only(OrganisationKind.STAFF, to=Right.REVIEW_CLAIMS)
def review_next(request: Request) -> HttpResponse:
    """Redirect to the claim that this reviewer should open next, or to the queue with a message."""
    return _next(request, after=None)


def _next(request: Request, *, after: int | None) -> HttpResponse:
    found = reviews.next_to_review(request.actor, after=after)
    if found is None:
        messages.info(request, _("No other claim waits for you."))
        return redirect("claims:review_list")
    return redirect("claims:review_claim", found.pk)


# --- One claim ------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def review_claim(request: Request, claim_id: int) -> HttpResponse:
    """Show the claim, or how it was at the end of a day."""
    past = AsOfForm(request.GET)
    if past.is_valid() and past.day:
        return past_claim(request, claim_id, past)
    return _show(request, claim_id, form=past, status=422 if past.errors else 200)


@posted("claims:review_claim")
@only(OrganisationKind.STAFF, to=Right.REVIEW_CLAIMS)
def review_start(request: Request, claim_id: int) -> HttpResponse:
    """Start the review. A second click changes nothing and gets the same answer."""
    form = StartForm(request.POST)
    sent = submit(
        form, lambda: reviewing.start_review(claim_id, by=request.actor, version=form.cleaned_data["version"])
    )
    if sent.is_done or sent.refused and _is_in(request.actor, claim_id, {ClaimStatus.UNDER_REVIEW}):
        return redirect("claims:review_claim", claim_id)
    return _show(request, claim_id, form=form, status=sent.status)


@posted("claims:review_claim")
@only(OrganisationKind.STAFF, to=Right.REVIEW_CLAIMS)
def review_decide(request: Request, claim_id: int) -> HttpResponse:
    """Ask, approve or reject; then show the claim, or the next one that waits. A second click changes nothing."""
    actor = request.actor
    form = DecideForm(reviewing.reasons_for(_get(actor, claim_id)), request.POST)

    def decide() -> Claim:
        given = form.cleaned_data
        common: dict[str, Any] = {"by": actor, "note": given["note"], "version": given["version"]}
        if given["decision"] == DecideForm.ASK:
            return reviewing.ask(claim_id, given["reasons"], **common)
        if given["decision"] == DecideForm.REJECT:
            return reviewing.reject(claim_id, given["reasons"], **common)
        return reviewing.approve(claim_id, disclosed=given["disclosed"], **common)

    sent = submit(form, decide)
    if sent.is_done:
        messages.success(request, _said(sent.result))
    elif not (sent.refused and _is_in(actor, claim_id, DECIDED[form.cleaned_data["decision"]])):
        return _show(request, claim_id, form=form, status=sent.status)
    if "next" in request.POST:
        return _next(request, after=claim_id)
    return redirect("claims:review_claim", claim_id)


def _said(claim: Claim) -> str:
    """Return what was decided, as the next page says it."""
    words = {
        ClaimStatus.ACTION_REQUIRED: _("Claim %(number)s now waits for the partner."),
        ClaimStatus.APPROVED: _("Claim %(number)s is approved."),
    }
    return words.get(ClaimStatus(claim.status), _("Claim %(number)s is rejected.")) % {"number": claim.number}


@posted("claims:review_claim")
@only(OrganisationKind.STAFF, to=Right.REVIEW_CLAIMS)
def review_assign(request: Request, claim_id: int) -> HttpResponse:
    """Give the claim to a reviewer."""
    form = AssignForm(assigning.reviewers(), request.POST, auto_id="assign_%s")
    sent = submit(form, lambda: assigning.assign(claim_id, form.cleaned_data["reviewer"], by=request.actor))
    if sent.is_done:
        messages.success(request, _("Assigned to %(name)s.") % {"name": sent.result.assigned_to})
        return redirect("claims:review_claim", claim_id)
    return _show(request, claim_id, form=form, status=sent.status)


@posted("claims:review_claim")
@only(OrganisationKind.STAFF, to=Right.REVIEW_CLAIMS)
def review_comment(request: Request, claim_id: int) -> HttpResponse:
    """Add a comment for the partner, or for staff alone."""
    form = StaffCommentForm(request.POST, auto_id="comment_%s")
    sent = submit(
        form,
        lambda: commenting.comment(
            claim_id, form.cleaned_data["text"], by=request.actor, internal=form.cleaned_data["internal"]
        ),
    )
    if sent.is_done:
        messages.success(request, _("Comment added."))
        return redirect("claims:review_claim", claim_id)
    return _show(request, claim_id, form=form, status=sent.status)


def _get(actor: Actor, claim_id: int) -> Claim:
    """Return the claim. Raises NotFound for a draft, which only its partner sees."""
    return one_of(reviews.claims_for_queue(actor), claim_id)


def _is_in(actor: Actor, claim_id: int, statuses: set[ClaimStatus]) -> bool:
    return Claim.objects.visible_to(actor).filter(pk=claim_id, status__in=statuses).exists()


def _show(
    request: Request,
    claim_id: int,
    *,
    form: StartForm | AssignForm | StaffCommentForm | AsOfForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the claim with all it has. `form` is the one that was sent, with its errors."""
    actor, claim = request.actor, _get(request.actor, claim_id)
    may_list = actor.may(Right.LIST_PROOFS)
    interest = reviews.interest_in(actor, parties_of([claim])) if actor.may(Right.REVIEW_CLAIMS) else None
    conflicts = open_conflicts(claim)
    possible = set(CLAIM.steps.get(claim.status, {})) if actor.may(Right.REVIEW_CLAIMS) and not interest else set()
    decisions = possible & ({DecideForm.ASK} if conflicts else {DecideForm.ASK, DecideForm.APPROVE, DecideForm.REJECT})
    reasons = reviewing.reasons_for(claim)
    decide = form if isinstance(form, DecideForm) else DecideForm(reasons)
    members = assigning.reviewers() if actor.may(Right.REVIEW_CLAIMS) and claim.status in PENDING else []
    assign = form if isinstance(form, AssignForm) else AssignForm(
        members, initial={"reviewer": claim.assigned_to_id or actor.user_id}, auto_id="assign_%s"
    )  # fmt: skip
    return render(
        request,
        "claims/staff_claim.html",
        {
            "claim": claim,
            "units": claim.units.select_related("subscription__sku", "association").order_by("pk"),
            "own": [(label, getattr(claim, name)) for name, label in own_fields(claim.program, claim.role).items()],
            "left": reviews.time_left(claim.due_at) if claim.status in PENDING else None,
            "checklist": checklist(claim.checked),
            "may_list": may_list,
            "proofs": proofs_of(claim) if may_list else [],
            "comments": comments_of(actor, claim),
            "items": steps_of(actor, claim),
            "conflicts": conflicts,
            "interest": interest,
            "form": form,
            "as_of_form": form if isinstance(form, AsOfForm) else AsOfForm({}),
            "may_start": "start review" in possible,
            "decisions": decisions,
            "decide_form": decide,
            "missing": [(one, one.label) for one in reasons if one in CHECKLIST],
            "other_reasons": [(one, one.label) for one in reasons if one not in CHECKLIST],
            "chosen": request.POST.getlist("reasons") if decide.is_bound else [],
            "opens_next": not decide.is_bound or "next" in request.POST,
            "needs_disclosure": reviewing.needs_disclosure(claim, actor.today),
            "assign_form": assign if members else None,
            "comment_form": (form if isinstance(form, StaffCommentForm) else StaffCommentForm(auto_id="comment_%s"))
            if claim.status not in commenting.CLOSED and actor.may(Right.REVIEW_CLAIMS)
            else None,
            "may_read_proofs": actor.may(Right.READ_PROOFS),
            "may_review": actor.may(Right.REVIEW_CLAIMS),
        },
        status=status,
    )


# --- Interests ------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.STAFF, to=Right.WRITE_INTEREST)
def interest_list(request: Request) -> HttpResponse:
    """Show the reader's interests, or as programme administrator those of all reviewers; mark one."""
    actor = request.actor
    members = assigning.reviewers() if marks_for_others(actor) else None
    status = 200
    if request.method == "POST":
        form = InterestForm(members, request.POST)

        def mark() -> object:
            given = form.cleaned_data
            return interests.mark(given["number"], by=actor, reviewer_id=given.get("reviewer"), note=given["note"])

        sent = submit(form, mark)
        if sent.is_done:
            messages.success(request, _("The interest is marked."))
            return redirect("claims:interest_list")
        status = sent.status
    else:
        form = InterestForm(members, initial={"number": request.GET.get("number", "")})
    shown = Listing(request, reviews.interests_for_listing(actor), order=("organisation__name", "pk"))
    context = shown.context | {
        "rows": [(one, may_change(one, actor)) for one in shown.page.rows],
        "form": form,
        "of_all": members is not None,
    }
    return render(request, "claims/staff_interests.html", context, status=status)


@posted("/a/interests/")
@only(OrganisationKind.STAFF, to=Right.WRITE_INTEREST)
def interest_remove(request: Request, interest_id: int) -> HttpResponse:
    interests.remove(interest_id, by=request.actor)
    messages.success(request, _("The interest is removed."))
    return redirect("claims:interest_list")
