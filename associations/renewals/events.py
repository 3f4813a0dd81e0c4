"""A subscription renews soon, has changed, or replaces another: the texts of the events, and who is notified."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from associations.record.events import (
    ATTACHED,
    SUBSCRIPTION,
    TOLD_CUSTOMER,
    Named,
    PartnerName,
    RecordContext,
    WithFingerprints,
    WithPartner,
    customer_of,
    notify_both,
    notify_partners,
    partner_name,
    partner_subscriptions,
    record_context,
    subscription_page,
    to_customer,
    to_partner,
)
from por.accounts.rules import Right
from por.directory.models import Subscription
from por.directory.rules import Agreement, Product
from por.history.events import EventType, event_group, register
from por.history.models import Event
from por.notifications.models import Topic
from por.web.formatting import NONE, day_text, number_text

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class RenewalEvent(EventType):
    RENEWAL_DUE = "subscription.renewal_due"
    CHANGED = "subscription.changed"
    CARRIED_OVER = "partner_of_record.carried_over"
    REPLACED = "subscription.replaced"


# --- Payloads -------------------------------------------------------------------------------------------------------


class RenewalDue(WithPartner):
    renews_on: str  # a day, in ISO 8601
    days: int


class Changed(TypedDict):
    """What has changed, and the partner of record, if there is one."""

    partner: NotRequired[Named]
    subscription: dict[str, list[Any]]  # for each field that has changed: its old and its new value


class Replaced(WithPartner):
    replaces: str  # the id of the subscription that is replaced


class CarriedOver(Replaced, WithFingerprints):
    association: int
    began_at: str


RENEWALS = event_group("renewals", _("Renewals and changes"))


# --- It renews soon -------------------------------------------------------------------------------------------------


class RenewalContext(RecordContext):
    renews_on: str
    days: str


class RenewalDay(PartnerName):
    day: str


def _renewal(event: Event) -> RenewalContext:
    days = event.changes["days"]
    return {
        **record_context(event),
        "renews_on": day_text(date.fromisoformat(event.changes["renews_on"])),
        "days": ngettext("%(n)s day", "%(n)s days", days) % {"n": number_text(days)},
    }


def _renewal_day(payload: RenewalDue) -> RenewalDay:
    return {**partner_name(payload), "day": day_text(date.fromisoformat(payload["renews_on"]))}


RENEWAL_MAIL = to_partner(
    "renewal_due",
    Topic.RENEWAL,
    title=_("Customer’s subscription renews soon"),
    subject=_("%(subscription)s (%(customer)s) renews in %(days)s"),
    paragraphs=(
        _("%(subscription)s (%(customer)s) renews on %(renews_on)s, in %(days)s. You are its partner of record."),
        _(
            "If it is renewed under a new ID, you do not always stay the partner of record. We will tell you if you do "
            "not."
        ),
    ),
    context=_renewal,
    inbox=_("This subscription renews on %(day)s."),
    values=_renewal_day,
)
RENEWAL_CUSTOMER_MAIL = to_customer(
    "renewal_due_customer",
    Topic.RENEWAL,
    title=_("Your subscription renews soon"),
    subject=_("%(subscription)s renews in %(days)s"),
    paragraphs=(
        _("%(subscription)s renews on %(renews_on)s, in %(days)s. %(partner)s is its partner of record."),
        _("Check how much of it you use before you renew."),
    ),
    context=_renewal,
    inbox=_("This subscription renews on %(day)s. %(partner)s is the partner of record."),
    values=_renewal_day,
    may=Right.ATTACH,
)


register(
    RenewalEvent.RENEWAL_DUE,
    payload=RenewalDue,
    about=("subscription",),
    here=_("Renewal notice"),
    elsewhere=_("Renewal notice for {object}"),
    icon="calendar",
    tone="info",
    groups=(RENEWALS,),
    link=SUBSCRIPTION,
    mails=(RENEWAL_MAIL, RENEWAL_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=RENEWAL_MAIL, customer=RENEWAL_CUSTOMER_MAIL),
)

# --- An import has changed it ---------------------------------------------------------------------------------------

#: The fields that may change: their labels, and how a value is shown.
FIELDS: dict[str, tuple[LazyText, Callable[[Any], str]]] = {
    "sku": (_("SKU"), str),
    "product": (_("Product"), lambda value: str(Product(value).label)),
    "seats": (_("Seats"), number_text),
    "is_trial": (_("Trial"), lambda value: gettext("yes") if value else gettext("no")),
    "status": (_("Status"), lambda value: str(Subscription.Status(value).label)),
    "agreement": (_("Agreement"), lambda value: str(Agreement(value).label)),
    "started_on": (_("Start date"), lambda value: day_text(date.fromisoformat(value))),
    "renews_on": (_("Renewal"), lambda value: day_text(date.fromisoformat(value))),
    "replaces": (_("Replaces"), str),
    "missing_since": (_("Not in the last file since"), lambda value: day_text(date.fromisoformat(value))),
}


class WhatChanged(TypedDict):
    what: str


def changes_of(payload: Changed) -> list[tuple[str, str]]:
    """Return the label of each field that has changed, with its old and new value."""
    found = []
    for name, values in payload["subscription"].items():
        label, text_of = FIELDS[name]
        unknown = {"replaces": gettext("none"), "missing_since": NONE}.get(name, gettext("unknown"))
        was, now = (unknown if value is None else text_of(value) for value in values)
        found.append((str(label), f"{was} → {now}"))
    return found


def _what(payload: Changed) -> WhatChanged:
    return {"what": ", ".join(f"{label} {change}" for label, change in changes_of(payload))}


def _detail(event: Event) -> str:
    return ", ".join(f"{label}: {change}" for label, change in changes_of(event.changes))


def _changed_context(event: Event) -> RecordContext:
    """Return the context of the record with the changes as the first rows."""
    context = record_context(event)
    return {**context, "rows": [*changes_of(event.changes), *context["rows"]]}


CHANGED_MAIL = to_partner(
    "subscription_changed",
    Topic.RENEWAL,
    title=_("Customer’s subscription changed"),
    subject=_("%(subscription)s (%(customer)s) has changed"),
    paragraphs=(
        _(
            "A subscription where you are the partner of record has changed. The changes are at the top of the list "
            "below."
        ),
    ),
    context=_changed_context,
    inbox=_("This subscription has changed: %(what)s."),
    values=_what,
)


register(
    RenewalEvent.CHANGED,
    payload=Changed,
    about=("subscription",),
    here=_("The subscription has changed"),
    elsewhere=_("{object} has changed"),
    icon="info",
    tone="info",
    groups=(RENEWALS,),
    link=SUBSCRIPTION,
    mails=(CHANGED_MAIL,),
    notify=partial(notify_partners, message=CHANGED_MAIL, held=True),
    detail=_detail,
)

# --- It replaces another --------------------------------------------------------------------------------------------


class ReplacedContext(RecordContext):
    replaced: str


def _replaced_context(event: Event) -> ReplacedContext:
    of_customer = Subscription.objects.select_related("sku").filter(customer=customer_of(event))
    replaced = of_customer.get(subscription_id=event.changes["replaces"])
    return {**record_context(event), "replaced": f"{replaced.name}, {event.changes['replaces']}"}


def _confirmation(event: Event) -> str:
    """Return the customer's page with the partner filled in. Opening it attaches no one."""
    return f"{subscription_page(event)}?mpn_id={event.changes['partner']['mpn_id']}"


CARRIED_OVER_MAIL = to_partner(
    "record_carried_over",
    Topic.RENEWAL,
    title=_("You were carried over to a replacement subscription"),
    subject=_("You are still the partner of record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        _(
            "%(subscription)s has replaced %(replaced)s. You were the partner of record for the old subscription, and "
            "you are now the partner of record for the new one."
        ),
        (TOLD_CUSTOMER, _("They can remove you at any time.")),
    ),
    context=_replaced_context,
    inbox=_("This subscription replaces another one. You are still the partner of record."),
)
CARRIED_OVER_CUSTOMER_MAIL = to_customer(
    "record_carried_over_customer",
    Topic.RENEWAL,
    title=_("Your partner was carried over to a replacement subscription"),
    subject=_("%(partner)s is still your partner of record for %(subscription)s"),
    paragraphs=(
        _(
            "%(subscription)s has replaced %(replaced)s. %(partner)s was the partner of record for the old "
            "subscription, and is now the partner of record for the new one."
        ),
        _("If this is not right, you can remove the partner at any time."),
    ),
    context=_replaced_context,
    inbox=_("This subscription replaces another one. %(partner)s is still the partner of record."),
    values=partner_name,
    may=Right.ATTACH,
)


register(
    RenewalEvent.CARRIED_OVER,
    payload=CarriedOver,
    about=("subscription",),
    here=_("{partner} was carried over from the replaced subscription"),
    elsewhere=_("{partner} was carried over to {object} from the subscription that it replaces"),
    icon="link",
    tone="ok",
    groups=(ATTACHED, RENEWALS),
    link=SUBSCRIPTION,
    mails=(CARRIED_OVER_MAIL, CARRIED_OVER_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=CARRIED_OVER_MAIL, customer=CARRIED_OVER_CUSTOMER_MAIL, held=True),
)

REPLACED_MAIL = to_partner(
    "subscription_replaced",
    Topic.RENEWAL,
    title=_("You were not carried over to a replacement subscription"),
    subject=_("%(customer)s has a new subscription and you are not its partner of record: %(subscription)s"),
    paragraphs=(
        _(
            "%(subscription)s has replaced %(replaced)s. You were the partner of record for the old subscription. "
            "Under this agreement, the partner of record does not carry over to the new one."
        ),
        _("We have asked %(customer)s to confirm you. The subscription has no partner of record until they do."),
    ),
    context=_replaced_context,
    action=_("Open your subscriptions"),
    url=partner_subscriptions,
    inbox=_(
        "This subscription replaces one where you were the partner of record. We have asked the customer to confirm "
        "you."
    ),
)
REPLACED_CUSTOMER_MAIL = to_customer(
    "subscription_replaced_customer",
    Topic.RENEWAL,
    title=_("Confirm your partner for a replacement subscription"),
    subject=_("Is %(partner)s still your partner for %(subscription)s?"),
    paragraphs=(
        _(
            "%(subscription)s has replaced %(replaced)s. %(partner)s was the partner of record for the old "
            "subscription. Under this agreement, the partner of record does not carry over, so the new subscription "
            "has none."
        ),
        _(
            "If %(partner)s still works for you, confirm them as your partner of record. The page already shows their "
            "details, and no partner is attached until you select OK."
        ),
    ),
    context=_replaced_context,
    action=_("Check and confirm"),
    url=_confirmation,
    inbox=_("This subscription replaces another one. Is %(partner)s still your partner?"),
    values=partner_name,
    may=Right.ATTACH,
)


register(
    RenewalEvent.REPLACED,
    payload=Replaced,
    about=("subscription",),
    here=_("Replaces a subscription where {partner} was the partner of record, but they were not carried over"),
    elsewhere=_(
        "{object} replaces a subscription where {partner} was the partner of record, but they were not carried over"
    ),
    icon="flag",
    tone="bad",
    groups=(RENEWALS,),
    link=SUBSCRIPTION,
    mails=(REPLACED_MAIL, REPLACED_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=REPLACED_MAIL, customer=REPLACED_CUSTOMER_MAIL),
)
