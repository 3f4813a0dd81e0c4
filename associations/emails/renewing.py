"""Who is told that a subscription renews, has changed, or has been replaced by another."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from associations import lines
from associations.emails.record import customer_of, for_customer, for_partner
from por.accounts.rules import Kind
from por.directory.models import Subscription
from por.formats import day_text, number_text
from por.history.models import Event
from por.notifications.actions import tell
from por.notifications.emails import Facts, Message, message
from por.notifications.models import Topic


def _renewal(event: Event) -> dict[str, Any]:
    days = event.changes["days"]
    return {
        "renews_on": day_text(date.fromisoformat(event.changes["renews_on"])),
        "days": ngettext("%(n)s day", "%(n)s days", days) % {"n": number_text(days)},
    }


def _replaced(event: Event) -> dict[str, Any]:
    replaced = Subscription.objects.select_related("sku").get(subscription_id=event.changes["replaces"])
    return {"replaced": f"{replaced.name}, {event.changes['replaces']}"}


def _confirmation(event: Event) -> dict[str, Any]:
    """The customer's page with the partner filled in: opening it attaches nobody."""
    link = {"url": lines.confirmation_url(event), "action": _("Check and confirm")}
    return for_customer(event) | _replaced(event) | link


def _gap(event: Event) -> dict[str, Any]:
    """The partner cannot open what it is not associated with."""
    link = {"url": lines.partners_list(event), "action": _("Open your subscriptions")}
    return for_partner(event) | _replaced(event) | link


def _changed(event: Event) -> dict[str, Any]:
    facts = for_partner(event)
    return facts | {"rows": [*lines.changes(event), *facts["rows"]]}


def _message(name: str, facts: Facts, title: Any, to: Kind) -> Message:
    return message(name, Topic.RENEWAL, facts, title, line=lines.RENEWALS[name], to=(to,))


RENEWAL = _message(
    "renewal_due",
    lambda event: for_partner(event) | _renewal(event),
    gettext_lazy("Customer’s subscription renews soon"),
    Kind.PARTNER,
)
RENEWAL_CUSTOMER = _message(
    "renewal_due_customer",
    lambda event: for_customer(event) | _renewal(event),
    gettext_lazy("Your subscription renews soon"),
    Kind.CUSTOMER,
)
CHANGE = _message("subscription_changed", _changed, gettext_lazy("Customer’s subscription changed"), Kind.PARTNER)
CARRIED_OVER = _message(
    "record_carried_over",
    lambda event: for_partner(event) | _replaced(event),
    gettext_lazy("You were carried over to a replacement subscription"),
    Kind.PARTNER,
)
CARRIED_OVER_CUSTOMER = _message(
    "record_carried_over_customer",
    lambda event: for_customer(event) | _replaced(event),
    gettext_lazy("Your partner was carried over to a replacement subscription"),
    Kind.CUSTOMER,
)
REPLACED = _message(
    "subscription_replaced", _gap, gettext_lazy("You were not carried over to a replacement subscription"), Kind.PARTNER
)
REPLACED_CUSTOMER = _message(
    "subscription_replaced_customer",
    _confirmation,
    gettext_lazy("Confirm your partner for a replacement subscription"),
    Kind.CUSTOMER,
)
#: By verb: what the partner is told, what the customer is, and which right it takes to be told there.
TOLD = {
    "subscription.renewal_due": (RENEWAL, RENEWAL_CUSTOMER),
    "subscription.changed": (CHANGE, None),
    "partner_of_record.carried_over": (CARRIED_OVER, CARRIED_OVER_CUSTOMER),
    "subscription.replaced": (REPLACED, REPLACED_CUSTOMER),
}


def told(event: Event) -> None:
    to_partner, to_customer = TOLD[event.verb]
    for organisation_id in event.parties:
        tell(event, to_partner, organisation_id=organisation_id)
    if to_customer is not None:
        tell(event, to_customer, organisation_id=customer_of(event), may="record.attach")


HANDLERS = dict.fromkeys(TOLD, told)
