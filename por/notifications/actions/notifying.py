"""Notifying members: a line in the inbox, and a mail if the member wants it. Which mail a member wants."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from por.accounts.models import Membership, Organisation, User
from por.accounts.rules import rights_of
from por.history.models import Event
from por.notifications.actions import delivering
from por.notifications.messages import Mail
from por.notifications.models import Delivery, How, Notification, Preference
from por.notifications.rules import next_digest

logger = logging.getLogger(__name__)


def notify_organisation(event: Event, message: Mail, *, organisation_id: int) -> None:
    """Put a line in the inbox of every member of the organisation, and send mail to those who want it.

    If the mail requires a right, only members whose role has it are notified. If no member wants the mail, the contact
    address gets it. A second call for the same event adds nothing.
    """
    found = Membership.objects.usable().filter(organisation=organisation_id)
    members = [one for one in found if message.may is None or message.may in rights_of(one.organisation.kind, one.role)]
    if _notify(event, message, members):
        return
    organisation = Organisation.objects.get(pk=organisation_id)
    if organisation.contact_email:
        _insert([_to_contact(event, message, organisation)])
    else:
        logger.warning("No one of organisation %s can be notified of event %s.", organisation_id, event.pk)


def notify_actor(event: Event, message: Mail) -> None:
    """Send a receipt to the person who acted, if they want it; nothing if the system acted.

    The line in the inbox is done from the start: this person has nothing more to do.
    """
    members = Membership.objects.usable().filter(user=event.actor_id, organisation=event.actor_organisation_id)
    _notify(event, message, list(members), done_at=event.at)


def notify_member(event: Event, message: Mail, *, user_id: int, organisation_id: int) -> None:
    """Notify one member, with a mail that they cannot turn off; do nothing if the person is no longer a member."""
    members = list(Membership.objects.usable().filter(user=user_id, organisation=organisation_id))
    _put_in_inboxes(event, message, members, {}, done_at=None)
    _insert(to_member(event, message, member) for member in members)


def _notify(event: Event, message: Mail, members: list[Membership], *, done_at: datetime | None = None) -> bool:
    """Notify these members; return whether any of them gets mail, now or with a digest."""
    chosen = Preference.objects.filter(membership__in=members, message=message.name) if message.topic else ()
    how = {member.pk: How.AT_ONCE for member in members} | {one.membership_id: How(one.how) for one in chosen}
    _put_in_inboxes(event, message, members, how, done_at=done_at)
    _insert(to_member(event, message, member) for member in members if how[member.pk] == How.AT_ONCE)
    return not set(how.values()) <= {How.OFF}


def _put_in_inboxes(
    event: Event, message: Mail, members: list[Membership], how: dict[int, How], *, done_at: datetime | None
) -> None:
    if message.inbox is None:
        return
    now = timezone.now()
    Notification.objects.bulk_create(
        (
            Notification(
                membership=member,
                event=event,
                message=message.name,
                about=f"{event.object_kind}:{event.object_id}",
                done_at=done_at,
                digest_at=next_digest(now, member.user.time_zone) if how.get(member.pk) == How.DIGEST else None,
            )
            for member in members
        ),
        ignore_conflicts=True,
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
        time_zone=member.user.time_zone,
    )


def _to_contact(event: Event, message: Mail, organisation: Organisation) -> Delivery:
    """Return a delivery to the contact address. It has no time zone of its own, so it gets the default of a person."""
    return Delivery(
        event=event,
        organisation=organisation,
        recipient=organisation.contact_email,
        template=message.name,
        language=organisation.language,
        time_zone=User().time_zone,
    )


def _insert(deliveries: Iterable[Delivery]) -> None:
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    delivering.wake.after_commit()


@transaction.atomic
def choose(membership: Membership, wanted: Mapping[str, How]) -> None:
    """Save how this member wants each kind of mail; take the kinds that are turned off out of the next digest."""
    Preference.objects.bulk_create(
        [Preference(membership=membership, message=message, how=how) for message, how in wanted.items()],
        update_conflicts=True,
        unique_fields=["membership", "message"],
        update_fields=["how"],
    )
    off = [message for message, how in wanted.items() if how == How.OFF]
    Notification.objects.put_aside().filter(membership=membership, message__in=off).update(digest_at=None)
