"""A partner activates a subscription from Open licensing, with the customer's consent."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from associations.attaching.actions import activation
from associations.attaching.actions.attach import Attached
from associations.attaching.events import ATTACHED_FOR_CUSTOMER
from associations.attaching.forms import ActivateForm
from associations.record.access import all_visible_to
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.access import partners_of
from por.directory.models import Partner, Subscription
from por.errors import Forbidden, Locked, NotFound, RateLimited, Refused
from por.notifications.actions.notifying import Reach, reach_of
from por.web.pages import submit

#: The field that shows a refusal without a field, by its code; for the other codes it is the subscription.
FIELDS = {"partner_suspended": "mpn_id", "partner_is_global": "mpn_id", "partner_closed": "mpn_id"}


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.ACTIVATE)
def activate(request: Request) -> HttpResponse:
    """Activate; then show the subscription or, where another partner is the partner of record, the change request."""
    actor = request.actor
    locations = _locations(actor)
    if request.method != "POST":
        preset = {"subscription_id": request.GET.get("subscription", ""), "mpn_id": _own(locations, actor)}
        return _page(request, ActivateForm(locations, initial=preset), locations)
    form = ActivateForm(
        locations,
        request.POST,
        known=lambda: sorted(all_visible_to(actor).values_list("subscription_id", flat=True)),
    )
    sent = submit(form, lambda: _activate(actor, form), reword=_at_its_field)
    return _done(request, sent.result) if sent.is_done else _page(request, form, locations, status=sent.status)


def _page(request: Request, form: ActivateForm, locations: list[Partner], *, status: int = 200) -> HttpResponse:
    return render(request, "attaching/activate.html", {"form": form, "locations": locations}, status=status)


def _activate(actor: Actor, form: ActivateForm) -> Attached:
    given = form.cleaned_data
    consent = activation.StatedConsent(given["consent_name"], given["consent_email"], given["consent"])
    return activation.activate(given["subscription_id"], given["mpn_id"], consent, by=actor)


def _done(request: Request, attached: Attached) -> HttpResponse:
    subscription = attached.association.subscription
    assert subscription is not None
    if attached.request is not None:
        message = _(
            "Another partner is the partner of record and stays. We will ask the customer which of "
            "you is doing the work."
        )
        messages.info(request, message)
        return redirect("associations:partner_change_request", attached.request.pk)
    if attached.outcome == "unchanged":
        messages.info(request, _("This location is already the partner of record. Nothing has changed."))
    else:
        messages.success(request, f"{_('Activated. You are now the partner of record.')} {_told(subscription)}")
    return redirect("associations:partner_subscription_detail", subscription.subscription_id)


def _told(subscription: Subscription) -> str:
    """Return how the customer is told, in one sentence."""
    match reach_of({subscription.customer_id: ATTACHED_FOR_CUSTOMER})[subscription.customer_id]:
        case Reach.MAIL:
            return _("We will email the customer.")
        case Reach.INBOX:
            return _("The customer’s administrators can read it in the inbox here.")
        case _:
            return _(
                "We cannot tell anyone: the customer has no administrator here and no contact address. Tell them "
                "yourself."
            )


def _at_its_field(refused: Refused) -> Refused:
    """Return the refusal with a field to show it at. It is about the input, unless the way is barred for now."""
    if refused.field == "consent.name":
        return Refused(refused.code, refused.message, field="consent_name")
    if refused.field or isinstance(refused, Locked | RateLimited | Forbidden):
        return refused
    message = refused.message
    if isinstance(refused, NotFound):
        message = _(
            "We could not find a subscription from Open licensing with this ID. Check the ID with the customer."
        )
    return Refused(refused.code, message, field=FIELDS.get(refused.code, "subscription_id"))


def _locations(actor: Actor) -> list[Partner]:
    """Return the actor's own locations that can be attached."""
    found = partners_of(actor).filter(kind=Partner.Kind.LOCATION, status=Partner.Status.ACTIVE)
    return list(found.select_related("organisation").order_by("organisation__name", "pk"))


def _own(locations: list[Partner], actor: Actor) -> str:
    """Return the MPN ID of the location the actor acts for; "" if it is not among these."""
    return next((one.mpn_id for one in locations if one.pk == actor.organisation_id), "")
