"""Invitations: the partner sends and withdraws them, the customer accepts, declines or reports them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from associations.attaching.views.several import meaning, prospects
from associations.attaching.views.shared import is_told_of_end
from associations.change_requests.queries import told
from associations.delegated_admin.actions import is_administrator
from associations.invitations import actions
from associations.invitations.events import ACCEPTED, DECLINED, SENT
from associations.invitations.exports import invitations_csv
from associations.invitations.forms import AcceptForm, DeclineForm, InvitationFilter, InviteForm, ReportForm
from associations.invitations.models import Invitation
from associations.invitations.queries import invitations_for_listing, seen
from associations.invitations.rules import InvitationStatus
from associations.record import queries, timeline
from associations.record.access import customers_visible_to, events_visible_to, subscriptions_visible_to
from associations.record.former import show_as_seen
from associations.record.holdings import holdings
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.queries import BY_PRODUCT
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.db.locks import statement_timeout
from por.directory.forms import CustomerFilter
from por.directory.models import Customer, Partner, Subscription
from por.errors import NotFound, Refused
from por.notifications.actions.notifying import Reach, reach_of
from por.notifications.messages import Mail
from por.web.filters import guids_for
from por.web.lists import Listing, counted
from por.web.pages import NOT_YOURS, posted, render_page, submit

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: What the partner is told of an answer.
ANSWERS: dict[str, Mail] = {
    InvitationStatus.ACCEPTED: ACCEPTED,
    InvitationStatus.DECLINED: DECLINED,
    InvitationStatus.REPORTED: DECLINED,
}
FEW = 5  # customers to choose from; the others are found by the search
SOME = 100  # subscriptions of a customer to choose from; the ids of others can be pasted

#: Why an accepted subscription got no partner, by the stored code of the refusal.
REFUSALS = {
    "subscription_expired": gettext_lazy("The subscription had expired."),
    "subscription_suspended": gettext_lazy("The subscription was not active."),
}


@dataclass(frozen=True)
class Line:
    """A subscription of an invitation with its outcome, or the expected one, and a message about it."""

    subscription: Subscription
    code: str
    sentence: str | LazyText = ""
    url: str = ""  # the page of the subscription, if the reader may open it


def _invitations_text(count: int) -> str:
    return ngettext("%(n)s invitation", "%(n)s invitations", count) % {"n": counted(count)}


def _list(request: Request, page_of_one: str) -> HttpResponseBase:
    actor = request.actor
    shown = Listing(
        request,
        invitations_for_listing(actor),
        order=("-pk",),
        form=InvitationFilter(request.GET, actor=actor),
        count_text=_invitations_text,
    )
    if shown.wants_csv:
        return invitations_csv(actor, shown.ordered)
    rows = [(seen(actor, one), reverse(page_of_one, args=[one.invitation_id])) for one in shown.page.rows]
    context = shown.context | {"rows": rows, "may_invite": actor.may(Right.INVITE)}
    return render_page(request, "invitations/invitation_list.html", context, part="list", status=shown.status)


def _get_visible(actor: Actor, invitation_id: uuid.UUID, *, to: Right | None = None) -> Invitation:
    """Return the invitation. Raise NotFound if the actor may not see it, or Forbidden without the right `to`."""
    found = invitations_for_listing(actor).filter(invitation_id=invitation_id).first()
    if found is None:
        raise NotFound("not_found", NOT_YOURS)
    if to:
        actor.require(to)
    return found


def _events(actor: Actor, invitation: Invitation) -> list[timeline.Item]:
    about = {"object_kind": "invitation", "object_id": str(invitation.invitation_id)}
    return timeline.items(actor, events_visible_to(actor).filter(**about).order_by("-id"), here=True)


# --- The customer ---------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.CUSTOMER)
def invitation_list(request: Request) -> HttpResponseBase:
    return _list(request, "associations:invitation")


@require_safe
@only(OrganisationKind.CUSTOMER)
def invitation(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    """Show the invitation, where the link of the mail leads. This alone does not count as opening it."""
    return _to_customer(request, _get_visible(request.actor, invitation_id))


@posted("associations:invitation")
@only(OrganisationKind.CUSTOMER)
def invitation_opened(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    """Note that the page was shown: the page sends this, so that fetching the link does not count as opening it."""
    _get_visible(request.actor, invitation_id)
    with suppress(Refused):  # it has just expired, which a reader need not be told
        actions.note_opened(invitation_id, by=request.actor)
    return HttpResponse(status=204)


@posted("associations:invitation")
@only(OrganisationKind.CUSTOMER)
def invitation_accept(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    def accept(given: dict[str, Any]) -> None:
        chosen, administers = given["subscription_ids"], given["delegated_admin"]
        actions.accept(invitation_id, chosen, by=request.actor, delegated_admin=administers)

    return _answer(request, invitation_id, AcceptForm(request.POST), accept, InvitationStatus.ACCEPTED)


@posted("associations:invitation")
@only(OrganisationKind.CUSTOMER)
def invitation_decline(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    def decline(given: dict[str, Any]) -> None:
        actions.decline(invitation_id, by=request.actor, reason=given["reason"])

    form = DeclineForm(request.POST, auto_id="decline_%s")
    return _answer(request, invitation_id, form, decline, InvitationStatus.DECLINED)


@posted("associations:invitation")
@only(OrganisationKind.CUSTOMER)
def invitation_report(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    def report(given: dict[str, Any]) -> None:
        actions.report(invitation_id, by=request.actor, reason=given["reason"])

    form = ReportForm(request.POST, auto_id="report_%s")
    return _answer(request, invitation_id, form, report, InvitationStatus.REPORTED)


def _answer(
    request: Request,
    invitation_id: uuid.UUID,
    form: forms.Form,
    verb: Callable[[dict[str, Any]], None],
    wanted: InvitationStatus,
) -> HttpResponse:
    """Answer the invitation. A second click changes nothing and gets the same response."""
    actor = request.actor
    found = _get_visible(actor, invitation_id, to=Right.ANSWER_INVITATION)
    sent = submit(form, lambda: verb(form.cleaned_data))
    if sent.is_done:
        return _back(invitation_id)
    if sent.refused:
        found = _get_visible(actor, invitation_id)
        if found.status == wanted:
            return _back(invitation_id)
    return _to_customer(request, found, form, status=sent.status)


def _back(invitation_id: uuid.UUID) -> HttpResponse:
    """Redirect to the invitation's page, which shows what was done."""
    return redirect(reverse("associations:invitation", args=[invitation_id]) + "#done")


def _to_customer(
    request: Request, found: Invitation, form: forms.Form | None = None, *, status: int = 200
) -> HttpResponse:
    """Show the invitation to the customer. `form` is the one that was sent, with its errors."""
    actor, shown = request.actor, seen(request.actor, found)
    invited = {row.subscription_id: row for row in found.invited.all()}
    subscriptions = list(queries.subscriptions_for_listing(actor).filter(pk__in=invited).order_by(*BY_PRODUCT))
    effects: list[Any] = []
    if shown.is_open:
        outcomes = prospects(queries.rows(actor, subscriptions), found.partner)
        lines = [Line(one.subscription, one.code, one.message) for one in outcomes]
        if any(one.code in {"free", "moves"} for one in outcomes):
            effects = meaning(found.partner, outcomes)
    else:
        lines = []
        for one in subscriptions:
            row = invited[one.pk]
            lines.append(Line(one, row.outcome, REFUSALS.get(row.code, "")))
    choosable = [line for line in lines if shown.is_open and line.code in {"free", "moves", "change_requested"}]
    can_be_chosen = [str(line.subscription.subscription_id) for line in choosable]
    accept = form if isinstance(form, AcceptForm) else None
    return render(
        request,
        "invitations/invitation_detail.html",
        {
            "invitation": found,
            "shown": shown,
            "partner": found.partner,
            "form": form,
            "lines": lines,
            "choosable": can_be_chosen,
            "chosen": request.POST.getlist("subscription_ids") if accept is not None else can_be_chosen,
            "accept_form": accept or AcceptForm(),
            "decline_form": form if isinstance(form, DeclineForm) else DeclineForm(auto_id="decline_%s"),
            "report_form": form if isinstance(form, ReportForm) else ReportForm(auto_id="report_%s"),
            "may_administer": found.asks_to_administer and not is_administrator(found.customer, found.partner),
            "said": effects,
            "holdings": holdings(found.partner, subscriptions) if effects else None,
            "told_of_end": not effects or is_told_of_end(found.partner),
            "told": told({found.partner: message}) if (message := ANSWERS.get(found.status)) else [],
            "may_answer": shown.is_open and actor.may(Right.ANSWER_INVITATION),
            "attached": sum(line.code == "attached" for line in lines),
            "asked": any(line.code == "change_requested" for line in lines),
            "events": _events(actor, found),
        },
        status=status,
    )


# --- The partner ----------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.PARTNER)
def partner_invitation_list(request: Request) -> HttpResponseBase:
    return _list(request, "associations:partner_invitation")


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.INVITE)
def invite(request: Request) -> HttpResponse:
    """Show a form that the address may fill in, then what the customer will see; send the invitation once confirmed."""
    actor = request.actor
    sender = Partner.objects.select_related("organisation").get(pk=actor.organisation_id)
    status, confirmed = 200, False
    tenant = (request.POST or request.GET).get("tenant_id", "")
    customer, choices = _to_choose_from(actor, tenant)
    known = [one.subscription_id for one in choices]
    find = CustomerFilter(request.GET)
    if request.method == "POST":
        form = InviteForm(request.POST, known=known, tenants=lambda: _tenants(actor))
        confirmed = form.is_valid() and request.POST.get("step") != "edit"
        status = 422 if form.errors else 200
        if confirmed and request.POST.get("step") == "send":
            sent = submit(form, lambda: _invite(actor, form))
            if sent.is_done:
                messages.success(request, _SENT[_reach(sent.result)])
            if found := sent.result if sent.is_done else _already(actor, form):
                return redirect("associations:partner_invitation", found.invitation_id)
            status, confirmed = sent.status, False
        given = request.POST.getlist("subscription")
    else:
        given = request.GET.getlist("subscription")
        pasted = "\n".join(one for one in given if one.lower() not in set(map(str, known)))
        form = InviteForm(initial={"tenant_id": tenant, "subscription_ids": pasted})
    chooses = customer is None and not form.is_bound
    if chooses and not find.is_valid():
        status = 422
    now = timezone.now()
    return render(
        request,
        "invitations/invitation_new.html",
        {
            "form": find if chooses and find.errors else form,
            "invite_form": form,
            "find": find,
            "customers": _known_customers(actor, find) if chooses and find.is_valid() else [],
            "chooses": chooses,
            "sender": sender,
            "customer": customer,
            "choices": choices,
            "chosen": {one.lower() for one in given},
            "confirmed": confirmed,
            "wanted": _named(actor, form) if confirmed else [],
            "until": actions.deadline_of(customer.organisation.time_zone, now) if customer else None,
            "days": policy_on(timezone.localdate()).invitation_days,
        },
        status=status,
    )


def _known_customers(actor: Actor, find: CustomerFilter) -> list[Customer]:
    """Return the customers that the partner knows and that match the search, as many as are shown and one more."""
    found = find.apply(customers_visible_to(actor), actor).select_related("organisation")
    with statement_timeout():
        return list(found.order_by("organisation__name", "pk")[: FEW + 1])


#: What the sender reads, by how the invitation reaches the customer.
_SENT = {
    Reach.MAIL: gettext_lazy("Invitation sent. We will email the customer’s administrators."),
    Reach.INBOX: gettext_lazy("Invitation sent. The customer’s administrators can read it in the inbox here."),
    Reach.NO_ONE: gettext_lazy(
        "Invitation saved, but we cannot tell anyone: the customer has no administrator here and no contact address. "
        "Send them the link yourself."
    ),
}


def _reach(invitation: Invitation) -> Reach:
    """Return how the invitation reaches the customer."""
    return reach_of({invitation.customer_id: SENT})[invitation.customer_id]


def _invite(actor: Actor, form: InviteForm) -> Invitation:
    given = form.cleaned_data
    return actions.invite(
        given["tenant_id"],
        form.wanted,
        by=actor,
        message=given["message"],
        delegated_admin=given["delegated_admin"],
    )


def _to_choose_from(actor: Actor, tenant: str) -> tuple[Customer | None, list[Subscription]]:
    """Return the customer, if the partner may know it, and its subscriptions that the partner could ask for."""
    meant = guids_for(tenant, lambda: _tenants(actor))
    if len(meant) != 1:
        return None, []
    customer = customers_visible_to(actor).select_related("organisation").filter(tenant_id=meant[0]).first()
    if customer is None:
        return None, []
    held = Association.objects.open().of_record().filter(partner=actor.organisation_id, subscription=OuterRef("pk"))
    found = queries.subscriptions_for_listing(actor).filter(~Exists(held), customer=customer)
    choices = list(found.exclude(status=Subscription.Status.EXPIRED).order_by(*BY_PRODUCT)[:SOME])
    show_as_seen(actor, choices)
    return customer, choices


def _tenants(actor: Actor) -> list[uuid.UUID]:
    """Return the tenant IDs of the customers that the partner knows, in their order."""
    return sorted(customers_visible_to(actor).values_list("tenant_id", flat=True))


def _named(actor: Actor, form: InviteForm) -> list[tuple[str, Subscription | None]]:
    """Return each id that was entered, with its subscription if the partner may see it already."""
    visible = subscriptions_visible_to(actor).filter(
        customer__tenant_id=form.cleaned_data["tenant_id"], subscription_id__in=form.wanted
    )
    found = {one.subscription_id: one for one in visible.select_related("sku")}
    return [(str(one), found.get(one)) for one in form.wanted]


def _already(actor: Actor, form: InviteForm) -> Invitation | None:
    """Return the open invitation for exactly these: sent by the first of two clicks, or by a colleague."""
    found = Invitation.objects.open().filter(
        partner=actor.organisation_id, customer__tenant_id=form.cleaned_data["tenant_id"]
    )
    for one in found.for_listing():
        if {row.subscription.subscription_id for row in one.invited.all()} == set(form.wanted):
            return one
    return None


@require_safe
@only(OrganisationKind.PARTNER)
def partner_invitation(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    return _to_partner(request, _get_visible(request.actor, invitation_id))


@posted("associations:partner_invitation")
@only(OrganisationKind.PARTNER)
def partner_invitation_revoke(request: Request, invitation_id: uuid.UUID) -> HttpResponse:
    """Withdraw the invitation. A second click changes nothing and gets the same response."""
    actor = request.actor
    _get_visible(actor, invitation_id, to=Right.INVITE)
    form = forms.Form(request.POST)
    sent = submit(form, lambda: actions.revoke(invitation_id, by=actor))
    if sent.is_done or (found := _get_visible(actor, invitation_id)).status == InvitationStatus.REVOKED:
        return redirect("associations:partner_invitation", invitation_id)
    return _to_partner(request, found, form, status=sent.status)


def _to_partner(
    request: Request, found: Invitation, form: forms.Form | None = None, *, status: int = 200
) -> HttpResponse:
    """Show the invitation to its sender, with links to the subscriptions that it may see by now."""
    actor, shown = request.actor, seen(request.actor, found)
    invited = list(found.invited.all())
    visible = subscriptions_visible_to(actor).filter(pk__in=[row.subscription_id for row in invited])
    pages = {
        pk: reverse("associations:partner_subscription_detail", args=[subscription_id])
        for pk, subscription_id in visible.values_list("pk", "subscription_id")
    }
    return render(
        request,
        "invitations/partner_invitation.html",
        {
            "invitation": found,
            "shown": shown,
            "customer": found.customer,
            "form": form,
            "lines": [
                Line(row.subscription, row.outcome, REFUSALS.get(row.code, ""), pages.get(row.subscription_id, ""))
                for row in invited
            ],
            "link": request.build_absolute_uri(reverse("associations:invitation", args=[found.invitation_id])),
            "reach": _reach(found) if shown.is_open else "",
            "may_revoke": shown.is_open and actor.may(Right.INVITE),
            "may_know_customer": customers_visible_to(actor).filter(pk=found.customer_id).exists(),
            "events": _events(actor, found),
        },
        status=status,
    )
