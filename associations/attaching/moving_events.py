"""The events of a record that moves between locations of one company: one subscription, or many together."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.attaching.events import receipt_to_actor
from associations.record.events import (
    ATTACHED,
    COULD_NOT_TELL,
    PARTNER_KEEPS,
    SUBSCRIPTION,
    UNDONE,
    AssociationPayload,
    Named,
    RestContext,
    notify_customer,
    partner_subscriptions,
    rest_context,
    to_customer,
    to_partner,
    undo_until,
)
from associations.record.holdings import holdings
from associations.record.models import Association
from associations.record.rules import Source
from por.accounts.rules import OrganisationKind, Right
from por.history.events import Choice, EventType, Link, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.notifications.queries import unreached
from por.web.formatting import number_text


class MoveEvent(EventType):
    MOVED = "partner_of_record.moved"
    MOVED_TOGETHER = "partner_of_record.moved_together"
    LOCATION_MOVED = "partner_of_record.location_moved"
    MOVE_UNDONE = "partner_of_record.move_undone"


# --- Payloads -------------------------------------------------------------------------------------------------------


class Locations(TypedDict):
    former: Named
    to: Named


class Moved(AssociationPayload, Locations):
    """The new association, and the one that it took over from.

    `together` is set if the company has moved many, which other events tell of.
    """

    former_association: int
    change_request: NotRequired[int]  # the open one that goes on with the new location
    together: NotRequired[bool]


class MovedTogether(Locations):
    """What a company moved at one customer."""

    subscriptions: int


class LocationMoved(MovedTogether):
    """What a company moved at all its customers."""

    customers: int


class LocationNames(TypedDict):
    former: str
    to: str


def _names(payload: Locations) -> LocationNames:
    return {"former": payload["former"]["name"], "to": payload["to"]["name"]}


# --- One subscription -----------------------------------------------------------------------------------------------


class MovedContext(RestContext):
    """The values of a mail about one subscription. `rest` is what the former location has with the customer."""

    former: str
    asked: bool


def _context(event: Event) -> MovedContext:
    """Return the values for any reader: without the customer's note, which is for the new location."""
    found = Association.objects.select_related("partner", "subscription")
    association = found.get(pk=event.changes["former_association"])
    assert association.subscription is not None
    rest = holdings(association.partner, [association.subscription])
    return {
        **rest_context(event),
        "former": event.changes["former"]["name"],
        "asked": "change_request" in event.changes,
        "rest": rest.named(),
        "rest_with_ways": rest.with_ways(),
    }


def _new_location_context(event: Event) -> MovedContext:
    note = Association.objects.get(pk=event.changes["association"]).note
    return {**_context(event), "reason": note.splitlines()}


MOVED_TO = to_partner(
    "record_moved_to",
    Topic.RECORD,
    title=_("Record moved to your location"),
    subject=_("You are now the partner of record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        _(
            "The record for %(subscription)s (%(customer)s) has moved from %(former)s to %(partner)s, another location "
            "of the same company, from %(since)s."
        ),
        _("You can now see this subscription, its seats and its usage. You do not need to do anything."),
        Choice(
            "asked",
            {True: _("A change request about this subscription is open, and goes on with your location.")},
            (),
        ),
    ),
    context=_new_location_context,
    inbox=_("The record moved from %(former)s to %(to)s."),
    values=_names,
)
MOVED_FROM = to_partner(
    "record_moved_from",
    Topic.RECORD,
    title=_("Record moved to another location of your company"),
    subject=_("%(partner)s is now the partner of record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        _(
            "The record for %(subscription)s (%(customer)s) has moved from %(former)s to %(partner)s, another location "
            "of the same company, from %(since)s."
        ),
        _(
            "From now on, you can see its usage only for the months when you were the partner of record. The "
            "subscription stays in your list."
        ),
        PARTNER_KEEPS,
    ),
    context=_context,
    inbox=_("The record moved from %(former)s to %(to)s."),
    values=_names,
)
TOLD_LOCATIONS = Choice("unreached", {"": _("We have told both locations.")}, COULD_NOT_TELL)
MOVED_RECEIPT = to_customer(
    "record_moved_receipt",
    Topic.RECORD,
    title=_("Confirmation: record moved to another location"),
    subject=_("You moved the record for %(subscription)s to %(partner)s"),
    paragraphs=(
        (
            _(
                "%(partner)s is now the partner of record for %(subscription)s, in place of %(former)s. Both are "
                "locations of the same company."
            ),
            TOLD_LOCATIONS,
        ),
        Choice(
            "asked",
            {True: _("The open change request goes on with the new location.")},
            _("You can undo this until %(undo_until)s. After that, you can remove the partner at any time."),
        ),
    ),
    context=_context,
    inbox=_("You moved the record from %(former)s to %(to)s."),
    values=_names,
)
MOVED_FOR_CUSTOMER = to_customer(
    "record_moved_for_customer",
    Topic.RECORD,
    title=_("Record moved by the partner’s company"),
    subject=_("%(partner)s is now your partner of record for %(subscription)s"),
    paragraphs=(
        _(
            "The company of your partner of record has moved the record for %(subscription)s from %(former)s to "
            "%(partner)s, another of its locations."
        ),
        _("If this is not right, you can remove the partner or name another one at any time."),
    ),
    context=_context,
    inbox=_("The company of your partner moved the record from %(former)s to %(to)s."),
    values=_names,
    may=Right.REMOVE,
)


def _moved(event: Event) -> None:
    """Notify both locations, and the customer: who did it, or all who may act if the company did it.

    What a company has moved together is told once, and an accepted invitation tells its partner itself.
    """
    if event.changes.get("together"):
        return
    for pk in event.parties:
        if pk != _new_location(event):
            notify_organisation(event, MOVED_FROM, organisation_id=pk)
        elif event.changes["source"] != Source.INVITATION:
            notify_organisation(event, MOVED_TO, organisation_id=pk)
    if event.changes["source"] != Source.INVITATION and not receipt_to_actor(event, MOVED_RECEIPT):
        notify_customer(event, MOVED_FOR_CUSTOMER)


def _new_location(event: Event) -> int:
    return Association.objects.values_list("partner", flat=True).get(pk=event.changes["association"])


register(
    MoveEvent.MOVED,
    payload=Moved,
    about=("subscription",),
    here=_("The record moved from {former} to {to}, a location of the same company"),
    elsewhere=_("The record for {object} moved from {former} to {to}, a location of the same company"),
    icon="arrows",
    tone="ok",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(MOVED_TO, MOVED_FROM, MOVED_RECEIPT, MOVED_FOR_CUSTOMER),
    notify=_moved,
)

MOVE_UNDONE_MAIL = to_partner(
    "record_move_undone",
    Topic.RECORD,
    title=_("Move to another location undone"),
    subject=_("The move of %(subscription)s (%(customer)s) to %(partner)s was undone"),
    paragraphs=(
        _(
            "%(customer)s moved the record for %(subscription)s from %(former)s to %(partner)s, then undid this. "
            "%(former)s is the partner of record again, without a gap."
        ),
    ),
    context=_context,
    action=_("Open your subscriptions"),
    url=partner_subscriptions,
    inbox=_("The move from %(former)s to %(to)s was undone."),
    values=_names,
)
MOVE_UNDONE_RECEIPT = to_customer(
    "record_move_undone_receipt",
    Topic.RECORD,
    title=_("Confirmation: move to another location undone"),
    subject=_("You undid the move of %(subscription)s to %(partner)s"),
    paragraphs=(
        (
            _("%(former)s is the partner of record for %(subscription)s again, without a gap."),
            TOLD_LOCATIONS,
        ),
    ),
    context=_context,
    inbox=_("You undid the move from %(former)s to %(to)s."),
    values=_names,
)


def _move_undone(event: Event) -> None:
    for pk in event.parties:
        notify_organisation(event, MOVE_UNDONE_MAIL, organisation_id=pk)
    receipt_to_actor(event, MOVE_UNDONE_RECEIPT)


register(
    MoveEvent.MOVE_UNDONE,
    payload=Moved,
    about=("subscription",),
    here=_("The move of the record from {former} to {to} was undone"),
    elsewhere=_("The move of the record for {object} from {former} to {to} was undone"),
    icon="undo",
    tone="",
    groups=(UNDONE,),
    link=SUBSCRIPTION,
    mails=(MOVE_UNDONE_MAIL, MOVE_UNDONE_RECEIPT),
    notify=_move_undone,
    undoes=(MoveEvent.MOVED,),
)

# --- Many, by the company -------------------------------------------------------------------------------------------


class TogetherContext(MailContext):
    company: str
    customer: str
    former: str
    to: str
    subscriptions: str
    undo_until: str
    unreached: str


def _together_context(event: Event) -> TogetherContext:
    changes = event.changes
    id_text = gettext("%(name)s, MPN ID %(mpn_id)s")
    rows = [
        (gettext("From"), id_text % changes["former"]),
        (gettext("To"), id_text % changes["to"]),
        (gettext("Subscriptions"), number_text(changes["subscriptions"])),
    ]
    if "customers" in changes:
        rows.append((gettext("Customers"), number_text(changes["customers"])))
    if event.actor_name:
        rows.append((gettext("Done by"), event.actor_name))
    return {
        "company": event.actor_organisation_name,
        "customer": event.object_name,
        "former": changes["former"]["name"],
        "to": changes["to"]["name"],
        "subscriptions": number_text(changes["subscriptions"]),
        "undo_until": undo_until(event),
        "unreached": unreached(event),
        "rows": rows,
    }


def _subscriptions_with(event: Event) -> str:
    return f"{reverse('associations:subscription_list')}?partner_of_record={event.changes['to']['mpn_id']}"


MOVED_TOGETHER = mail(
    "record_moved_together",
    Topic.RECORD,
    to=(OrganisationKind.CUSTOMER,),
    title=_("Records moved by the partner’s company"),
    subject=_("%(company)s moved your subscriptions from %(former)s to %(to)s"),
    paragraphs=(
        _(
            "%(company)s, the company of your partner of record, has moved the record for the subscriptions counted "
            "below from %(former)s to %(to)s, another of its locations. Nothing else has changed."
        ),
        _("If this is not right, you can remove the partner or name another one at any time."),
    ),
    context=_together_context,
    action=_("View subscriptions"),
    url=_subscriptions_with,
    inbox=_("The company of your partner moved records from %(former)s to %(to)s."),
    values=_names,
    may=Right.REMOVE,
)
LOCATION_MOVED = mail(
    "record_location_moved",
    Topic.RECORD,
    to=(OrganisationKind.PARTNER,),
    title=_("Records moved between locations of your company"),
    subject=_("%(company)s moved records from %(former)s to %(to)s"),
    paragraphs=(
        _(
            "%(company)s has moved the record for the subscriptions counted below from %(former)s to %(to)s. The "
            "customers have been told."
        ),
        _(
            "%(former)s can see the usage of these subscriptions only for the months when it was the partner of "
            "record. %(to)s can see them from now on."
        ),
    ),
    context=_together_context,
    action=_("Open your subscriptions"),
    url=partner_subscriptions,
    inbox=_("Records moved from %(former)s to %(to)s."),
    values=_names,
)


def _moved_together(event: Event) -> None:
    notify_customer(event, MOVED_TOGETHER)


def _location_moved(event: Event) -> None:
    for pk in event.parties:
        notify_organisation(event, LOCATION_MOVED, organisation_id=pk)


register(
    MoveEvent.MOVED_TOGETHER,
    payload=MovedTogether,
    about=("customer",),
    here=_("Records moved together from {former} to {to}, a location of the same company"),
    elsewhere=_("Records of {object} moved together from {former} to {to}, a location of the same company"),
    icon="arrows",
    tone="info",
    groups=(ATTACHED,),
    link=Link("customer"),
    mails=(MOVED_TOGETHER,),
    notify=_moved_together,
)
register(
    MoveEvent.LOCATION_MOVED,
    payload=LocationMoved,
    about=("partner",),
    here=_("Records moved from {former} to {to}"),
    elsewhere=_("Records of {object} moved from {former} to {to}"),
    icon="arrows",
    tone="info",
    groups=(ATTACHED,),
    link=Link("partner"),
    mails=(LOCATION_MOVED,),
    notify=_location_moved,
)
