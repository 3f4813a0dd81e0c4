"""Who is told what about a partner of record, and with which facts; the sentences are in templates/emails/."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations import lines, receipts
from associations.models import Association
from associations.rules import Source, policy_on
from por.accounts.rules import Kind
from por.directory.models import Subscription
from por.formats import moment_text, number_text
from por.history.actions import organisation_of
from por.history.models import Event
from por.notifications.actions import confirm, tell
from por.notifications.emails import message
from por.notifications.models import Topic


def for_partner(event: Event) -> dict[str, Any]:
    """What the partner's messages say."""
    url = lines.partner_url(event)
    undone = event.verb == "partner_of_record.attach_undone"
    return _facts(event) | {
        "url": url,
        "action": _("Open your subscriptions") if undone else _("Open the subscription"),
    }


def for_customer(event: Event) -> dict[str, Any]:
    """What the customer's messages say."""
    return _facts(event) | {"url": lines.customer_url(event), "action": _("Open the subscription")}


def _facts(event: Event) -> dict[str, Any]:
    """What was changed is the event's to say; what it was changed on, the directory's."""
    subscription = _subscription(event)
    partner = event.changes["partner"]
    customer = subscription.customer.organisation.name
    seats = _("unknown") if subscription.seats is None else number_text(subscription.seats)
    rows = [
        (_("Customer"), customer),
        (_("Product"), subscription.get_product_display()),
        (_("SKU"), subscription.sku.name if subscription.sku else _("unknown")),
        (_("Subscription ID"), event.object_id),
        (_("Seats"), seats),
        (_("Partner"), _("%(name)s, MPN ID %(mpn_id)s") % partner),
    ]
    if event.actor_name:
        rows.append((_("Done by"), event.actor_name))
    return {
        "customer": customer,
        "partner": partner["name"],
        "subscription": subscription.name,
        "source": event.changes.get("source"),
        "since": _moment(event.changes.get("began_at")),
        "since_before": _moment(event.changes.get("began_at_before")),
        "until": _moment(event.changes.get("ended_at")),
        "undo_until": undo_until(event),
        "rows": rows,
        "reason": event.reason.splitlines(),
        "receipt": _receipt(event),
    }


def undo_until(event: Event) -> str:
    """Until when what the event says can be taken back."""
    return moment_text(event.at + policy_on(event.at.date()).undo_within, zone=True)


def customer_of(event: Event) -> int:
    """The customer in whose chain the event stands."""
    customer = organisation_of(event.chain)
    assert customer is not None
    return customer


def _receipt(event: Event) -> str:
    """Nothing, where nobody became or ceased to be of record."""
    association_id = event.changes.get("association")
    return reverse("associations:receipt", args=[receipts.sign(association_id)]) if association_id else ""


def _moment(stored: str | None) -> str:
    return moment_text(datetime.fromisoformat(stored), zone=True) if stored else ""


def _subscription(event: Event) -> Subscription:
    subscriptions = Subscription.objects.select_related("customer__organisation", "sku")
    return subscriptions.get(subscription_id=event.object_id)


#: What the customer's people do: the message to the partner, and the receipt of who did it.
CHANGES = {
    f"partner_of_record.{what}": (
        message(f"record_{what}", Topic.RECORD, for_partner, title, line=lines.RECORD[what][0], to=(Kind.PARTNER,)),
        message(
            f"record_{what}_receipt",
            Topic.RECORD,
            for_customer,
            receipt,
            line=lines.RECORD[what][1],
            to=(Kind.CUSTOMER,),
        ),
    )
    for what, title, receipt in (
        ("attached", gettext_lazy("Attached"), gettext_lazy("Confirmation: partner attached")),
        ("removed", gettext_lazy("Removed"), gettext_lazy("Confirmation: partner removed")),
        (
            "attach_undone",
            gettext_lazy("Partner attachment undone"),
            gettext_lazy("Confirmation: partner attachment undone"),
        ),
        (
            "removal_undone",
            gettext_lazy("Partner removal undone"),
            gettext_lazy("Confirmation: partner removal undone"),
        ),
        (
            "dated_back",
            gettext_lazy("Start date moved earlier"),
            gettext_lazy("Confirmation: start date moved earlier"),
        ),
    )
}


def changed(event: Event) -> None:
    """The partner is told, and who did it for the customer gets a receipt.

    What comes of an invitation is told once, when it is accepted, not once for each of its subscriptions.
    """
    attached = event.verb == "partner_of_record.attached"
    if attached and event.changes.get("source") == Source.INVITATION:
        return
    to_partner, receipt = CHANGES[event.verb]
    for organisation_id in event.parties:
        tell(event, to_partner, organisation_id=organisation_id)
    if event.chain == f"organisation:{event.actor_organisation_id}":
        confirm(event, receipt)


ENDED = message(
    "record_ended",
    Topic.RECORD,
    lambda event: for_partner(event) | _why(event),
    gettext_lazy("Notice to partner: no longer partner of record"),
    line=lines.ENDED,
    to=(Kind.PARTNER,),
)
ENDED_CUSTOMER = message(
    "record_ended_customer",
    Topic.RECORD,
    lambda event: for_customer(event) | _why(event),
    gettext_lazy("Notice to customer: partner is no longer partner of record"),
    line=lines.ENDED_CUSTOMER,
    to=(Kind.CUSTOMER,),
)


def ended(event: Event) -> None:
    """It ended from outside, so the customer has to be told as well."""
    for organisation_id in event.parties:
        tell(event, ENDED, organisation_id=organisation_id)
    tell(event, ENDED_CUSTOMER, organisation_id=customer_of(event))


def _why(event: Event) -> dict[str, Any]:
    """Nobody gave a reason in words: it is one of ours."""
    association = Association.objects.get(pk=event.changes["association"])
    return {"why": association.get_end_reason_display(), "reason": []}
