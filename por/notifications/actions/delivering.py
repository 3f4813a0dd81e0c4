"""Sending mail: the queue of deliveries, and sending again what has failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Sequence
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPResponseException

from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, User
from por.db.locks import advisory_lock
from por.db.prepared import Statement
from por.errors import NotFound, Refused
from por.history.actions import recording as history
from por.history.actions import relaying
from por.notifications.actions import holding
from por.notifications.events import DeliveryEvent
from por.notifications.messages import Contexts, compose
from por.notifications.models import Delivery, DeliveryQuerySet
from por.notifications.rules import HELPS_FOR, HELPS_WITHIN, SENDERS
from por.ops.logs import Cause
from por.queue import replays
from por.queue.wake import Wake
from por.queue.work import LeasedQueue, text_of

logger = logging.getLogger(__name__)

#: The code with which a mail server closes the connection. It says nothing about the message.
SHUTTING_DOWN = 421

SENT_ALREADY = _("This message has already been sent, so you cannot send it again.")
ON_ITS_WAY = _("This message is already waiting to be sent. Someone may have just sent it again.")

#: Wakes the sender after a commit.
wake = Wake()

_SENT = Statement.named(
    "UPDATE notifications_delivery SET status = 'sent', sent_at = %(at)s, last_error = '',"
    " attempts = greatest(attempts, 1) WHERE id = %(delivery)s"
)


# --- Sending again ----------------------------------------------------------------------------------------------


@transaction.atomic
def replay(delivery_id: int, *, by: Actor) -> Delivery:
    """Send a message again that was refused or given up, with the same Message-ID and all tries left.

    Raises Forbidden, NotFound, Locked, or `not_failed`: it was sent, or someone else was first.
    """
    found = replays.replay(
        Delivery.objects.select_related("event"),
        delivery_id,
        by=by,
        not_found=NotFound("not_found", _("We could not find this message.")),
        refusal=_not_failed,
    )
    wake.after_commit()
    delivery = found.row
    about = history.ObjectRef("delivery", str(delivery.pk), delivery.event.object_name if delivery.event else "")
    changes = ({"event": delivery.event_id} if delivery.event else {}) | found.before
    chain = delivery.organisation_id or by.organisation_id
    history.record(DeliveryEvent.REPLAYED, about, by=by, at=found.at, chain=chain, changes=changes)
    return delivery


def _not_failed(delivery: Delivery) -> Refused:
    sent = delivery.status == Delivery.Status.SENT
    return Refused("not_failed", SENT_ALREADY if sent else ON_ITS_WAY)


def replay_failed(*, by: Actor) -> int:
    """Send all messages again that failed; return how many. Raises Forbidden."""
    return replays.replay_each(Delivery.objects.failed(), lambda delivery_id: replay(delivery_id, by=by), by=by)


# --- Sending ----------------------------------------------------------------------------------------------------


class Deliveries(LeasedQueue[Delivery]):
    """The queue of messages to send, over one connection to the mail server.

    Several are leased together, and each is marked as sent before the next one is sent. So a sender that dies can cause
    one second copy, of the message that it was sending.
    """

    batch = 20
    source = "notifications_delivery AS work LEFT JOIN history_event AS event ON event.id = work.event_id"
    waiting = "work.status = 'waiting'"
    ordering_key = "work.recipient, event.object_kind, event.object_id"

    def __init__(self) -> None:
        self.server: BaseEmailBackend = mail.get_connection()
        self.has_broken = False
        self.sent = 0
        self.contexts: Contexts = {}

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

    def _lease(self, which: str, order: str, most: int) -> list[Delivery]:
        """Return the next rows. What people caused until now becomes mail first, and that leaves before mail of loads.

        Else an act would wait until a worker is free, and all of them may be sending.
        """
        relaying.relay_acts()
        return super()._lease(which, order, most)

    def do(self, rows: Sequence[Delivery]) -> bool:
        self.contexts = {}
        return super().do(rows)

    def cause_of(self, row: Delivery) -> Cause:
        return row.event.cause if row.event else Cause()

    def ordering_key_of(self, row: Delivery) -> Hashable:
        """Return the ordering key; one without an event waits for no other, as in SQL, where NULL equals nothing."""
        return (row.recipient, row.event.object_kind, row.event.object_id) if row.event else row.pk

    def work(self, row: Delivery) -> None:
        """Send the message once.

        If the worker dies after the server took the message and before the row is saved, it is sent again, with the
        same Message-ID.
        """
        if row.event is None and not find_recipient(row):
            row.delete()
            return
        self.server.send_messages([compose(row, self.contexts)])
        _SENT.rows({"at": timezone.now(), "delivery": row.pk})
        self.sent += 1
        logger.info("Sent %s about event %s.", row.template, row.event_id)

    def is_outage(self, error: Exception) -> bool:
        """Return False: the message may have left, so each try counts and there is a bound on second copies."""
        return False

    def fail(self, row: Delivery, error: Exception) -> None:
        """Let the row wait or give it up, as every queue does; but never retry what the recipient's server refuses."""
        self.server.close()  # the next message starts with a new connection
        self.has_broken, code = _is_of_the_server(error), _code(error)
        if code is not None and code >= 500 and not self.has_broken:
            self.write(row, attempts=row.tries, last_error=text_of(error), status=Delivery.Status.REFUSED)
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


class HelpingDeliveries(Deliveries):
    """The queue of messages for a sender that helps the first one."""

    run_for = HELPS_FOR

    def run(self) -> int:
        """Send for a moment, and only while mail leaves."""
        if not Delivery.objects.filter(sent_at__gt=timezone.now() - HELPS_WITHIN).exists():
            return 0
        taken = super().run()
        if time.monotonic() >= self.until:
            wake.now()  # there may be more
        return taken


def deliver() -> int:
    """Send what is due; return how many messages left.

    A few senders run at a time on all machines. The first goes on while there is mail. The others help for a moment,
    and only while mail leaves, so a mail server that hangs holds up one worker and no more.
    """
    holding.release()
    if not Delivery.objects.due().exists():
        return 0
    with advisory_lock("deliver", range(SENDERS)) as place:
        if place is None:
            return 0
        deliveries = HelpingDeliveries() if place.number else Deliveries()
        try:
            deliveries.run()
        finally:
            deliveries.server.close()
        return deliveries.sent


def find_recipient(delivery: Delivery) -> bool:
    """Write a mail about an account to the person who has its address, as they want it; return whether there is one."""
    person = User.objects.with_email(delivery.recipient).filter(is_active=True).first()
    if person is None:
        return False
    found = {"user": person, "recipient": person.email, "language": person.language, "time_zone": person.time_zone}
    for name, value in found.items():
        setattr(delivery, name, value)
    delivery.save(update_fields=list(found))
    return True


def _is_of_the_server(error: Exception) -> bool:
    """Return whether the mail server is at fault, not the message: the connection broke, or it refuses everything."""
    if isinstance(error, SMTPRecipientsRefused | SMTPDataError):
        return _code(error) == SHUTTING_DOWN
    return isinstance(error, OSError)


def _code(error: Exception) -> int | None:
    """Return the code of the server's answer; None if it gave none."""
    if isinstance(error, SMTPRecipientsRefused):
        return min(code for code, _reason in error.recipients.values())
    return error.smtp_code if isinstance(error, SMTPResponseException) else None
