"""What happened, in words, as one viewer may read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations import lines
from associations.models import Association, partners_of
from associations.rules import Cancellation
from por.accounts.models import Actor
from por.accounts.rules import Kind
from por.history.models import Event

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


@dataclass(frozen=True)
class Verb:
    """How an event looks: `here` says it on its subscription's own page, `there` where others stand beside it."""

    icon: str
    tone: str
    here: LazyText
    there: LazyText


VERBS = {
    "partner_of_record.attached": Verb(
        "link", "ok", gettext_lazy("{partner} attached"), gettext_lazy("{partner} attached to {object}")
    ),
    "partner_of_record.removed": Verb(
        "x", "bad", gettext_lazy("{partner} removed"), gettext_lazy("{partner} removed from {object}")
    ),
    "partner_of_record.attach_undone": Verb(
        "undo",
        "",
        gettext_lazy("The attachment of {partner} was undone"),
        gettext_lazy("The attachment of {partner} to {object} was undone"),
    ),
    "partner_of_record.removal_undone": Verb(
        "undo",
        "ok",
        gettext_lazy("The removal of {partner} was undone"),
        gettext_lazy("The removal of {partner} from {object} was undone"),
    ),
    "partner_of_record.dated_back": Verb(
        "clock",
        "",
        gettext_lazy("The start date for {partner} was moved earlier"),
        gettext_lazy("The start date for {partner} on {object} was moved earlier"),
    ),
    "change_request.opened": Verb(
        "help",
        "info",
        gettext_lazy("{partner} was proposed, and a change request was opened"),
        gettext_lazy("{partner} was proposed for {object}, and a change request was opened"),
    ),
    "change_request.joined": Verb(
        "help",
        "info",
        gettext_lazy("{partner} was added to the change request"),
        gettext_lazy("{partner} was added to the change request for {object}"),
    ),
    "change_request.stated": Verb(
        "send",
        "",
        gettext_lazy("{partner} wrote a statement for the customer"),
        gettext_lazy("{partner} wrote a statement about {object} for the customer"),
    ),
    "change_request.forwarded": Verb(
        "arrow",
        "",
        gettext_lazy("The change request was forwarded to {to}"),
        gettext_lazy("The change request for {object} was forwarded to {to}"),
    ),
    "change_request.reminded": Verb(
        "bell",
        "",
        gettext_lazy("The administrators were reminded about the change request"),
        gettext_lazy("The administrators were reminded about the change request for {object}"),
    ),
    "change_request.answered": Verb(
        "ok",
        "ok",
        gettext_lazy("Change request answered: {partner} is doing the work"),
        gettext_lazy("Change request for {object} answered: {partner} is doing the work"),
    ),
    "change_request.answer_undone": Verb(
        "undo",
        "",
        gettext_lazy("The answer to the change request was undone"),
        gettext_lazy("The answer to the change request for {object} was undone"),
    ),
    "change_request.expired": Verb(
        "clock",
        "",
        gettext_lazy("The change request was not answered in time, so nothing changed"),
        gettext_lazy("The change request for {object} was not answered in time, so nothing changed"),
    ),
    "change_request.cancelled": Verb(
        "x",
        "",
        gettext_lazy("The change request was cancelled"),
        gettext_lazy("The change request for {object} was cancelled"),
    ),
    "invitation.sent": Verb(
        "send",
        "info",
        gettext_lazy("{partner} sent the invitation"),
        gettext_lazy("{partner} sent an invitation to {object}"),
    ),
    "invitation.opened": Verb(
        "eye", "", gettext_lazy("Opened"), gettext_lazy("{object} opened the invitation from {partner}")
    ),
    "invitation.accepted": Verb(
        "check", "ok", gettext_lazy("Accepted"), gettext_lazy("{object} accepted the invitation from {partner}")
    ),
    "invitation.declined": Verb(
        "x", "bad", gettext_lazy("Declined"), gettext_lazy("{object} declined the invitation from {partner}")
    ),
    "invitation.reported": Verb(
        "flag", "bad", gettext_lazy("Reported"), gettext_lazy("{object} reported the invitation from {partner}")
    ),
    "invitation.revoked": Verb(
        "undo",
        "",
        gettext_lazy("{partner} withdrew the invitation"),
        gettext_lazy("{partner} withdrew its invitation to {object}"),
    ),
    "invitation.expired": Verb(
        "clock",
        "",
        gettext_lazy("Expired without an answer"),
        gettext_lazy("The invitation from {partner} to {object} expired without an answer"),
    ),
    "subscription.changed": Verb(
        "info", "info", gettext_lazy("The subscription has changed"), gettext_lazy("{object} has changed")
    ),
    "transition.reminded": Verb(
        "clock",
        "info",
        gettext_lazy("Reminder sent about legacy forms that still need to move"),
        gettext_lazy("{object} was reminded about legacy forms that still need to move"),
    ),
    "subscription.renewal_due": Verb(
        "calendar", "info", gettext_lazy("Renewal notice"), gettext_lazy("Renewal notice for {object}")
    ),
    "subscription.replaced": Verb(
        "flag",
        "bad",
        gettext_lazy(
            "Replaces a subscription where {partner} was the partner of record, but they were not carried over"
        ),
        gettext_lazy(
            "{object} replaces a subscription where {partner} was the partner of record, but they were not carried over"
        ),
    ),
    "partner_of_record.carried_over": Verb(
        "link",
        "ok",
        gettext_lazy("{partner} was carried over from the replaced subscription"),
        gettext_lazy("{partner} was carried over to {object} from the subscription that it replaces"),
    ),
    "bulk.requested": Verb(
        "upload", "info", gettext_lazy("Rows sent to attach partners"), gettext_lazy("Rows sent to attach partners")
    ),
    "delivery.replayed": Verb(
        "send",
        "info",
        gettext_lazy("The message about this was sent again"),
        gettext_lazy("The message about {object} was sent again"),
    ),
    "outbox.replayed": Verb(
        "undo",
        "info",
        gettext_lazy("The follow-up actions were restarted"),
        gettext_lazy("The follow-up actions for {object} were restarted"),
    ),
    "member.added": Verb(
        "plus", "ok", gettext_lazy("Added to platform staff"), gettext_lazy("{object} added to platform staff")
    ),
    "member.role_changed": Verb(
        "person", "", gettext_lazy("Role changed"), gettext_lazy("The role of {object} was changed")
    ),
    "member.removed": Verb(
        "x", "bad", gettext_lazy("Removed from platform staff"), gettext_lazy("{object} removed from platform staff")
    ),
    "person.suspended": Verb("alert", "bad", gettext_lazy("Suspended"), gettext_lazy("{object} suspended")),
    "person.reactivated": Verb("ok", "ok", gettext_lazy("Reactivated"), gettext_lazy("{object} reactivated")),
    "estate.loaded": Verb(
        "download",
        "info",
        gettext_lazy("Data updated: {object}"),
        gettext_lazy("Data updated: {object}"),
    ),
    "estate.load_requested": Verb(
        "upload", "info", gettext_lazy("Import requested"), gettext_lazy("Import requested: {object}")
    ),
    "estate.load_cancelled": Verb(
        "x", "", gettext_lazy("Import cancelled"), gettext_lazy("Import cancelled: {object}")
    ),
    "estate.load_ended": Verb("ok", "ok", gettext_lazy("Import finished"), gettext_lazy("Import finished: {object}")),
    "estate.load_failed": Verb("alert", "bad", gettext_lazy("Import failed"), gettext_lazy("Import failed: {object}")),
}
#: The answer that names nobody.
NEITHER = Verb(
    "ok",
    "",
    gettext_lazy("Change request answered: neither partner is doing the work"),
    gettext_lazy("Change request for {object} answered: neither partner is doing the work"),
)
#: For verbs of other rooms that nobody has put into words here.
OTHER = Verb("info", "", gettext_lazy("{object}: {verb}"), gettext_lazy("{object}: {verb}"))


@dataclass(frozen=True)
class Item:
    """A line of a timeline, in the shape templates/ui/timeline.html shows."""

    icon: str
    tone: str
    sentence: SafeString
    at: datetime
    by: str
    reason: str


def items(actor: Actor, events: Iterable[Event], *, here: bool = False) -> list[Item]:
    """The events in words; `here` on the page of the one subscription they are all about."""
    found = list(events)
    known = _known(actor, found)
    return [_item(actor, event, known, here=here) for event in found]


@dataclass(frozen=True)
class Known:
    """What the reader of some events may know of them: the pages they may open, and the partners that are theirs.

    `own` is None for those who may know all partners.
    """

    pages: frozenset[str]
    own: frozenset[str] | None


def _known(actor: Actor, events: Sequence[Event]) -> Known:
    ids = {event.object_id for event in events if event.object_kind == "subscription"}
    own = own_mpn_ids(actor) if events else None
    if actor.kind != Kind.PARTNER or not ids:
        return Known(frozenset(ids), own)
    seen = Association.objects.standing().visible_to(actor).filter(subscription__subscription_id__in=ids)
    return Known(frozenset(map(str, seen.values_list("subscription__subscription_id", flat=True))), own)


def _item(actor: Actor, event: Event, known: Known, *, here: bool) -> Item:
    verb = VERBS.get(event.verb, OTHER)
    if event.verb == "change_request.answered" and "partner" not in event.changes:
        verb = NEITHER
    name = event.object_name or event.object_id or event.object_kind
    url = _url(actor, event, known)
    pattern = str(verb.here if here else verb.there)
    partner = partner_name(event, known.own, first=pattern.startswith("{partner}"))
    sentence = format_html(
        pattern,
        partner=format_html("<b>{}</b>", partner),
        object=format_html('<a href="{}">{}</a>', url, name) if url else name,
        verb=event.verb,
        to=event.changes["to"]["name"] if event.verb == "change_request.forwarded" else "",
    )
    by = event.actor_name
    if actor.kind != Kind.CUSTOMER and event.actor_organisation_name:
        by = f"{by}, {event.actor_organisation_name}" if by else event.actor_organisation_name
    return Item(verb.icon, verb.tone, sentence, event.at, by, event.reason or _what_changed(event))


def _what_changed(event: Event) -> str:
    """What a subscription was and is now, where the estate says otherwise than before; why a question was cancelled."""
    if event.verb == "change_request.cancelled":
        return str(Cancellation(event.changes["why"]).label)
    return ", ".join(f"{label}: {change}" for label, change in lines.changes(event))


def _url(actor: Actor, event: Event, known: Known) -> str:
    """Where the reader finds what an event is about, or to staff, all about the event; nothing if nowhere."""
    if actor.is_staff:
        return reverse("associations:event", args=[event.pk])
    if question := event.changes.get("change_request"):  # of which every reader of its events has a page
        page = "partner_change_request" if actor.kind == Kind.PARTNER else "change_request"
        return reverse(f"associations:{page}", args=[question])
    if event.object_kind == "invitation":  # and so has every reader of an invitation's
        page = "partner_invitation" if actor.kind == Kind.PARTNER else "invitation"
        return reverse(f"associations:{page}", args=[UUID(event.object_id)])
    if event.object_id not in known.pages:
        return ""
    page = "partner_subscription_detail" if actor.kind == Kind.PARTNER else "subscription_detail"
    return reverse(f"associations:{page}", args=[UUID(event.object_id)])


def partner_name(event: Event, own: frozenset[str] | None, *, first: bool = True) -> str:
    """The partner an event is about. To a partner, whose IDs are `own`, any other one is another partner.

    `first` where it is the first thing said.
    """
    partner = event.changes.get("partner") or {}
    if own is not None and partner.get("mpn_id") not in own:
        return _("Another partner") if first else _("another partner")
    return str(partner.get("name", ""))


def own_mpn_ids(actor: Actor) -> frozenset[str] | None:
    """The IDs of the partners an actor may read of in events; None if that is all."""
    if actor.kind != Kind.PARTNER:
        return None
    return frozenset(partners_of(actor).values_list("mpn_id", flat=True))
