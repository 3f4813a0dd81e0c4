"""A partner activates a subscription from Open licensing, with the customer's consent."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from associations.attaching.actions import activation
from associations.attaching.actions import attach as attaching
from associations.attaching.forms import ActivateForm
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.access import partners_of
from por.directory.models import Partner
from por.errors import Forbidden, Locked, NotFound, RateLimited, Refused
from por.web.pages import submit

#: At which field a refusal is said that is about the state of things: all of them are about what was entered.
FIELDS = {"partner_suspended": "mpn_id", "partner_is_global": "mpn_id", "partner_closed": "mpn_id"}


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to="activation.write")
def activate(request: Request) -> HttpResponse:
    """Done, it leads to the subscription, or where another partner is of record, to the question about it."""
    actor = request.actor
    locations = _locations(actor)
    if request.method != "POST":
        preset = {"subscription_id": request.GET.get("subscription", ""), "mpn_id": _own(locations, actor)}
        return _page(request, ActivateForm(locations, initial=preset), locations)
    form = ActivateForm(locations, request.POST)
    sent = submit(form, lambda: _activate(actor, form), reword=_at_its_field)
    return _done(request, sent.result) if sent.is_done else _page(request, form, locations, status=sent.status)


def _page(request: Request, form: ActivateForm, locations: list[Partner], *, status: int = 200) -> HttpResponse:
    return render(request, "attaching/activate.html", {"form": form, "locations": locations}, status=status)


def _activate(actor: Actor, form: ActivateForm) -> attaching.Attached:
    given = form.cleaned_data
    consent = activation.Given(given["consent_name"], given["consent_email"], given["consent"])
    return activation.activate(given["subscription_id"], given["mpn_id"], consent, by=actor)


def _done(request: Request, placed: attaching.Attached) -> HttpResponse:
    subscription = placed.association.subscription
    assert subscription is not None
    if placed.request is not None:
        sentence = _(
            "Another partner is the partner of record and stays. We will ask the customer which of "
            "you is doing the work."
        )
        messages.info(request, sentence)
        return redirect("associations:partner_change_request", placed.request.pk)
    if placed.outcome == "unchanged":
        messages.info(request, _("This location is already the partner of record. Nothing has changed."))
    else:
        messages.success(request, _("Activated. You are now the partner of record. We will email the customer."))
    return redirect("associations:partner_subscription_detail", subscription.subscription_id)


def _at_its_field(refused: Refused) -> Refused:
    """What was entered leads to every refusal here, so that each is said at a field; but not who may or when."""
    if refused.field or isinstance(refused, Locked | RateLimited | Forbidden):
        return refused
    sentence = refused.message
    if isinstance(refused, NotFound):
        sentence = _(
            "We could not find a subscription from Open licensing with this ID. Check the ID with the customer."
        )
    return Refused(refused.code, sentence, field=FIELDS.get(refused.code, "subscription_id"))


def _locations(actor: Actor) -> list[Partner]:
    """Those of their own that can be of record."""
    found = partners_of(actor).filter(kind=Partner.Kind.LOCATION, status=Partner.Status.ACTIVE)
    return list(found.select_related("organisation").order_by("organisation__name", "pk"))


def _own(locations: list[Partner], actor: Actor) -> str:
    return next((one.mpn_id for one in locations if one.pk == actor.organisation_id), "")
