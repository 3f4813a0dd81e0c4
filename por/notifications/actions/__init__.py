"""Writing down who is told what, and sending it; beside it: what a member does in their inbox, and the digests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPResponseException

from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, Membership, Organisation, User
from por.accounts.rules import rights_of
from por.errors import Absent, Refused
from por.history import actions as history
from por.history.models import Event
from por.history.rules import LEASE, MAX_ATTEMPTS, backoff
from por.logs import request_id, without_addresses
from por.notifications.emails import Message, compose
from por.notifications.models import Delivery, How, Notification, Preference
from por.notifications.rules import next_digest
from por.waiting import alone, busy_instead_of_a_lock_timeout

logger = logging.getLogger(__name__)

#: A run ends after so many seconds, well within the time a task has; the next one is a few seconds away.
RUN_FOR = 120
#: The mail server closes the conversation: it speaks of itself, not of the message.
SHUTTING_DOWN = 421


def _no_bell() -> None:
    """Nobody to ring yet; the clock comes round by itself."""


#: Rings for a delivery after a commit. It may fail or be lost: the rows are the guarantee.
bell: Callable[[], None] = _no_bell


# --- Who is told ------------------------------------------------------------------------------------------------


def tell(event: Event, message: Message, *, organisation_id: int, may: str = "") -> None:
    """A line in the inbox of every member of the organisation, and mail as each wants it.

    With `may`, only of members whose role has that right. The contact address gets what no member wants by mail.
    Telling again what was told adds nothing.
    """
    found = Membership.objects.usable().filter(organisation=organisation_id)
    members = [one for one in found if not may or may in rights_of(one.organisation.kind, one.role)]
    if _tell(event, message, members):
        return
    organisation = Organisation.objects.get(pk=organisation_id)
    if organisation.contact_email:
        _insert([_to_contact(event, message, organisation)])
    else:
        logger.warning("Nobody of organisation %s can be told of event %s.", organisation_id, event.pk)


def confirm(event: Event, message: Message) -> None:
    """A receipt to the person who acted, if they want it; none if it was the clock or a command.

    In the inbox it stands as done: whoever did it has nothing more to do about it.
    """
    members = Membership.objects.usable().filter(user=event.actor_id, organisation=event.actor_organisation_id)
    _tell(event, message, list(members), done_at=event.at)


def inform(event: Event, message: Message, *, user_id: int, organisation_id: int) -> None:
    """Tells one member of the organisation, by mail whatever mail they have turned off; nobody if they are gone."""
    members = list(Membership.objects.usable().filter(user=user_id, organisation=organisation_id))
    _put_in_inboxes(event, message, members, {}, done_at=None)
    _insert(to_member(event, message, member) for member in members)


def _tell(event: Event, message: Message, members: list[Membership], *, done_at: datetime | None = None) -> bool:
    """Says whether any of them gets mail, now or with a digest."""
    chosen = Preference.objects.filter(membership__in=members, message=message.name) if message.topic else ()
    how = {member.pk: How.AT_ONCE for member in members} | {one.membership_id: How(one.how) for one in chosen}
    _put_in_inboxes(event, message, members, how, done_at=done_at)
    _insert(to_member(event, message, member) for member in members if how[member.pk] == How.AT_ONCE)
    return not set(how.values()) <= {How.OFF}


def _put_in_inboxes(
    event: Event, message: Message, members: list[Membership], how: dict[int, How], *, done_at: datetime | None
) -> None:
    if not message.inbox:
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


def to_member(event: Event, message: Message, member: Membership) -> Delivery:
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


def _to_contact(event: Event, message: Message, organisation: Organisation) -> Delivery:
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
    transaction.on_commit(lambda: bell(), robust=True)


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

#: So many at one press of the button; what is left shows, and can be pressed again.
REPLAYED_AT_ONCE = 200


@transaction.atomic
def replay(delivery_id: int, *, by: Actor) -> Delivery:
    """Sends a message again that was refused or given up: the same Message-ID, with all its tries before it.

    Raises Forbidden, Absent, Busy, or `not_failed`: it was sent, or somebody else was first.
    """
    by.require("delivery.replay")
    with busy_instead_of_a_lock_timeout():
        deliveries = Delivery.objects.select_related("event").select_for_update(of=("self",), no_key=True)
        delivery = deliveries.filter(pk=delivery_id).first()
    if delivery is None:
        raise Absent("not_found", _("We could not find this message."))
    if not delivery.has_failed:
        sent = delivery.status == Delivery.Status.SENT
        raise Refused("not_failed", SENT_ALREADY if sent else ON_ITS_WAY)
    now = timezone.now()
    tried = {"event": delivery.event_id, "status": delivery.status, "attempts": delivery.attempts}
    delivery.status, delivery.attempts, delivery.next_at = Delivery.Status.WAITING, 0, now
    delivery.save(update_fields=["status", "attempts", "next_at"])
    transaction.on_commit(lambda: bell(), robust=True)
    about = history.About("delivery", str(delivery.pk), delivery.event.object_name)
    history.record("delivery.replayed", about, by=by, at=now, of=delivery.organisation_id, changes=tried)
    return delivery


SENT_ALREADY = _("This message has already been sent, so you cannot send it again.")
ON_ITS_WAY = _("This message is already waiting to be sent. Someone may have just sent it again.")


def replay_failed(*, by: Actor) -> int:
    """Does so for all that failed, oldest first, each in a transaction of its own; returns how many it were."""
    by.require("delivery.replay")
    replayed = 0
    for delivery_id in list(Delivery.objects.failed().order_by("pk").values_list("pk", flat=True)[:REPLAYED_AT_ONCE]):
        with suppress(Refused):  # somebody else was first
            replay(delivery_id, by=by)
            replayed += 1
    return replayed


# --- Sending ----------------------------------------------------------------------------------------------------


def deliver() -> int:
    """Sends what is due, over one connection; returns how many messages left.

    One run at a time in the whole house, so that a mail server that hangs holds up one worker and no more.
    """
    with alone("deliver") as mine:
        return _deliver() if mine else 0


def _deliver() -> int:
    if not _due().exists():
        return 0
    # A worker that died on each of its tries never came to say so.
    _due().filter(attempts__gte=MAX_ATTEMPTS).update(status=Delivery.Status.DEAD)
    sent, until = 0, time.monotonic() + RUN_FOR
    server: BaseEmailBackend = mail.get_connection()
    try:
        while time.monotonic() < until and _answers(server) and (delivery := _lease()) is not None:
            failure = _send(delivery, server)
            if failure is None:
                sent += 1
            elif _is_of_the_server(failure):
                break
    finally:
        server.close()
    return sent


def _answers(server: BaseEmailBackend) -> bool:
    """Asked before anything is leased: that the server is down must not use up the tries of a message."""
    try:
        server.open()  # does nothing while it is open
    except OSError as error:
        logger.warning("The mail server does not answer: %s", error)
        return False
    return True


def _due() -> QuerySet[Delivery]:
    return Delivery.objects.filter(status=Delivery.Status.WAITING, next_at__lte=timezone.now())


@transaction.atomic
def _lease() -> Delivery | None:
    """Takes one due row: counts the attempt and pushes it forward, and commits that, before the work."""
    delivery = (
        _due()
        .filter(attempts__lt=MAX_ATTEMPTS)  # one may come due again within a run, while nobody puts aside what is dead
        .select_related("event", "organisation")
        .select_for_update(of=("self",), skip_locked=True)
        .order_by("next_at")
        .first()
    )
    if delivery is not None:
        delivery.attempts += 1
        delivery.next_at = timezone.now() + LEASE
        delivery.save(update_fields=["attempts", "next_at"])
    return delivery


def _send(delivery: Delivery, server: BaseEmailBackend) -> Exception | None:
    """Tries once, writes down what came of it, and returns what went wrong, if anything did.

    A crash after the server took the message and before that is written down sends it again: same Message-ID.
    """
    token = request_id.set(delivery.event.request_id)
    try:
        server.send_messages([compose(delivery)])
    except Exception as error:
        _note_failure(delivery, error)
        server.close()  # whatever state the conversation was in, the next message starts afresh
        return error
    else:
        delivery.status = Delivery.Status.SENT
        delivery.sent_at = timezone.now()
        delivery.last_error = ""
        delivery.save(update_fields=["status", "sent_at", "last_error"])
        logger.info("Sent %s about event %s.", delivery.template, delivery.event_id)
        return None
    finally:
        request_id.reset(token)


def _note_failure(delivery: Delivery, error: Exception) -> None:
    code = _code(error)
    delivery.last_error = without_addresses(f"{type(error).__name__}: {error}")[:1000]
    if code is not None and code >= 500 and not _is_of_the_server(error):
        delivery.status = Delivery.Status.REFUSED
    elif delivery.attempts >= MAX_ATTEMPTS:
        delivery.status = Delivery.Status.DEAD
    else:
        delivery.next_at = timezone.now() + backoff(delivery.attempts)
    delivery.save(update_fields=["status", "next_at", "last_error"])
    logger.warning(
        "%s about event %s: %s (try %s, code %s).",
        delivery.template,
        delivery.event_id,
        delivery.status,
        delivery.attempts,
        code,
        exc_info=code is None,
    )


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
