"""Who is told that a subscription renews, has changed, or has been replaced by another."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from associations import lines
from associations.emails.record import for_customer, for_partner
from por.accounts.rules import Kind
from por.directory.models import Subscription
from por.directory.rules import Agreement
from por.formats import day_text, number_text
from por.history.models import Event
from por.notifications.actions import tell
from por.notifications.emails import Line, message
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
    link = {"url": lines.confirmation_url(event), "action": _("Look at it and confirm")}
    return for_customer(event) | _replaced(event) | link


def _gap(event: Event) -> dict[str, Any]:
    """The partner cannot open what it is not associated with."""
    link = {"url": lines.partners_list(event), "action": _("Open your subscriptions")}
    return for_partner(event) | _replaced(event) | link


#: What may change of a subscription, in words.
CHANGED = {
    "seats": gettext_lazy("Seats"),
    "status": gettext_lazy("Status"),
    "agreement": gettext_lazy("Agreement"),
    "renews_on": gettext_lazy("Renewal"),
}


def _changed(event: Event) -> dict[str, Any]:
    facts = for_partner(event)
    return facts | {"rows": [*_changes(event), *facts["rows"]]}


def _changes(event: Event) -> list[tuple[str, str]]:
    return [
        (str(CHANGED[name]), f"{_value(name, was)} → {_value(name, now)}")
        for name, (was, now) in event.changes["subscription"].items()
    ]


def _changed_line(event: Event) -> Line:
    what = ", ".join(f"{label} {change}" for label, change in _changes(event))
    return Line(_("It has changed: %(what)s.") % {"what": what}, lines.partner_url(event))


def _value(name: str, value: Any) -> str:
    if value is None:
        return _("unknown")
    match name:
        case "seats":
            return number_text(value)
        case "status":
            return str(Subscription.Status(value).label)
        case "agreement":
            return str(Agreement(value).label)
    return day_text(date.fromisoformat(value))


RENEWAL = message(
    "renewal_due",
    Topic.RENEWAL,
    lambda event: for_partner(event) | _renewal(event),
    gettext_lazy("Renewal ahead, to the partner"),
    line=lines.RENEWALS["renewal_due"],
    to=(Kind.PARTNER,),
)
RENEWAL_CUSTOMER = message(
    "renewal_due_customer",
    Topic.RENEWAL,
    lambda event: for_customer(event) | _renewal(event),
    gettext_lazy("Renewal ahead, to the customer"),
    line=lines.RENEWALS["renewal_due_customer"],
    to=(Kind.CUSTOMER,),
)
CHANGE = message(
    "subscription_changed",
    Topic.RENEWAL,
    _changed,
    gettext_lazy("Subscription changed, to the partner"),
    line=_changed_line,
    to=(Kind.PARTNER,),
)
CARRIED_OVER = message(
    "record_carried_over",
    Topic.RENEWAL,
    lambda event: for_partner(event) | _replaced(event),
    gettext_lazy("Carried over to what replaces it, to the partner"),
    line=lines.RENEWALS["record_carried_over"],
    to=(Kind.PARTNER,),
)
CARRIED_OVER_CUSTOMER = message(
    "record_carried_over_customer",
    Topic.RENEWAL,
    lambda event: for_customer(event) | _replaced(event),
    gettext_lazy("Carried over to what replaces it, to the customer"),
    line=lines.RENEWALS["record_carried_over_customer"],
    to=(Kind.CUSTOMER,),
)
REPLACED = message(
    "subscription_replaced",
    Topic.RENEWAL,
    _gap,
    gettext_lazy("Replaced, to the former partner"),
    line=lines.RENEWALS["subscription_replaced"],
    to=(Kind.PARTNER,),
)
REPLACED_CUSTOMER = message(
    "subscription_replaced_customer",
    Topic.RENEWAL,
    _confirmation,
    gettext_lazy("Replaced, question to the customer"),
    line=lines.RENEWALS["subscription_replaced_customer"],
    to=(Kind.CUSTOMER,),
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
        customer = int(event.chain.partition(":")[2])
        tell(event, to_customer, organisation_id=customer, may="record.attach")


HANDLERS = dict.fromkeys(TOLD, told)
