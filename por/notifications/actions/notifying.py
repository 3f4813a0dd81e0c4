"""Notifying members: a line in the inbox, and a mail if the member wants it. Which mail a member wants."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone
from django.utils.translation import get_language

from por.accounts.models import Membership, Organisation, User
from por.accounts.rules import rights_of
from por.history.models import Event
from por.notifications.actions import delivering
from por.notifications.actions.withdrawing import withdraw
from por.notifications.messages import Mail
from por.notifications.models import Delivery, How, Notification, Preference
from por.notifications.rules import OF_LOADS_A_MINUTE, next_digest
from por.queue.rules import priority_of

logger = logging.getLogger(__name__)


class Notice(NamedTuple):
    """One message about one event: to all members of an organisation, or to one of them."""

    event: Event
    message: Mail
    organisation_id: int | None
    user_id: int | None = None
    done_at: datetime | None = None  # when the line in the inbox was done
    always: bool = False  # the mail cannot be turned off
    to_contact: bool = False  # the contact address gets the mail if no member wants it
    held: bool = False  # the mail waits for the end of the import that is under way (see holding.py)


_gathered: ContextVar[list[Notice] | None] = ContextVar("gathered", default=None)


def notify_organisation(event: Event, message: Mail, *, organisation_id: int, held: bool = False) -> None:
    """Put a line in the inbox of every member of the organisation, and send mail to those who want it.

    If the mail requires a right, only members whose role has it are notified. If no member wants the mail, the contact
    address gets it. A second call for the same event adds nothing. What an import has changed is `held`: each recipient
    gets one mail about all of it.
    """
    _notify(Notice(event, message, organisation_id, to_contact=True, held=held))


def notify_actor(event: Event, message: Mail) -> None:
    """Send a receipt to the person who acted, if they want it; nothing if the system acted.

    The line in the inbox is done from the start: this person has nothing more to do.
    """
    if event.actor_id is not None:
        _notify(Notice(event, message, event.actor_organisation_id, event.actor_id, done_at=event.at))


def notify_member(event: Event, message: Mail, *, user_id: int, organisation_id: int, always: bool = True) -> None:
    """Notify one member; do nothing if the person is no longer a member. They cannot turn the mail off if `always`."""
    _notify(Notice(event, message, organisation_id, user_id, always=always))


def notify_former_member(event: Event, message: Mail, *, user_id: int, organisation_id: int) -> None:
    """Send a mail to someone who was a member until the event, and so has no inbox there."""
    person = User.objects.filter(pk=user_id, is_active=True).first()
    if person is not None:
        member = Membership(user=person, organisation=Organisation.objects.get(pk=organisation_id))
        Delivery.objects.bulk_create([to_member(event, message, member)], ignore_conflicts=True)
        delivering.wake.after_commit()


def notify_address(message: Mail, email: str) -> None:
    """Queue a mail about a person's own account, for whoever has this address. It is no event, and in no inbox.

    The address is not looked up until the mail is sent. So the work, and the answer to who asked, are always the same.
    """
    Delivery.objects.create(recipient=email, template=message.name, language=get_language() or "en", time_zone="UTC")
    delivering.wake.after_commit()


@contextmanager
def gathered() -> Iterator[None]:
    """Notify at the end of the block, for all notices together: five statements however many there are."""
    notices: list[Notice] = []
    token = _gathered.set(notices)
    try:
        yield
    finally:
        _gathered.reset(token)
    if notices:
        _send(notices)


def _notify(notice: Notice) -> None:
    notices = _gathered.get()
    if notices is None:
        _send([notice])
    else:
        notices.append(notice)


def _send(notices: Sequence[Notice]) -> None:
    """Insert the lines of inboxes, and the deliveries in the order of the notices."""
    members = _members(notices)
    how = _choices(notices, members)
    now = timezone.now()
    lines: list[Notification] = []
    mails: list[Delivery | Notice] = []
    unread: set[int] = set()  # the places in `mails` of notices that no inbox has either
    for notice in notices:
        is_wanted = is_read = False
        for member in members[notice.organisation_id]:
            if not _concerns(notice, member):
                continue
            wanted = _wanted(notice, member, how)
            is_wanted |= wanted != How.OFF
            is_read |= notice.message.inbox is not None
            if notice.message.inbox is not None:
                lines.append(_line(notice, member, digest=wanted == How.DIGEST, now=now))
            if wanted == How.AT_ONCE:
                mails.append(_held_if(notice.held, to_member(notice.event, notice.message, member)))
        if notice.to_contact and not is_wanted:
            unread |= set() if is_read else {len(mails)}
            mails.append(notice)
    organisations = Organisation.objects.in_bulk({one.organisation_id for one in mails if isinstance(one, Notice)})
    deliveries = []
    for place, one in enumerate(mails):
        if isinstance(one, Delivery):
            deliveries.append(one)
        elif (organisation := organisations[one.organisation_id or 0]).contact_email:
            deliveries.append(_held_if(one.held, _to_contact(one.event, one.message, organisation)))
        elif place in unread:
            deliveries.append(_to_no_one(one.event, one.message, organisation))
            logger.warning("No one of organisation %s can be notified of event %s.", organisation.pk, one.event.pk)
    Notification.objects.bulk_create(lines, ignore_conflicts=True)
    Delivery.objects.bulk_create(_paced(withdraw(deliveries)), ignore_conflicts=True)
    delivering.wake.after_commit()


def _paced(deliveries: list[Delivery]) -> list[Delivery]:
    """Return the deliveries; those that no person caused are due later if many of them wait, and never before those."""
    of_loads = [one for one in deliveries if one.priority and one.status == Delivery.Status.WAITING]
    if of_loads:
        waiting = Delivery.objects.waiting().filter(priority__gt=0, is_taken=False)
        found = waiting.aggregate(count=Count("pk"), last=Max("next_at"))
        now = timezone.now()
        for place, one in enumerate(of_loads, found["count"]):
            one.next_at = max(now + timedelta(minutes=place // OF_LOADS_A_MINUTE), found["last"] or now)
    return deliveries


def _held_if(held: bool, delivery: Delivery) -> Delivery:
    if held:
        delivery.status = Delivery.Status.HELD
    return delivery


def _wanted(notice: Notice, member: Membership, how: Mapping[tuple[int, str], How]) -> How:
    """Return how the member wants it: as chosen for this kind of message, else for its topic, else immediately."""
    message, topic = notice.message, notice.message.topic
    if notice.always or topic is None:
        return How.AT_ONCE
    return how.get((member.pk, message.name)) or how.get((member.pk, topic.key)) or How.AT_ONCE


class Reach(StrEnum):
    """What a message to an organisation leads to: a mail, only a line in the inbox of its members, or nothing."""

    MAIL = "mail"
    INBOX = "inbox"
    NO_ONE = "no_one"


def reach_of(messages: Mapping[int, Mail]) -> dict[int, Reach]:
    """Return how each of these messages reaches the organisation with this key, before an event has sent it.

    It looks at the same people and choices as sending does.
    """
    notices = [Notice(Event(), message, pk, to_contact=True) for pk, message in messages.items()]
    members = _members(notices)
    how = _choices(notices, members)
    contacts = dict(Organisation.objects.filter(pk__in=messages).values_list("pk", "contact_email"))
    reach = {}
    for notice in notices:
        concerned = [member for member in members[notice.organisation_id] if _concerns(notice, member)]
        pk = notice.organisation_id or 0
        if contacts.get(pk) or any(_wanted(notice, member, how) != How.OFF for member in concerned):
            reach[pk] = Reach.MAIL
        else:
            reach[pk] = Reach.INBOX if concerned and notice.message.inbox is not None else Reach.NO_ONE
    return reach


def _members(notices: Sequence[Notice]) -> Mapping[int | None, list[Membership]]:
    """Return the members whom any of the notices may concern, by organisation."""
    whole = {one.organisation_id for one in notices if one.user_id is None}
    people = {one.user_id for one in notices} - {None}
    concerned = Q(organisation__in=whole)
    if people:
        concerned |= Q(user__in=people, organisation__in={one.organisation_id for one in notices})
    found: dict[int | None, list[Membership]] = defaultdict(list)
    for member in Membership.objects.usable().filter(concerned).order_by("pk"):
        found[member.organisation_id].append(member)
    return found


def _choices(notices: Sequence[Notice], members: Mapping[int | None, list[Membership]]) -> dict[tuple[int, str], How]:
    """Return what the members chose for these kinds of mail and their topics, where they chose."""
    names = {
        name
        for one in notices
        if one.message.topic and not one.always
        for name in (one.message.name, one.message.topic.key)
    }
    found = [member.pk for group in members.values() for member in group]
    if not names or not found:
        return {}
    chosen = Preference.objects.filter(membership__in=found, message__in=names)
    return {(one.membership_id, one.message): How(one.how) for one in chosen}


def _concerns(notice: Notice, member: Membership) -> bool:
    if notice.user_id is not None:
        return member.user_id == notice.user_id
    return notice.message.may is None or notice.message.may in rights_of(member.organisation.kind, member.role)


def _line(notice: Notice, member: Membership, *, digest: bool, now: datetime) -> Notification:
    event = notice.event
    return Notification(
        membership=member,
        event=event,
        message=notice.message.name,
        about=f"{event.object_kind}:{event.object_id}",
        done_at=notice.done_at,
        digest_at=next_digest(now, member.time_zone) if digest else None,
    )


def to_member(event: Event, message: Mail, member: Membership) -> Delivery:
    """Return a delivery to a member, in their language and time zone; it is not saved yet."""
    return Delivery(
        event=event,
        organisation=member.organisation,
        user=member.user,
        recipient=member.user.email,
        template=message.name,
        language=member.user.language,
        time_zone=member.time_zone,
        priority=priority_of(event.actor_id),
    )


def _to_contact(event: Event, message: Mail, organisation: Organisation) -> Delivery:
    """Return a delivery to the contact address, in the language and time zone of the organisation."""
    return Delivery(
        event=event,
        organisation=organisation,
        recipient=organisation.contact_email,
        template=message.name,
        language=organisation.language,
        time_zone=organisation.time_zone,
        priority=priority_of(event.actor_id),
    )


def _to_no_one(event: Event, message: Mail, organisation: Organisation) -> Delivery:
    """Return a delivery that has no recipient and is never sent, so that staff see whom no one could tell."""
    delivery = _to_contact(event, message, organisation)
    delivery.status = Delivery.Status.UNREACHED
    return delivery


@transaction.atomic
def choose(membership: Membership, wanted: Mapping[str, How]) -> None:
    """Save how this member wants topics and kinds of mail; take kinds that are turned off out of the next digest."""
    Preference.objects.bulk_create(
        [Preference(membership=membership, message=message, how=how) for message, how in wanted.items()],
        update_conflicts=True,
        unique_fields=["membership", "message"],
        update_fields=["how"],
    )
    off = [message for message, how in wanted.items() if how == How.OFF]
    Notification.objects.put_aside().filter(membership=membership, message__in=off).update(digest_at=None)
