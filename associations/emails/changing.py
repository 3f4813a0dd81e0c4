"""Who is told what of the question which partner is actually doing the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations import lines
from associations.models import ChangeRequest
from associations.rules import Cancellation
from por.accounts.rules import Kind
from por.directory.models import Partner
from por.formats import moment_text, number_text
from por.history.models import Event
from por.notifications.actions import inform, tell
from por.notifications.emails import Message, message
from por.notifications.models import Topic

#: Who of the customer is asked: those who may answer.
ANSWERING = "change.answer"


def _request(event: Event) -> ChangeRequest:
    return ChangeRequest.objects.for_listing().get(pk=event.changes["change_request"])


def _facts(event: Event) -> dict[str, Any]:
    """What all of its messages say. Each party may know the other's name, but not what it states."""
    request = _request(event)
    subscription, incumbent = request.subscription, request.incumbent.partner
    customer = subscription.customer.organisation.name
    unknown = _("unknown")
    partner = event.changes.get("partner") or {}
    rows = [
        (_("Customer"), customer),
        (_("Product"), subscription.get_product_display()),
        (_("SKU"), subscription.sku.name if subscription.sku else unknown),
        (_("Seats"), unknown if subscription.seats is None else number_text(subscription.seats)),
        (_("Partner of record"), _name(incumbent)),
        (_("Proposed partner"), ", ".join(_name(one.partner) for one in request.challengers.all())),
    ]
    if event.actor_name:
        rows.append((_("Done by"), event.actor_name))
    return {
        "customer": customer,
        "subscription": subscription.name,
        "incumbent": incumbent.organisation.name,
        "partner": partner.get("name", ""),
        "by_partner": event.actor_organisation_id not in {None, subscription.customer_id},
        "due": moment_text(request.due_at, zone=True),
        "rows": rows,
        "reason": event.reason.splitlines(),
    }


def _name(partner: Partner) -> str:
    return _("%(name)s, MPN ID %(mpn_id)s") % {"name": partner.organisation.name, "mpn_id": partner.mpn_id}


def for_party(event: Event) -> dict[str, Any]:
    url = reverse("associations:partner_change_request", args=[event.changes["change_request"]])
    return _facts(event) | {"url": url, "action": _("View change request")}


def for_customer(event: Event) -> dict[str, Any]:
    url = reverse("associations:change_request", args=[event.changes["change_request"]])
    return _facts(event) | {"url": url, "action": _("View change request")}


def _closed(facts: Callable[[Event], dict[str, Any]]) -> Callable[[Event], dict[str, Any]]:
    def with_why(event: Event) -> dict[str, Any]:
        why = event.changes.get("why")
        return facts(event) | {"why": str(Cancellation(why).label) if why else ""}

    return with_why


def _to_party(name: str, title: Any) -> Message:
    return message(f"change_{name}", Topic.CHANGE, for_party, title, line=lines.QUESTIONS[name], to=(Kind.PARTNER,))


def _to_customer(name: str, title: Any) -> Message:
    return message(f"change_{name}", Topic.CHANGE, for_customer, title, line=lines.QUESTIONS[name], to=(Kind.CUSTOMER,))


QUESTION = _to_customer("question", gettext_lazy("New change request"))
REMINDER = _to_customer("reminder", gettext_lazy("Reminder to answer a change request"))
FORWARDED = message(
    "change_forwarded",
    None,
    for_customer,
    gettext_lazy("Change request forwarded by a colleague"),
    line=lines.QUESTIONS["forwarded"],
    to=(Kind.CUSTOMER,),
)
CONTESTED = _to_party("contested", gettext_lazy("Another partner proposed in your place"))
NAMED = _to_party("named", gettext_lazy("You were proposed as the partner of record"))
JOINED = _to_party("joined", gettext_lazy("One more partner proposed"))
CHOSEN = _to_party("chosen", gettext_lazy("Change request answered: you are the new partner of record"))
KEPT = _to_party("kept", gettext_lazy("Change request answered: you are still the partner of record"))
LOST = _to_party("lost", gettext_lazy("Change request answered: you are no longer the partner of record"))
NOT_CHOSEN = _to_party("not_chosen", gettext_lazy("Change request answered: you were not chosen"))
ANSWERED = _to_customer("answered", gettext_lazy("Change request answered"))
UNDONE = _to_party("answer_undone", gettext_lazy("Customer’s answer undone"))
UNDONE_CUSTOMER = _to_customer("answer_undone_customer", gettext_lazy("Your organisation’s answer undone"))
CLOSED = message(
    "change_closed",
    Topic.CHANGE,
    _closed(for_party),
    gettext_lazy("Customer’s change request closed without an answer"),
    line=lines.QUESTIONS["closed"],
    to=(Kind.PARTNER,),
)
CLOSED_CUSTOMER = message(
    "change_closed_customer",
    Topic.CHANGE,
    _closed(for_customer),
    gettext_lazy("Your change request closed without an answer"),
    line=lines.QUESTIONS["closed_customer"],
    to=(Kind.CUSTOMER,),
)


def asked(event: Event) -> None:
    """Both partners are told at once, those named before too, and the customer's administrators are asked."""
    request = _request(event)
    named = event.changes["partner"]["mpn_id"]
    for pk, partner in request.parties().items():
        if pk not in event.parties:
            continue  # named after this, and told of that
        if pk == request.incumbent.partner_id:
            tell(event, CONTESTED, organisation_id=pk)
        else:
            tell(event, NAMED if partner.mpn_id == named else JOINED, organisation_id=pk)
    tell(event, QUESTION, organisation_id=request.subscription.customer_id, may=ANSWERING)


def reminded(event: Event) -> None:
    tell(event, REMINDER, organisation_id=_request(event).subscription.customer_id, may=ANSWERING)


def forwarded(event: Event) -> None:
    organisation_id = _request(event).subscription.customer_id
    inform(event, FORWARDED, user_id=event.changes["to"]["user"], organisation_id=organisation_id)


def answered(event: Event) -> None:
    """All three are told: what they are told depends on what it means for them."""
    request = _request(event)
    chosen = (event.changes.get("partner") or {}).get("mpn_id")
    for pk, partner in request.parties().items():
        if pk == request.incumbent.partner_id:
            tell(event, KEPT if partner.mpn_id == chosen else LOST, organisation_id=pk)
        else:
            tell(event, CHOSEN if partner.mpn_id == chosen else NOT_CHOSEN, organisation_id=pk)
    tell(event, ANSWERED, organisation_id=request.subscription.customer_id, may=ANSWERING)


def undone(event: Event) -> None:
    request = _request(event)
    for pk in request.parties():
        tell(event, UNDONE, organisation_id=pk)
    tell(event, UNDONE_CUSTOMER, organisation_id=request.subscription.customer_id, may=ANSWERING)


def closed(event: Event) -> None:
    """Who removed the partner of record knows that the question is gone, and the partner knows it was removed."""
    request = _request(event)
    ended = event.verb == "change_request.cancelled" and event.changes["why"] != Cancellation.PARTNER_CLOSED
    for pk in request.parties():
        if not (ended and pk == request.incumbent.partner_id):
            tell(event, CLOSED, organisation_id=pk)
    if event.actor_id is None:
        tell(event, CLOSED_CUSTOMER, organisation_id=request.subscription.customer_id, may=ANSWERING)


HANDLERS = {
    "change_request.opened": asked,
    "change_request.joined": asked,
    "change_request.reminded": reminded,
    "change_request.forwarded": forwarded,
    "change_request.answered": answered,
    "change_request.answer_undone": undone,
    "change_request.expired": closed,
    "change_request.cancelled": closed,
}
