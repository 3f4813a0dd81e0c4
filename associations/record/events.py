"""What the events of all features of the record share, and the events of an association that ends from outside."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import NotRequired, TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record import signing
from associations.record.holdings import holdings
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.rules import AssociationKind, EndReason
from por.accounts.rules import OrganisationKind
from por.db.prepared import Param, PreparedQuery
from por.directory.models import Subscription
from por.history.actions.recording import organisation_of
from por.history.events import Choice, EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import Mail, MailContext, mail
from por.notifications.models import Topic
from por.notifications.queries import unreached
from por.web.formatting import moment_text, number_text


class EndEvent(EventType):
    ENDED = "partner_of_record.ended"
    OTHER_KIND_ENDED = "association.ended"

    @classmethod
    def ended(cls, kind: str) -> EndEvent:
        """Return the event of an association of this kind that ends."""
        return cls.ENDED if kind == AssociationKind.DPOR else cls.OTHER_KIND_ENDED


# --- Payloads -------------------------------------------------------------------------------------------------------


class Named(TypedDict):
    """A partner, with its name at the time."""

    mpn_id: str
    name: str


class WithPartner(TypedDict):
    partner: Named


class WithFingerprints(TypedDict):
    """The associations that the event has changed: the fingerprint of each after it, by its key (see describing.py)."""

    fingerprints: NotRequired[dict[str, str]]


class AssociationPayload(WithPartner, WithFingerprints):
    """One association after the event; instants are ISO 8601."""

    association: int
    source: str
    began_at: str
    ended_at: str | None
    end_reason: NotRequired[str]


# --- What all of them share -----------------------------------------------------------------------------------------

#: Groups of the history's filter that several features have events in.
ATTACHED = event_group("attached", _("Attached"))
ENDED_GROUP = event_group("removed", _("Removed or ended"))
UNDONE = event_group("undone", _("Undone"))

SUBSCRIPTION = Link(
    "subscription",
    customer="associations:subscription_detail",
    partner="associations:partner_subscription_detail",
    staff="associations:staff_subscription_detail",
)


class PartnerName(TypedDict):
    partner: str


def partner_name(payload: WithPartner) -> PartnerName:
    return {"partner": payload["partner"]["name"]}


def subscription_page(event: Event) -> str:
    """Return the customer's page of the subscription."""
    return reverse("associations:subscription_detail", args=[event.object_id])


def partner_subscription_page(event: Event) -> str:
    """Return the partner's page of the subscription."""
    return reverse("associations:partner_subscription_detail", args=[event.object_id])


def partner_subscriptions(event: Event) -> str:
    """Return the partner's list: for mails about a subscription it can no longer open."""
    return reverse("associations:partner_subscription_list")


def customer_of(event: Event) -> int:
    """Return the customer whose chain the event is in."""
    customer = organisation_of(event.chain)
    assert customer is not None
    return customer


def undo_until(event: Event) -> str:
    """Return until when the event can be undone."""
    return moment_text(event.at + policy_on(event.at.date()).undo_within, zone=True)


class RecordContext(MailContext):
    """The values in the mails of the record. Moments are "" where the payload has none.

    `unreached` are the organisations where no one could be told; "" if there are none.
    """

    customer: str
    partner: str
    subscription: str
    source: str | None
    since: str
    since_before: str
    until: str
    undo_until: str
    unreached: str


_SUBSCRIPTION = PreparedQuery(
    lambda: Subscription.objects.select_related("customer__organisation", "sku").filter(subscription_id=Param("id"))
)


def record_context(event: Event) -> RecordContext:
    """Return the values for a mail: of the change from the event, of the subscription from the directory."""
    found, customer_id = _SUBSCRIPTION.all(id=event.object_id), customer_of(event)
    subscription = next((one for one in found if one.customer_id == customer_id), None)  # others have had it too
    if subscription is None:
        raise Subscription.DoesNotExist
    partner, association = event.changes["partner"], event.changes.get("association")
    customer = subscription.customer.organisation.name
    rows = [
        (gettext("Customer"), customer),
        (gettext("Product"), subscription.get_product_display()),
        (gettext("SKU"), subscription.sku.name if subscription.sku else gettext("unknown")),
        (gettext("Subscription ID"), event.object_id),
        (gettext("Seats"), gettext("unknown") if subscription.seats is None else number_text(subscription.seats)),
        (gettext("Partner"), gettext("%(name)s, MPN ID %(mpn_id)s") % partner),
    ]
    if event.actor_name:
        rows.append((gettext("Done by"), event.actor_name))
    return {
        "customer": customer,
        "partner": partner["name"],
        "subscription": subscription.name,
        "source": event.changes.get("source"),
        "since": moment_of(event.changes.get("began_at")),
        "since_before": moment_of(event.changes.get("began_at_before")),
        "until": moment_of(event.changes.get("ended_at")),
        "undo_until": undo_until(event),
        "unreached": unreached(event),
        "rows": rows,
        "reason": event.reason.splitlines(),
        "receipt": reverse("associations:receipt", args=[signing.sign(association)]) if association else "",
    }


class RestContext(RecordContext):
    """The values of a mail that says what else the partner has with the customer; "" for nothing."""

    rest: str
    rest_with_ways: str


def rest_context(event: Event) -> RestContext:
    """Return the values for a mail, with what the partner has beside this subscription."""
    return _with_rest(event, _association(event))


_ASSOCIATION = PreparedQuery(
    lambda: Association.objects.select_related("partner", "subscription").filter(pk=Param("association"))
)


def _association(event: Event) -> Association:
    found = _ASSOCIATION.one(association=event.changes["association"])
    if found is None:
        raise Association.DoesNotExist
    return found


def _with_rest(event: Event, association: Association) -> RestContext:
    assert association.subscription is not None
    rest = holdings(association.partner, [association.subscription])
    return {**record_context(event), "rest": rest.named(), "rest_with_ways": rest.with_ways()}


#: Whether the other side was told.
COULD_NOT_TELL = _(
    "We could not tell anyone at %(unreached)s, which has no people here and no contact address. Tell them yourself."
)
TOLD_PARTNER = Choice("unreached", {"": _("We have told the partner.")}, COULD_NOT_TELL)
TOLD_CUSTOMER = Choice("unreached", {"": _("We have told the customer.")}, COULD_NOT_TELL)
#: What else a partner has after it is no longer the partner of record: as its mail says it, and as the customer's.
PARTNER_KEEPS = Choice(
    "rest",
    {"": _("You have no other association with %(customer)s.")},
    _("With %(customer)s, you still have: %(rest)s."),
)
CUSTOMER_KEEPS = Choice(
    "rest",
    {"": _("%(partner)s has no other association with your organisation.")},
    _("%(partner)s still has the following, and you can end each of them. %(rest_with_ways)s"),
)


def moment_of(stored: str | None) -> str:
    return moment_text(datetime.fromisoformat(stored), zone=True) if stored else ""


#: A mail about a subscription: to its partners, or to the customer. Give `context`, `action` or `url` for another one.
to_partner = partial(
    mail,
    to=(OrganisationKind.PARTNER,),
    context=record_context,
    action=_("Open the subscription"),
    url=partner_subscription_page,
)
to_customer = partial(
    mail,
    to=(OrganisationKind.CUSTOMER,),
    context=record_context,
    action=_("Open the subscription"),
    url=subscription_page,
)


def notify_partners(event: Event, message: Mail, *, held: bool = False) -> None:
    """Notify every partner that is a party to the event. What an import has changed is `held`."""
    for organisation_id in event.parties:
        notify_organisation(event, message, organisation_id=organisation_id, held=held)


def notify_customer(event: Event, message: Mail, *, held: bool = False) -> None:
    """Notify the customer whose chain the event is in."""
    notify_organisation(event, message, organisation_id=customer_of(event), held=held)


def notify_both(event: Event, *, partner: Mail, customer: Mail, held: bool = False) -> None:
    """Notify the partners that are parties to the event, and the customer."""
    notify_partners(event, partner, held=held)
    notify_customer(event, customer, held=held)


# --- An end from outside --------------------------------------------------------------------------------------------


class EndContext(RestContext):
    why: str


class EndValues(PartnerName):
    why: str


def _end_context(event: Event) -> EndContext:
    """Return the end reason too. It is one of the codes, so the mail has no free text."""
    association = _association(event)
    return {**_with_rest(event, association), "why": association.get_end_reason_display(), "reason": []}


def _end_values(payload: AssociationPayload) -> EndValues:
    return {**partner_name(payload), "why": end_reason_text(payload)}


def end_reason_text(payload: AssociationPayload) -> str:
    """Return why the association ended; "" for an old event without a reason."""
    reason = payload.get("end_reason")
    return str(EndReason(reason).label) if reason else ""


ENDED_MAIL = to_partner(
    "record_ended",
    Topic.RECORD,
    title=_("Notice to partner: no longer partner of record"),
    subject=_("You are no longer the partner of record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        _("You stopped being the partner of record for %(subscription)s (%(customer)s) on %(until)s. %(why)s."),
        _(
            "From now on, you can see its usage only for the months when you were the partner of record. The "
            "subscription stays in your list."
        ),
        PARTNER_KEEPS,
    ),
    context=_end_context,
    inbox=_("You are no longer the partner of record. %(why)s."),
    values=_end_values,
)
ENDED_CUSTOMER_MAIL = to_customer(
    "record_ended_customer",
    Topic.RECORD,
    title=_("Notice to customer: partner is no longer partner of record"),
    subject=_("%(partner)s is no longer your partner of record for %(subscription)s"),
    paragraphs=(
        _("%(partner)s stopped being the partner of record for %(subscription)s on %(until)s. %(why)s."),
        _(
            "From now on, they can see its usage only for the months when they were the partner of record. While the "
            "subscription is active, you can attach another partner."
        ),
        CUSTOMER_KEEPS,
    ),
    context=_end_context,
    inbox=_("%(partner)s is no longer your partner of record. %(why)s."),
    values=_end_values,
)


def _why(event: Event) -> str:
    return end_reason_text(event.changes)


register(
    EndEvent.ENDED,
    payload=AssociationPayload,
    about=("subscription",),
    here=_("{partner} is no longer the partner of record"),
    elsewhere=_("{partner} is no longer the partner of record for {object}"),
    icon="x",
    tone="bad",
    groups=(ENDED_GROUP,),
    link=SUBSCRIPTION,
    mails=(ENDED_MAIL, ENDED_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=ENDED_MAIL, customer=ENDED_CUSTOMER_MAIL, held=True),
    detail=_why,
)
register(
    EndEvent.OTHER_KIND_ENDED,
    payload=AssociationPayload,
    about=("subscription", "customer"),
    here=_("The association with {partner} ended"),
    elsewhere=_("The association of {partner} with {object} ended"),
    icon="x",
    tone="",
    groups=(ENDED_GROUP,),
    link=SUBSCRIPTION,
    mails=(),
    detail=_why,
)
