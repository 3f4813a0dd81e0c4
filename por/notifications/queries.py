"""Reading the inbox, whether mail is late, and the mails in the demo's sink, which is a maildir."""

from __future__ import annotations

import mailbox
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from por.accounts.models import Actor, Organisation, User
from por.db.prepared import Param, PreparedQuery
from por.history.models import Event
from por.notifications.lines import Group, grouped
from por.notifications.models import DIGEST, Delivery, Notification, NotificationQuerySet

#: How many lines about one object are shown; the others are counted.
SHOWN = 10
#: The badge in the navigation counts open lines up to this number.
MANY = 99
#: Rows that are due are taken within seconds. If one waits this long, mail is late.
LATE_AFTER = timedelta(minutes=5)
#: How many of the newest mails the list shows.
KEPT_IN_VIEW = 500
#: The headers that the page of a mail shows.
HEADERS = ["Message-ID", "X-Request-ID", "Auto-Submitted", "List-Unsubscribe"]


_READER = Actor(user=User(id=Param("user")), organisation=Organisation(id=Param("organisation")))


def open_of_reader() -> NotificationQuerySet:
    """Return the open lines of a prepared query's reader, who is its parameters `user` and `organisation`."""
    return Notification.objects.visible_to(_READER).open()


def inbox(newest: list[Notification], *, actor: Actor) -> list[Group]:
    """Return the lines about each object, given the newest line of each. The given lines are all open or all done."""
    if not newest or actor.organisation is None:
        return []
    about = Window(RowNumber(), partition_by=F("about"), order_by=F("pk").desc())
    lines = (
        Notification.objects.visible_to(actor)
        .filter(about__in=[one.about for one in newest], done_at__isnull=newest[0].done_at is None)
        .annotate(place=about, together=Window(Count("pk"), partition_by=F("about")))
        .filter(place__lte=SHOWN)
    )
    groups = grouped(lines.select_related("event").order_by("-pk"), reader=actor.organisation)
    for group in groups:
        first: Any = group.entries[0].notification
        group.more = first.together - len(group.entries)
    return groups


def unreached(event: Event) -> str:
    """Return the names of the organisations where no one could be told of an event; "" if there are none."""
    return ", ".join(name for (name,) in _UNREACHED.values(event=event.pk))


def _unreached() -> QuerySet[Delivery, Any]:
    """Return the query for these names. A digest reaches someone, and the index of events has none."""
    found = Delivery.objects.unreached().filter(event=Param("event")).exclude(template=DIGEST)
    return found.order_by("pk").values_list("organisation__name")


_UNREACHED: PreparedQuery[Any] = PreparedQuery(_unreached)


def mail_is_late() -> bool:
    """Return whether an event or a message has been due for too long. It only reads the two indexes of waiting rows.

    A message that was put off is not due until its next try, so one slow recipient does not count as late mail.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM history_outbox"
            " WHERE done_at IS NULL AND dead_at IS NULL AND next_at < %(due)s)"
            " OR EXISTS (SELECT FROM notifications_delivery WHERE status = 'waiting' AND next_at < %(due)s)",
            {"due": timezone.now() - LATE_AFTER},
        )
        late: bool = cursor.fetchone()[0]
    return late


@dataclass(frozen=True)
class ReceivedMail:
    """One mail in the sink. `html` is its source, which must be shown as text only."""

    key: str
    to: str
    subject: str
    sent_at: datetime | None
    headers: list[tuple[str, str]]
    text: str
    html: str


def newest_keys(sink: Path) -> list[str]:
    """Return the keys of the newest mails in the sink, at most KEPT_IN_VIEW."""
    arrived = [
        (entry.stat().st_mtime_ns, entry.name)
        for folder in ("new", "cur")
        if (sink / folder).is_dir()
        for entry in (sink / folder).iterdir()
    ]
    return [name for _when, name in sorted(arrived, reverse=True)[:KEPT_IN_VIEW]]


def read(sink: Path, keys: Iterable[str]) -> list[ReceivedMail]:
    """Return the mails with these keys; keys without a mail are left out."""
    if not sink.is_dir():
        return []
    box = mailbox.Maildir(sink, create=False)
    return [_read(key, box.get_bytes(key)) for key in keys if key in box]


def _read(key: str, raw: bytes) -> ReceivedMail:
    mail = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(raw)
    date = mail["Date"].datetime if mail["Date"] else None
    return ReceivedMail(
        key=key,
        to=str(mail["To"] or ""),
        subject=str(mail["Subject"] or "").strip(),
        # "-0000" means UTC, with no information about the time zone of the sender.
        sent_at=date.replace(tzinfo=date.tzinfo or UTC) if date else None,
        headers=[(name, str(mail[name])) for name in HEADERS if mail[name]],
        text=_part(mail, "plain"),
        html=_part(mail, "html"),
    )


def _part(mail: EmailMessage, kind: str) -> str:
    """Return the text of a part. Our mail is UTF-8; in other mail, bytes that are not UTF-8 are replaced."""
    part = mail.get_body([kind])
    content = part.get_payload(decode=True) if part else b""
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
