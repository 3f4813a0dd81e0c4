"""The events of attaching and removing a partner of record, of undoing both, of resigning, and of attaching many."""

from __future__ import annotations

from functools import partial

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.attaching.models import Consent
from associations.record.events import (
    ATTACHED,
    CUSTOMER_KEEPS,
    ENDED_GROUP,
    PARTNER_KEEPS,
    SUBSCRIPTION,
    TOLD_CUSTOMER,
    TOLD_PARTNER,
    UNDONE,
    AssociationPayload,
    RestContext,
    notify_both,
    notify_customer,
    notify_partners,
    partner_name,
    partner_subscriptions,
    rest_context,
    to_customer,
    to_partner,
)
from associations.record.file_events import RECORDED_CUSTOMER_MAIL, RECORDED_MAIL
from associations.record.rules import Source
from por.accounts.rules import Right
from por.history.events import Choice, EventType, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_actor
from por.notifications.messages import Mail
from por.notifications.models import Topic
from por.web.formatting import day_text


class AttachEvent(EventType):
    ATTACHED = "partner_of_record.attached"
    REMOVED = "partner_of_record.removed"
    RESIGNED = "partner_of_record.resigned"
    ATTACH_UNDONE = "partner_of_record.attach_undone"
    REMOVAL_UNDONE = "partner_of_record.removal_undone"
    DATED_BACK = "partner_of_record.dated_back"
    DATED_FORWARD = "partner_of_record.dated_forward"
    DATING_UNDONE = "partner_of_record.dating_undone"


def notify_both_sides(event: Event, *, partner: Mail, receipt: Mail) -> None:
    """Notify the partner, and send a confirmation to the member of the customer who did it."""
    notify_partners(event, partner)
    receipt_to_actor(event, receipt)


def receipt_to_actor(event: Event, receipt: Mail) -> bool:
    """Send a confirmation to the member of the customer who did it; return whether one did."""
    is_of_customer = event.chain == f"organisation:{event.actor_organisation_id}"
    if is_of_customer:
        notify_actor(event, receipt)
    return is_of_customer


# --- Attached -------------------------------------------------------------------------------------------------------


class AttachedForContext(RestContext):
    by_partner: bool


def _attached_for(event: Event) -> AttachedForContext:
    """Return the context with the person at the customer who gave consent."""
    consent = Consent.objects.filter(association=event.changes["association"]).first()
    context = rest_context(event)
    if consent is not None:
        context["rows"].append((gettext("Consent given by"), f"{consent.name}, {day_text(consent.given_on)}"))
    return {**context, "by_partner": event.changes["source"] == Source.ACTIVATION}


ATTACHED_MAIL = to_partner(
    "record_attached",
    Topic.RECORD,
    title=_("Attached"),
    subject=Choice(
        "source",
        dict.fromkeys(
            (Source.ACTIVATION, Source.AUTOMATIC),
            _("You are the partner of record for %(subscription)s (%(customer)s)"),
        ),
        _("%(customer)s attached you as the partner of record for %(subscription)s"),
    ),
    paragraphs=(
        Choice(
            "source",
            {
                Source.ACTIVATION: _(
                    "%(partner)s activated %(subscription)s (%(customer)s), and is its partner of record from "
                    "%(since)s."
                ),
                Source.AUTOMATIC: _(
                    "%(partner)s sold %(subscription)s to %(customer)s, and so was attached automatically as its "
                    "partner of record from %(since)s."
                ),
            },
            _("%(customer)s has attached %(partner)s as the partner of record for %(subscription)s, from %(since)s."),
        ),
        Choice("source", dict.fromkeys((Source.ACTIVATION, Source.AUTOMATIC), TOLD_CUSTOMER), ()),
        _("You can now see this subscription, its seats and its usage. You do not need to do anything."),
        _("The customer can remove you at any time. We will tell you if that happens."),
    ),
    context=rest_context,  # that of the receipt too, so both are read once
    inbox=_("You were attached as the partner of record."),
)
ATTACHED_RECEIPT = to_customer(
    "record_attached_receipt",
    Topic.RECORD,
    title=_("Confirmation: partner attached"),
    subject=_("You attached %(partner)s as the partner of record for %(subscription)s"),
    paragraphs=(
        (_("%(partner)s is the partner of record for %(subscription)s, from %(since)s."), TOLD_PARTNER),
        Choice(
            "rest",
            {
                "": _(
                    "They can now see this subscription, its seats and its usage. They cannot change anything, and "
                    "cannot see anything else of yours."
                )
            },
            _(
                "They can now see this subscription, its seats and its usage. This does not let them change anything. "
                "What else they have with your organisation: %(rest)s."
            ),
        ),
        _("You can undo this until %(undo_until)s. After that, you can remove the partner at any time."),
    ),
    context=rest_context,
    inbox=_("You attached %(partner)s as the partner of record."),
    values=partner_name,
)
ATTACHED_FOR_CUSTOMER = to_customer(
    "record_attached_for_customer",
    Topic.RECORD,
    title=_("Partner attached by activation or automatically"),
    subject=_("%(partner)s is now your partner of record for %(subscription)s"),
    paragraphs=(
        Choice(
            "by_partner",
            {
                True: _(
                    "%(partner)s activated %(subscription)s with your organisation’s consent, and is its partner of "
                    "record from %(since)s."
                )
            },
            _(
                "%(partner)s sold you %(subscription)s, and so was attached automatically as its partner of record "
                "from %(since)s."
            ),
        ),
        _(
            "They can now see this subscription, its seats and its usage. If this is not right, you can remove the "
            "partner at any time."
        ),
    ),
    context=_attached_for,
    inbox=_("%(partner)s became your partner of record without any action from you. You can remove this partner."),
    values=partner_name,
    may=Right.REMOVE,
)


def _attached(event: Event) -> None:
    """Notify the partner and the person who did it; and the customer, if it did not attach the partner itself.

    An accepted invitation sends one notification, not one for each of its subscriptions. What a file says is told to
    both.
    """
    source = event.changes.get("source")
    if source == Source.INVITATION:
        return
    if source == Source.ESTATE:
        notify_both(event, partner=RECORDED_MAIL, customer=RECORDED_CUSTOMER_MAIL, held=True)
        return
    notify_both_sides(event, partner=ATTACHED_MAIL, receipt=ATTACHED_RECEIPT)
    if source in {Source.ACTIVATION, Source.AUTOMATIC}:
        notify_customer(event, ATTACHED_FOR_CUSTOMER)


register(
    AttachEvent.ATTACHED,
    payload=AssociationPayload,
    about=("subscription",),
    here=Choice(
        "source", {Source.ESTATE: _("A file names {partner} as the partner of record")}, _("{partner} attached")
    ),
    elsewhere=Choice(
        "source",
        {Source.ESTATE: _("A file names {partner} as the partner of record for {object}")},
        _("{partner} attached to {object}"),
    ),
    icon="link",
    tone="ok",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(ATTACHED_MAIL, ATTACHED_RECEIPT, ATTACHED_FOR_CUSTOMER, RECORDED_MAIL, RECORDED_CUSTOMER_MAIL),
    notify=_attached,
)

# --- Removed --------------------------------------------------------------------------------------------------------

REMOVED_MAIL = to_partner(
    "record_removed",
    Topic.RECORD,
    title=_("Removed"),
    subject=_("%(customer)s removed you as the partner of record for %(subscription)s"),
    paragraphs=(
        _("%(customer)s removed %(partner)s as the partner of record for %(subscription)s on %(until)s."),
        _(
            "From now on, you can see its usage only for the months when you were the partner of record. The "
            "subscription stays in your list."
        ),
        PARTNER_KEEPS,
    ),
    context=rest_context,
    inbox=_("You were removed as the partner of record."),
)
REMOVED_RECEIPT = to_customer(
    "record_removed_receipt",
    Topic.RECORD,
    title=_("Confirmation: partner removed"),
    subject=_("You removed %(partner)s as the partner of record for %(subscription)s"),
    paragraphs=(
        (_("%(partner)s stopped being the partner of record for %(subscription)s on %(until)s."), TOLD_PARTNER),
        _("From now on, they can see its usage only for the months when they were the partner of record."),
        CUSTOMER_KEEPS,
        _("You can undo this until %(undo_until)s. You can also attach a partner at any time."),
    ),
    context=rest_context,
    inbox=_("You removed %(partner)s as the partner of record."),
    values=partner_name,
)


register(
    AttachEvent.REMOVED,
    payload=AssociationPayload,
    about=("subscription",),
    here=_("{partner} removed"),
    elsewhere=_("{partner} removed from {object}"),
    icon="x",
    tone="bad",
    groups=(ENDED_GROUP,),
    link=SUBSCRIPTION,
    mails=(REMOVED_MAIL, REMOVED_RECEIPT),
    notify=partial(notify_both_sides, partner=REMOVED_MAIL, receipt=REMOVED_RECEIPT),
)

# --- Resigned -------------------------------------------------------------------------------------------------------

RESIGNED_MAIL = to_partner(
    "record_resigned",
    Topic.RECORD,
    title=_("Confirmation: resigned as partner of record"),
    subject=_("You resigned as the partner of record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        _(
            "%(partner)s resigned as the partner of record for %(subscription)s (%(customer)s) on %(until)s. We have "
            "told the customer."
        ),
        _(
            "From now on, you can see its usage only for the months when you were the partner of record. The "
            "subscription stays in your list."
        ),
    ),
    inbox=_("Your company resigned as the partner of record."),
)
RESIGNED_CUSTOMER_MAIL = to_customer(
    "record_resigned_customer",
    Topic.RECORD,
    title=_("Partner resigned"),
    subject=_("%(partner)s resigned as your partner of record for %(subscription)s"),
    paragraphs=(
        _("%(partner)s stopped being the partner of record for %(subscription)s on %(until)s, at their own request."),
        _(
            "From now on, they can see its usage only for the months when they were the partner of record. While the "
            "subscription is active, you can attach another partner."
        ),
    ),
    inbox=_("%(partner)s resigned as your partner of record."),
    values=partner_name,
    may=Right.ATTACH,
)


register(
    AttachEvent.RESIGNED,
    payload=AssociationPayload,
    about=("subscription",),
    here=_("{partner} resigned"),
    elsewhere=_("{partner} resigned from {object}"),
    icon="x",
    tone="bad",
    groups=(ENDED_GROUP,),
    link=SUBSCRIPTION,
    mails=(RESIGNED_MAIL, RESIGNED_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=RESIGNED_MAIL, customer=RESIGNED_CUSTOMER_MAIL),
)

# --- Undone ---------------------------------------------------------------------------------------------------------

ATTACH_UNDONE_MAIL = to_partner(
    "record_attach_undone",
    Topic.RECORD,
    title=_("Partner attachment undone"),
    subject=_("%(customer)s undid attaching you as the partner of record for %(subscription)s"),
    paragraphs=(
        _(
            "%(customer)s attached %(partner)s as the partner of record for %(subscription)s, then undid this. It "
            "counts as if it never happened."
        ),
        _("You no longer have access to this subscription and its usage as its partner of record."),
    ),
    action=_("Open your subscriptions"),
    url=partner_subscriptions,
    inbox=_("Attaching you was undone, so you are not the partner of record."),
)
ATTACH_UNDONE_RECEIPT = to_customer(
    "record_attach_undone_receipt",
    Topic.RECORD,
    title=_("Confirmation: partner attachment undone"),
    subject=_("You undid attaching %(partner)s as the partner of record for %(subscription)s"),
    paragraphs=(
        (
            _(
                "You attached %(partner)s as the partner of record for %(subscription)s, then undid this. It counts "
                "as if it never happened."
            ),
            TOLD_PARTNER,
        ),
        _("They no longer have access to this subscription and its usage as its partner of record."),
    ),
    inbox=_("You undid attaching %(partner)s as the partner of record."),
    values=partner_name,
)


register(
    AttachEvent.ATTACH_UNDONE,
    payload=AssociationPayload,
    about=("subscription",),
    here=_("The attachment of {partner} was undone"),
    elsewhere=_("The attachment of {partner} to {object} was undone"),
    icon="undo",
    tone="",
    groups=(UNDONE,),
    link=SUBSCRIPTION,
    mails=(ATTACH_UNDONE_MAIL, ATTACH_UNDONE_RECEIPT),
    notify=partial(notify_both_sides, partner=ATTACH_UNDONE_MAIL, receipt=ATTACH_UNDONE_RECEIPT),
    undoes=(AttachEvent.ATTACHED,),
)

REMOVAL_UNDONE_MAIL = to_partner(
    "record_removal_undone",
    Topic.RECORD,
    title=_("Partner removal undone"),
    subject=_("You are the partner of record for %(subscription)s (%(customer)s) again"),
    paragraphs=(
        _("%(customer)s removed %(partner)s as the partner of record for %(subscription)s, then undid this."),
        _(
            "You have been the partner of record since %(since)s, without a gap. You can see the subscription, its "
            "seats and its usage again."
        ),
    ),
    inbox=_("Your removal was undone. You are the partner of record again, without a gap."),
)
REMOVAL_UNDONE_RECEIPT = to_customer(
    "record_removal_undone_receipt",
    Topic.RECORD,
    title=_("Confirmation: partner removal undone"),
    subject=_("You undid the removal of %(partner)s as the partner of record for %(subscription)s"),
    paragraphs=(
        (
            _("%(partner)s is the partner of record for %(subscription)s again, since %(since)s without a gap."),
            TOLD_PARTNER,
        ),
        _("They can see the subscription, its seats and its usage as before."),
    ),
    inbox=_("You undid the removal of %(partner)s."),
    values=partner_name,
)


register(
    AttachEvent.REMOVAL_UNDONE,
    payload=AssociationPayload,
    about=("subscription",),
    here=_("The removal of {partner} was undone"),
    elsewhere=_("The removal of {partner} from {object} was undone"),
    icon="undo",
    tone="ok",
    groups=(UNDONE,),
    link=SUBSCRIPTION,
    mails=(REMOVAL_UNDONE_MAIL, REMOVAL_UNDONE_RECEIPT),
    notify=partial(notify_both_sides, partner=REMOVAL_UNDONE_MAIL, receipt=REMOVAL_UNDONE_RECEIPT),
    undoes=(AttachEvent.REMOVED,),
)
