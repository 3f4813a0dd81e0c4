"""Writing down who is told what, and sending it; beside it: what a member does in their inbox, and the digests."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPResponseException

from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, Membership, Organisation, User
from por.accounts.rules import rights_of
from por.errors import Absent, Refused
from por.history import actions as history
from por.history.models import Event
from por.notifications.events import DeliveryEvent
from por.notifications.messages import Mail, compose
from por.notifications.models import Delivery, DeliveryQuerySet, How, Notification, Preference
from por.notifications.rules import next_digest
from por.queue import replays
from por.queue.wake import Wake
from por.queue.work import LeasedQueue, text_of
from por.waiting import advisory_lock

logger = logging.getLogger(__name__)

#: The mail server closes the conversation: it speaks of itself, not of the message.
SHUTTING_DOWN = 421
#: Wakes the sender after a commit.
wake = Wake()


# --- Who is told ------------------------------------------------------------------------------------------------


def tell(event: Event, message: Mail, *, organisation_id: int) -> None:
    """A line in the inbox of every member of the organisation, and mail as each wants it.

    Where the mail asks for a right, only of members whose role has it. The contact address gets what no member wants
    by mail. Telling again what was told adds nothing.
    """
    found = Membership.objects.usable().filter(organisation=organisation_id)
    members = [one for one in found if message.may is None or message.may in rights_of(one.organisation.kind, one.role)]
    if _tell(event, message, members):
        return
    organisation = Organisation.objects.get(pk=organisation_id)
    if organisation.contact_email:
        _insert([_to_contact(event, message, organisation)])
    else:
        logger.warning("Nobody of organisation %s can be told of event %s.", organisation_id, event.pk)


def confirm(event: Event, message: Mail) -> None:
    """A receipt to the person who acted, if they want it; none if it was the clock or a command.

    In the inbox it stands as done: whoever did it has nothing more to do about it.
    """
    members = Membership.objects.usable().filter(user=event.actor_id, organisation=event.actor_organisation_id)
    _tell(event, message, list(members), done_at=event.at)


def inform(event: Event, message: Mail, *, user_id: int, organisation_id: int) -> None:
    """Tells one member of the organisation, by mail whatever mail they have turned off; nobody if they are gone."""
    members = list(Membership.objects.usable().filter(user=user_id, organisation=organisation_id))
    _put_in_inboxes(event, message, members, {}, done_at=None)
    _insert(to_member(event, message, member) for member in members)


def _tell(event: Event, message: Mail, members: list[Membership], *, done_at: datetime | None = None) -> bool:
    """Says whether any of them gets mail, now or with a digest."""
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
    """In their language and zone; not saved yet."""
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
    """A bare address has no zone of its own: it gets the one that a new person starts with."""
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
    wake.after_commit()


@transaction.atomic
def choose(membership: Membership, wanted: Mapping[str, How]) -> None:
    """Keeps how this member wants the mail of each of these kinds of message; what they turn off leaves the digest."""
    Preference.objects.bulk_create(
        [Preference(membership=membership, message=message, how=how) for message, how in wanted.items()],
        update_conflicts=True,
        unique_fields=["membership", "message"],
        update_fields=["how"],
    )
    off = [message for message, how in wanted.items() if how == How.OFF]
    Notification.objects.put_aside().filter(membership=membership, message__in=off).update(digest_at=None)


# --- Sending again ----------------------------------------------------------------------------------------------


@transaction.atomic
def replay(delivery_id: int, *, by: Actor) -> Delivery:
    """Send a message again that was refused or given up: the same Message-ID, with all its tries before it.

    Raises Forbidden, Absent, Busy, or `not_failed`: it was sent, or someone else was first.
    """
    found = replays.replay(
        Delivery.objects.select_related("event"),
        delivery_id,
        by=by,
        not_found=Absent("not_found", _("We could not find this message.")),
        refusal=_not_failed,
    )
    wake.after_commit()
    delivery = found.row
    about = history.About("delivery", str(delivery.pk), delivery.event.object_name)
    changes = {"event": delivery.event_id, **found.before}
    history.record(DeliveryEvent.REPLAYED, about, by=by, at=found.at, of=delivery.organisation_id, changes=changes)
    return delivery


def _not_failed(delivery: Delivery) -> Refused:
    sent = delivery.status == Delivery.Status.SENT
    return Refused("not_failed", SENT_ALREADY if sent else ON_ITS_WAY)


SENT_ALREADY = _("This message has already been sent, so you cannot send it again.")
ON_ITS_WAY = _("This message is already waiting to be sent. Someone may have just sent it again.")


def replay_failed(*, by: Actor) -> int:
    """Send all messages again that failed; return how many. Raises Forbidden."""
    return replays.replay_each(Delivery.objects.failed(), lambda delivery_id: replay(delivery_id, by=by), by=by)


# --- Sending ----------------------------------------------------------------------------------------------------


class Deliveries(LeasedQueue[Delivery]):
    """The messages that have to leave, over one connection to the mail server."""

    def __init__(self) -> None:
        self.server: BaseEmailBackend = mail.get_connection()
        self.has_broken = False
        self.sent = 0

    def rows(self) -> DeliveryQuerySet:
        return Delivery.objects.select_related("event", "organisation")

    def is_ready(self) -> bool:
        """Return whether the mail server answers, and has not just broken off a conversation."""
        if self.has_broken:
            return False
        try:
            self.server.open()  # does nothing while it is open
        except OSError as error:
            logger.warning("The mail server does not answer: %s", error)
            return False
        return True

    def request_id_of(self, row: Delivery) -> str:
        return row.event.request_id

    def work(self, row: Delivery) -> None:
        """Send the message once.

        A crash after the server took the message and before that is written down sends it again: same Message-ID.
        """
        self.server.send_messages([compose(row)])
        row.status, row.sent_at, row.last_error = Delivery.Status.SENT, timezone.now(), ""
        row.save(update_fields=["status", "sent_at", "last_error"])
        self.sent += 1
        logger.info("Sent %s about event %s.", row.template, row.event_id)

    def is_outage(self, error: Exception) -> bool:
        """Return False: the message may have left, so each try counts and there is a bound on second copies."""
        return False

    def fail(self, row: Delivery, error: Exception) -> None:
        """As every queue, but what the recipient's server refuses for good is not tried again."""
        self.server.close()  # whatever state the conversation was in, the next message starts afresh
        self.has_broken, code = _is_of_the_server(error), _code(error)
        if code is not None and code >= 500 and not self.has_broken:
            self.write(row, last_error=text_of(error), status=Delivery.Status.REFUSED)
        else:
            super().fail(row, error)
        logger.warning(
            "%s about event %s: %s (try %s, code %s).",
            row.template,
            row.event_id,
            row.status,
            row.attempts,
            code,
            exc_info=code is None,
        )


def deliver() -> int:
    """Send what is due; return how many messages left.

    One run at a time on all machines, so that a mail server that hangs holds up one worker and no more.
    """
    with advisory_lock("deliver") as mine:
        if not mine:
            return 0
        deliveries = Deliveries()
        try:
            deliveries.run()
        finally:
            deliveries.server.close()
        return deliveries.sent


def _is_of_the_server(error: Exception) -> bool:
    """Not about this recipient or this message: the connection broke, or the server takes nothing from us at all."""
    if isinstance(error, SMTPRecipientsRefused | SMTPDataError):
        return _code(error) == SHUTTING_DOWN
    return isinstance(error, OSError)


def _code(error: Exception) -> int | None:
    """The server's answer, if it gave one."""
    if isinstance(error, SMTPRecipientsRefused):
        return min(code for code, _reason in error.recipients.values())
    return error.smtp_code if isinstance(error, SMTPResponseException) else None
