"""What stands in an inbox; whether mail leaves in time; and what the demo's mail sink took in: a maildir here."""

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
from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from por.accounts.models import Actor
from por.notifications.lines import Group, grouped
from por.notifications.models import Notification

#: Lines about one thing that are shown; the others are counted.
SHOWN = 10
#: Open lines are counted this far where they are only a hint.
MANY = 99
#: What is due is taken within seconds; left lying for so long, mail is late.
LATE_AFTER = timedelta(minutes=5)
#: How many of the newest messages the list goes back.
KEPT_IN_VIEW = 500
#: Of the headers, what a reader of the demo wants to check.
HEADERS = ["Message-ID", "X-Request-ID", "Auto-Submitted", "List-Unsubscribe"]


def open_lines(actor: Actor) -> int:
    """How many lines of their inbox are open, at most one more than MANY. Read off the index of what is open."""
    return Notification.objects.visible_to(actor).open()[: MANY + 1].count()


def inbox(newest: list[Notification], *, actor: Actor) -> list[Group]:
    """The lines about each of these things, given the newest of each: they are all open, or all done."""
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


def mail_is_late() -> bool:
    """Whether an event or a message that is due has been left lying. One look at the two indexes of what is to do.

    A message that was tried and put off counts again when it is due: one slow recipient makes nobody else's mail late.
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
class Arrived:
    """One message as it arrived. `html` is its source, not to be shown as anything but text."""

    key: str
    to: str
    subject: str
    sent_at: datetime | None
    headers: list[tuple[str, str]]
    text: str
    html: str


def newest_keys(sink: Path) -> list[str]:
    """The newest messages of the sink, at most KEPT_IN_VIEW; none if nothing ever arrived."""
    arrived = [
        (entry.stat().st_mtime_ns, entry.name)
        for folder in ("new", "cur")
        if (sink / folder).is_dir()
        for entry in (sink / folder).iterdir()
    ]
    return [name for _when, name in sorted(arrived, reverse=True)[:KEPT_IN_VIEW]]


def read(sink: Path, keys: Iterable[str]) -> list[Arrived]:
    """These messages; one that is not there, or no longer, is left out."""
    if not sink.is_dir():
        return []
    box = mailbox.Maildir(sink, create=False)
    return [_read(key, box.get_bytes(key)) for key in keys if key in box]


def _read(key: str, raw: bytes) -> Arrived:
    mail = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(raw)
    date = mail["Date"].datetime if mail["Date"] else None
    return Arrived(
        key=key,
        to=str(mail["To"] or ""),
        subject=str(mail["Subject"] or "").strip(),
        # "-0000" means UTC, and that nothing is said of the sender's zone.
        sent_at=date.replace(tzinfo=date.tzinfo or UTC) if date else None,
        headers=[(name, str(mail[name])) for name in HEADERS if mail[name]],
        text=_part(mail, "plain"),
        html=_part(mail, "html"),
    )


def _part(mail: EmailMessage, kind: str) -> str:
    """Our own mail is UTF-8; of any other one shows what one can."""
    part = mail.get_body([kind])
    content = part.get_payload(decode=True) if part else b""
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
