"""The pages of conflicts: the lists, the reviewer's decision, the claimants' page, the customer's answer."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from associations.claims.actions import deciding
from associations.claims.actions.reviewing import needs_disclosure
from associations.claims.forms.conflicts import AnswerConflictForm, AskProofForm, DecideForm
from associations.claims.models import Conflict
from associations.claims.queries.conflicts import (
    BEFORE_ALL,
    DUE,
    VisibleConflict,
    conflict_for,
    mark_lead,
    next_to_decide,
    rule_on,
    sides_for_review,
    usage_months,
    visible_conflicts,
)
from associations.claims.rules import ConflictStatus
from associations.record import timeline
from associations.record.access import events_visible_to
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.errors import NotFound
from por.web.lists import Listing, ListTab, counted
from por.web.pages import NOT_YOURS, posted, submit

TABS = [
    ListTab("", gettext_lazy("Open"), lambda found: found.filter(status=ConflictStatus.OPEN), order=("due", "pk")),
    ListTab(
        "closed",
        gettext_lazy("Closed"),
        lambda found: found.exclude(status=ConflictStatus.OPEN),
        order=("-closed_at", "-pk"),
    ),
]


def _conflicts_text(count: int) -> str:
    return ngettext("%(n)s conflict", "%(n)s conflicts", count) % {"n": counted(count)}


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_conflict_list(request: Request) -> HttpResponse:
    return _list(request, "claims:customer_conflict")


@require_safe
@only(OrganisationKind.PARTNER)
def conflict_list(request: Request) -> HttpResponse:
    return _list(request, "claims:conflict")


@require_safe
@only(OrganisationKind.STAFF)
def review_conflict_list(request: Request) -> HttpResponse:
    return _list(request, "claims:review_conflict")


def _list(request: Request, page_of_one: str) -> HttpResponse:
    """Show the open ones, the one due first at the top, or the closed ones, newest first."""
    actor = request.actor
    found = Conflict.objects.visible_to(actor).for_listing().annotate(due=DUE)
    shown = Listing(request, found, order=("-pk",), tabs=TABS, count_text=_conflicts_text)
    visible = visible_conflicts(actor, shown.page.rows)
    rows = [(one, reverse(page_of_one, args=[one.conflict.pk])) for one in visible]
    return render(request, "claims/conflict_list.html", shown.context | {"rows": rows, "now": timezone.now()})


def _get_visible(actor: Actor, conflict_id: int, *, to: str = "") -> VisibleConflict:
    """Return the conflict. Raises NotFound if the actor may not see it, Forbidden without the right `to`."""
    found = conflict_for(actor, conflict_id)
    if found is None:
        raise NotFound("not_found", NOT_YOURS)
    if to:
        actor.require(to)
    return found


def _context(request: Request, visible: VisibleConflict) -> dict[str, Any]:
    """Return what all readers see of a conflict, with its events, newest first."""
    conflict = visible.conflict
    events = events_visible_to(request.actor).filter(object_kind="conflict", object_id=str(conflict.pk))
    return {
        "visible": visible,
        "conflict": conflict,
        "customer": conflict.customer,
        "is_open": conflict.status == ConflictStatus.OPEN,
        "now": timezone.now(),
        "items": timeline.items(request.actor, events.order_by("-id"), here=True),
    }


# --- The reviewer ---------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def review_conflict(request: Request, conflict_id: int) -> HttpResponse:
    return _to_reviewer(request, _get_visible(request.actor, conflict_id))


@posted("claims:review_conflict")
@only(OrganisationKind.STAFF)
def review_conflict_decide(request: Request, conflict_id: int) -> HttpResponse:
    """Decide, and open the conflict that is due next. A second click does the same and changes nothing.

    Where somebody else was faster, their decision is shown.
    """
    actor = request.actor
    visible = _get_visible(actor, conflict_id, to=Right.DECIDE_CONFLICTS)
    form = DecideForm(_verdicts(visible), visible.present, request.POST)
    sent = submit(
        form,
        lambda: deciding.decide(
            conflict_id,
            form.chosen,
            note=form.cleaned_data["note"],
            checklists=form.checklists,
            disclosed=form.cleaned_data["disclosed"],
            by=actor,
            version=form.cleaned_data["version"],
        ),
    )
    if not sent.is_done:
        if sent.refused is None:
            return _to_reviewer(request, visible, decide=form, status=sent.status)
        visible = _get_visible(actor, conflict_id)
        if not _is_decision(visible, form, actor):
            return _to_reviewer(request, visible, decide=form, status=sent.status)
    messages.success(request, _("Decided. We tell all sides and the customer."))
    following = next_to_decide(actor)
    if following is None:
        return redirect("claims:review_conflict_list")
    return redirect("claims:review_conflict", following.pk)


@posted("claims:review_conflict")
@only(OrganisationKind.STAFF)
def review_conflict_ask_customer(request: Request, conflict_id: int) -> HttpResponse:
    actor = request.actor
    visible = _get_visible(actor, conflict_id, to=Right.DECIDE_CONFLICTS)
    form = DecideForm(_verdicts(visible), visible.present)
    sent = submit(None, lambda: deciding.ask_customer(conflict_id, by=actor))
    if sent.refused is not None:
        refusal = str(sent.refused.message)
        return _to_reviewer(request, _get_visible(actor, conflict_id), decide=form, refusal=refusal, status=sent.status)
    messages.success(request, _("We have asked the customer which partner is doing the work."))
    return redirect("claims:review_conflict", conflict_id)


@posted("claims:review_conflict")
@only(OrganisationKind.STAFF)
def review_conflict_ask_proof(request: Request, conflict_id: int) -> HttpResponse:
    actor = request.actor
    visible = _get_visible(actor, conflict_id, to=Right.DECIDE_CONFLICTS)
    form = AskProofForm(visible.present, request.POST)
    sent = submit(
        form,
        lambda: deciding.ask_proof(conflict_id, form.cleaned_data["claim"], by=actor, note=form.cleaned_data["note"]),
    )
    if not sent.is_done:
        visible = _get_visible(actor, conflict_id) if sent.refused else visible
        return _to_reviewer(request, visible, ask=form, status=sent.status)
    messages.success(request, _("We have asked the partner for more proof."))
    return redirect("claims:review_conflict", conflict_id)


def _is_decision(visible: VisibleConflict, form: DecideForm, actor: Actor) -> bool:
    """Return whether this is already the decision: by the first of two clicks."""
    one, given = visible.conflict, form.cleaned_data
    decided = (one.decided_by_id, one.winner_id, one.note)
    return one.status == ConflictStatus.DECIDED and decided == (actor.user_id, form.chosen, given["note"])


def _verdicts(visible: VisibleConflict) -> list[tuple[str, str]]:
    """Return the choices of the decision in the order of the columns: the partners that still claim it, and none."""
    present = sorted(visible.present, key=lambda one: one.newest_proof_at or BEFORE_ALL, reverse=True)
    sides = [(str(one.claim.pk), one.claim.partner.organisation.name) for one in present]
    return [*sides, (DecideForm.NONE, _("No proof is enough"))]


def _to_reviewer(
    request: Request,
    visible: VisibleConflict,
    *,
    decide: DecideForm | None = None,
    ask: AskProofForm | None = None,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show the sides beside each other, those with the newest proof first, and the form of the decision."""
    actor, conflict = request.actor, visible.conflict
    context = _context(request, visible)
    day = (conflict.decided_at or timezone.now()).date()
    is_tie = mark_lead(visible, day)
    may_decide = context["is_open"] and actor.may(Right.DECIDE_CONFLICTS)
    form = decide or DecideForm(_verdicts(visible), visible.present, initial={"version": conflict.version})
    following = next_to_decide(actor, after=conflict) if may_decide else None
    months = usage_months(conflict)
    return render(
        request,
        "claims/staff_conflict.html",
        {
            **context,
            "sides": [(one, form.missing(one.visible)) for one in sides_for_review(visible)],
            "is_tie": is_tie,
            "rule": rule_on(day),
            "may_decide": may_decide,
            "may_read": actor.may(Right.READ_PROOFS),
            "form": next((one for one in (decide, ask) if one is not None and one.errors), None),
            "decide_form": form,
            "ask_form": ask or AskProofForm(visible.present),
            "needs_disclosure": any(needs_disclosure(one.claim, actor.today) for one in visible.present),
            "refusal": refusal,
            "following": following,
            "usage": months[-1] if months else None,
            "used": [active for _month, _paid, active in months],
        },
        status=status,
    )


# --- The claimants --------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.PARTNER)
def conflict(request: Request, conflict_id: int) -> HttpResponse:
    """Show a conflict to a claimant: of the others their names, and when each claimed and last sent proof."""
    visible = _get_visible(request.actor, conflict_id)
    return render(request, "claims/partner_conflict.html", _context(request, visible))


# --- The customer ---------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_conflict(request: Request, conflict_id: int) -> HttpResponse:
    return _to_customer(request, _get_visible(request.actor, conflict_id))


@posted("claims:customer_conflict")
@only(OrganisationKind.CUSTOMER)
def customer_conflict_answer(request: Request, conflict_id: int) -> HttpResponse:
    actor = request.actor
    visible = _get_visible(actor, conflict_id, to=Right.ANSWER_CONFLICT)
    form = AnswerConflictForm(_answers(visible), request.POST)
    sent = submit(
        form,
        lambda: deciding.answer(
            conflict_id, form.chosen, text=form.cleaned_data["text"], by=actor, version=form.cleaned_data["version"]
        ),
    )
    if not sent.is_done:
        if sent.refused is None:
            return _to_customer(request, visible, form=form, status=sent.status)
        visible = _get_visible(actor, conflict_id)
        if not _is_answer(visible, form, actor):
            return _to_customer(request, visible, form=form, status=sent.status)
    messages.success(request, _("The reviewer can read your answer. You can change it until the decision."))
    return redirect("claims:customer_conflict", conflict_id)


def _is_answer(visible: VisibleConflict, form: AnswerConflictForm, actor: Actor) -> bool:
    """Return whether this is already the answer: by the first of two clicks."""
    one = visible.answer
    if one is None:
        return False
    given = (actor.user_id, form.chosen, form.cleaned_data["text"])
    return (one.by_id, one.partner.mpn_id if one.partner else None, one.text) == given


def _answers(visible: VisibleConflict) -> list[tuple[str, str]]:
    sides = [(one.claim.partner.mpn_id, one.claim.partner.organisation.name) for one in visible.present]
    return [*sides, (AnswerConflictForm.NONE, _("None of them"))]


def _to_customer(
    request: Request, visible: VisibleConflict, *, form: AnswerConflictForm | None = None, status: int = 200
) -> HttpResponse:
    context = _context(request, visible)
    initial: dict[str, Any] = {"version": visible.conflict.version}
    if visible.answer is not None:
        partner = visible.answer.partner
        initial |= {"mpn_id": partner.mpn_id if partner else AnswerConflictForm.NONE, "text": visible.answer_text}
    return render(
        request,
        "claims/customer_conflict.html",
        {
            **context,
            "form": form,
            "answer_form": form or AnswerConflictForm(_answers(visible), initial=initial),
            "may_answer": context["is_open"] and request.actor.may(Right.ANSWER_CONFLICT),
        },
        status=status,
    )
