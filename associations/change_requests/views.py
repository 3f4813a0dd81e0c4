"""The pages of change requests: the lists, the customer's answer, the partners' statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from associations.change_requests import actions as change_requests
from associations.change_requests.events import AnswerEvent, ChangeRequestEvent
from associations.change_requests.forms import AnswerForm, ForwardForm, StatementForm
from associations.change_requests.queries import (
    VisibleRequest,
    left_by_move,
    requests_for_listing,
    told_of_answer,
    told_of_open,
    undoable,
    visible_requests,
    work_of,
)
from associations.change_requests.rules import ChangeStatus
from associations.record import queries, timeline
from associations.record.access import subscriptions_visible_to
from associations.record.holdings import holdings
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor, Membership
from por.accounts.rules import OrganisationKind, Right
from por.errors import NotFound
from por.history.models import Event
from por.notifications.queries import mail_is_late
from por.web.lists import Listing, ListTab, counted
from por.web.pages import NOT_YOURS, posted, submit

TABS = [
    ListTab("", gettext_lazy("Open"), lambda found: found.filter(status=ChangeStatus.OPEN), order=("due_at", "pk")),
    ListTab(
        "closed",
        gettext_lazy("Closed"),
        lambda found: found.exclude(status=ChangeStatus.OPEN),
        order=("-closed_at", "-pk"),
    ),
]


def _requests_text(count: int) -> str:
    return ngettext("%(n)s change request", "%(n)s change requests", count) % {"n": counted(count)}


@require_safe
@only(OrganisationKind.CUSTOMER)
def change_request_list(request: Request) -> HttpResponse:
    return _list(request, "associations:change_request")


@require_safe
@only(OrganisationKind.PARTNER)
def partner_change_request_list(request: Request) -> HttpResponse:
    return _list(request, "associations:partner_change_request")


@require_safe
@only(OrganisationKind.STAFF)
def staff_change_request_list(request: Request) -> HttpResponse:
    return _list(request, "associations:staff_change_request")


def _list(request: Request, page_of_one: str) -> HttpResponse:
    """Show the open ones, the one due first at the top, or the closed ones, newest first."""
    actor = request.actor
    shown = Listing(request, requests_for_listing(actor), order=("-pk",), tabs=TABS, count_text=_requests_text)
    found = visible_requests(actor, shown.page.rows)
    rows = [(one, reverse(page_of_one, args=[one.request.pk])) for one in found]
    return render(request, "change_requests/change_request_list.html", shown.context | {"rows": rows})


# --- The customer ---------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.CUSTOMER)
def change_request(request: Request, request_id: int) -> HttpResponse:
    return _to_customer(request, _get_visible(request.actor, request_id))


@posted("associations:change_request")
@only(OrganisationKind.CUSTOMER)
def change_request_answer(request: Request, request_id: int) -> HttpResponse:
    """Answer. A second click on the same answer shows the same page and changes nothing."""
    actor = request.actor
    visible = _get_visible(actor, request_id, to=Right.ANSWER_CHANGE_REQUEST)
    form = AnswerForm(_answers(visible), request.POST)

    def answer() -> object:
        given = form.cleaned_data
        return change_requests.answer(
            request_id, form.chosen, by=actor, statement=given["statement"], version=given["version"]
        )

    sent = submit(form, answer)
    if sent.is_done:
        return _back(request_id)
    if sent.refused is None:
        return _to_customer(request, visible, answer=form, status=sent.status)
    visible = _get_visible(actor, request_id)
    if _is_answer(visible, form.chosen):
        return _back(request_id)
    return _to_customer(request, visible, answer=form, seen=form.cleaned_data["version"], status=sent.status)


@posted("associations:change_request")
@only(OrganisationKind.CUSTOMER)
def change_request_forward(request: Request, request_id: int) -> HttpResponse:
    """Forward the change request to a colleague."""
    actor = request.actor
    visible = _get_visible(actor, request_id, to=Right.ANSWER_CHANGE_REQUEST)
    form = ForwardForm(_colleagues(actor), request.POST)
    sent = submit(
        form,
        lambda: change_requests.forward(
            request_id, form.cleaned_data["member"], by=actor, note=form.cleaned_data["note"]
        ),
    )
    if sent.is_done:
        messages.success(request, _("Forwarded. We will email %(name)s.") % {"name": sent.result.user})
        return redirect("associations:change_request", request_id)
    if sent.refused:
        visible = _get_visible(actor, request_id)
    return _to_customer(request, visible, forward=form, status=sent.status)


def _get_visible(actor: Actor, request_id: int, *, to: str = "") -> VisibleRequest:
    """Return the change request. Raises NotFound if the actor may not see it, Forbidden without the right `to`."""
    found = requests_for_listing(actor).filter(pk=request_id).first()
    if found is None:
        raise NotFound("not_found", NOT_YOURS)
    if to:
        actor.require(to)
    return visible_requests(actor, [found])[0]


def _is_answer(visible: VisibleRequest, mpn_id: str | None) -> bool:
    """Return whether this is already the answer: by the first of two clicks, or by a colleague."""
    given = visible.request.chosen
    return visible.request.status == ChangeStatus.ANSWERED and mpn_id == (given and given.mpn_id)


def _back(request_id: int) -> HttpResponse:
    """Redirect to the page of the change request, where a banner shows the answer and how to undo it."""
    return redirect(reverse("associations:change_request", args=[request_id]) + "#done")


def _answers(visible: VisibleRequest) -> list[tuple[str, str]]:
    """Return the choices, each with its effect on the record."""
    incumbent = visible.incumbent.partner
    effects = [
        (incumbent.mpn_id, incumbent.organisation.name, _("Stays your partner of record.")),
        *(
            (
                one.partner.mpn_id,
                one.partner.organisation.name,
                _("Replaces %(holder)s as your partner of record immediately.")
                % {"holder": incumbent.organisation.name},
            )
            for one in visible.challengers
        ),
        (
            AnswerForm.NEITHER,
            _("Neither"),
            _("The subscription then has no partner of record until you attach one again."),
        ),
    ]
    return [(key, format_html('<b>{}</b><span class="hint">{}</span>', *texts)) for key, *texts in effects]


def _colleagues(actor: Actor) -> Iterable[Membership]:
    """Return the members to whom the actor can forward a change request."""
    members = Membership.objects.usable().filter(organisation=actor.organisation_id)
    return members.exclude(user=actor.user).order_by("user__name", "pk")


#: The events that give a change request a new version.
CHANGES = [ChangeRequestEvent.JOINED, ChangeRequestEvent.STATED, *AnswerEvent]


def _to_customer(
    request: Request,
    visible: VisibleRequest,
    *,
    answer: AnswerForm | None = None,
    forward: ForwardForm | None = None,
    seen: int | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the page of a change request. `seen` is the version that was answered, if there is a newer one."""
    actor, change = request.actor, visible.request
    subscription = change.subscription
    is_open = change.status == ChangeStatus.OPEN
    may_answer = is_open and actor.may(Right.ANSWER_CHANGE_REQUEST)
    requests = change_requests.requests_of(subscription) if change.status == ChangeStatus.ANSWERED else []
    last = undoable(actor, subscription, requests) if requests else None
    if last is not None and (last.request is None or last.request.pk != change.pk):
        last = None
    work, usage_now = work_of(actor, visible)
    context = _context(request, visible)
    events: list[Event] = context["events"]
    since = [event for event in events if event.verb in CHANGES][: change.version - seen] if seen is not None else []
    sent = [form for form in (answer, forward) if form is not None and form.errors]
    return render(
        request,
        "change_requests/change_request.html",
        {
            **context,
            "form": sent[0] if sent else None,
            "usage_now": usage_now,
            "sides": [(side, work[side.partner.pk]) for side in visible.sides],
            "may_answer": may_answer,
            "answer_form": answer or AnswerForm(_answers(visible)),
            "forward_form": forward or ForwardForm(_colleagues(actor) if may_answer else []),
            "since": timeline.items(actor, since, here=True),
            "last": last,
            "told": told_of_answer(change) if last else told_of_open(change) if may_answer else [],
            "rest": holdings(last.ended.partner, [subscription]) if last and last.ended else None,
            "mail_is_late": last is not None and mail_is_late(),
        },
        status=status,
    )


def _context(request: Request, visible: VisibleRequest) -> dict[str, Any]:
    """Return what customer and partners see of a change request, with its events, newest first."""
    change = visible.request
    events = list(
        queries.subscription_events(request.actor, change.subscription)
        .filter(changes__change_request=change.pk)
        .order_by("-id")
    )
    return {
        "question": visible,
        "change": change,
        "subscription": change.subscription,
        "is_open": change.status == ChangeStatus.OPEN,
        "events": events,
        "items": timeline.items(request.actor, events, here=True),
    }


# --- The partners ---------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.PARTNER)
def partner_change_request(request: Request, request_id: int) -> HttpResponse:
    """Show the change request to a party. A location that the record has left meanwhile is led to the subscription."""
    try:
        visible = _get_visible(request.actor, request_id)
    except NotFound:
        if former := left_by_move(request.actor, request_id):
            return redirect("associations:partner_subscription_detail", former.subscription_id)
        raise
    return _to_partner(request, visible)


@posted("associations:partner_change_request")
@only(OrganisationKind.PARTNER)
def partner_change_request_state(request: Request, request_id: int) -> HttpResponse:
    """Save the statement of a party.

    The form has no version: a statement of another partner would make it out of date, and no partner may notice that.
    """
    actor = request.actor
    visible = _get_visible(actor, request_id, to=Right.SUBMIT_STATEMENT)
    form = StatementForm(request.POST)
    sent = submit(form, lambda: change_requests.submit_statement(request_id, form.cleaned_data["text"], by=actor))
    if sent.is_done:
        messages.success(request, _("The customer can now read what you do for them."))
        return redirect("associations:partner_change_request", request_id)
    if sent.refused:
        visible = _get_visible(actor, request_id)
    return _to_partner(request, visible, form=form, status=sent.status)


def _to_partner(
    request: Request, visible: VisibleRequest, *, form: StatementForm | None = None, status: int = 200
) -> HttpResponse:
    """Show the page of a change request to a party, which may not be allowed to see the subscription itself."""
    actor = request.actor
    statement = visible.own.statement.text if visible.own and visible.own.statement else ""
    context = _context(request, visible)
    subscriptions = subscriptions_visible_to(actor).filter(pk=visible.request.subscription_id)
    return render(
        request,
        "change_requests/partner_change_request.html",
        {
            **context,
            "form": form,
            "statement_form": form or StatementForm(initial={"text": statement}),
            "may_state": context["is_open"] and actor.may(Right.SUBMIT_STATEMENT),
            "subscription_is_theirs": subscriptions.exists(),
        },
        status=status,
    )


# --- Staff ----------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def staff_change_request(request: Request, request_id: int) -> HttpResponse:
    """Show a change request with the statements of all parties. Only the customer can answer it."""
    visible = _get_visible(request.actor, request_id)
    return render(request, "change_requests/staff_change_request.html", _context(request, visible))
