"""Who is told what of an invitation, and what the customer is told of a partner that others have attached."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations import lines
from associations.emails.record import customer_of, undo_until
from associations.emails.record import for_customer as of_the_record
from associations.models import Consent, Invitation
from associations.rules import Source
from por.accounts.rules import Kind
from por.formats import day_text, moment_text
from por.history.models import Event
from por.notifications.actions import confirm, tell
from por.notifications.emails import Message, message
from por.notifications.models import Topic

#: Who of the customer is asked: those who may accept.
ANSWERING = "invitation.answer"

#: What came of a subscription of an accepted invitation, in words; what was refused says so.
OUTCOMES = {
    "attached": gettext_lazy("attached"),
    "unchanged": gettext_lazy("already the partner of record"),
    "change_requested": gettext_lazy(
        "another partner is the partner of record, so the customer must answer a change request"
    ),
}


def _facts(event: Event) -> dict[str, Any]:
    invitation = Invitation.objects.for_listing().get(invitation_id=event.object_id)
    customer, partner = invitation.customer.organisation.name, invitation.partner
    outcomes: dict[str, str] = event.changes.get("outcomes", {})
    rows = [
        (_("Customer"), customer),
        (_("Partner"), _("%(name)s, MPN ID %(mpn_id)s") % event.changes["partner"]),
    ]
    not_attached = _("not attached")  # here, because makemessages does not look into f-strings
    for row in invitation.invited.all():
        subscription = row.subscription
        said = outcomes.get(str(subscription.subscription_id), "")
        label = f"{subscription.name}, {str(subscription.subscription_id)[:8]}"
        rows.append((_("Subscription"), f"{label}: {OUTCOMES.get(said, not_attached)}" if outcomes else label))
    if event.actor_name:
        rows.append((_("Done by"), event.actor_name))
    return {
        "customer": customer,
        "partner": partner.organisation.name,
        "mpn_id": partner.mpn_id,
        "until": moment_text(invitation.expires_at, zone=True),
        "undo_until": undo_until(event),
        "rows": rows,
        "reason": event.reason.splitlines(),
    }


def for_customer(event: Event) -> dict[str, Any]:
    url = reverse("associations:invitation", args=[event.object_id])
    return _facts(event) | {"url": url, "action": _("View invitation")}


def for_partner(event: Event) -> dict[str, Any]:
    url = reverse("associations:partner_invitation", args=[event.object_id])
    return _facts(event) | {"url": url, "action": _("View invitation")}


def _message(name: str, title: Any, to: Kind) -> Message:
    facts = for_customer if to == Kind.CUSTOMER else for_partner
    return message(f"invitation_{name}", Topic.INVITATION, facts, title, line=lines.INVITATIONS[name], to=(to,))


SENT = _message("sent", gettext_lazy("New invitation from a partner"), Kind.CUSTOMER)
REVOKED = _message("revoked", gettext_lazy("Invitation withdrawn by the partner"), Kind.CUSTOMER)
ACCEPTED = _message("accepted", gettext_lazy("Invitation accepted by the customer"), Kind.PARTNER)
ACCEPTED_RECEIPT = _message("accepted_receipt", gettext_lazy("Confirmation: invitation accepted"), Kind.CUSTOMER)
DECLINED = _message("declined", gettext_lazy("Invitation declined by the customer"), Kind.PARTNER)
EXPIRED = _message("expired", gettext_lazy("Invitation expired without an answer"), Kind.PARTNER)


def told(event: Event) -> None:
    """The one side is told of what the other did; who accepted gets a receipt, with what came of each subscription."""
    invitation = Invitation.objects.get(invitation_id=event.object_id)
    match event.verb:
        case "invitation.sent":
            tell(event, SENT, organisation_id=invitation.customer_id, may=ANSWERING)
        case "invitation.revoked":
            tell(event, REVOKED, organisation_id=invitation.customer_id, may=ANSWERING)
        case "invitation.accepted":
            tell(event, ACCEPTED, organisation_id=invitation.partner_id)
            confirm(event, ACCEPTED_RECEIPT)
        case verb:
            to_partner = {"invitation.declined": DECLINED, "invitation.expired": EXPIRED}[verb]
            tell(event, to_partner, organisation_id=invitation.partner_id)


HANDLERS = {f"invitation.{what}": told for what in ("sent", "revoked", "accepted", "declined", "expired")}

# --- A partner that the customer did not attach itself --------------------------------------------------------------


def _attached_for(event: Event) -> dict[str, Any]:
    consent = Consent.objects.filter(association=event.changes["association"]).first()
    facts = of_the_record(event)
    if consent is not None:
        facts["rows"] = [*facts["rows"], (_("Consent given by"), f"{consent.name}, {day_text(consent.given_on)}")]
    return facts | {"by_partner": event.changes["source"] == Source.ACTIVATION}


ATTACHED_FOR = message(
    "record_attached_for_customer",
    Topic.RECORD,
    _attached_for,
    gettext_lazy("Partner attached by activation or automatically"),
    line=lines.ATTACHED_FOR,
    to=(Kind.CUSTOMER,),
)


def attached(event: Event) -> None:
    """The customer is told of what it has not done itself, and can take back."""
    if event.changes.get("source") in {Source.ACTIVATION, Source.AUTOMATIC}:
        tell(event, ATTACHED_FOR, organisation_id=customer_of(event), may="record.remove")
