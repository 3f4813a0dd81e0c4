"""The daily mail with everything that was not mailed to a member immediately."""

from __future__ import annotations

from collections.abc import Iterable

from django.urls import reverse
from django.utils.translation import gettext_lazy, ngettext

from por.accounts.models import Organisation
from por.history.models import Event
from por.notifications.lines import grouped
from por.notifications.messages import MailContext, address, mail
from por.notifications.models import DIGEST, Delivery, Notification
from por.web.formatting import moment_text

#: The most lines in a digest, the newest ones; the inbox has all of them.
LONGEST = 100


class DigestContext(MailContext):
    title: str
    groups: list[tuple[str, list[tuple[str, str, str]]]]  # per object: heading, lines (time, text, address)
    more: str


def _context(delivery: Delivery) -> DigestContext:
    """Return the lines of this digest. Raises LookupError if they were deleted with the membership."""
    assert delivery.organisation is not None  # a digest is for a member
    lines = list(delivery.notifications.select_related("event").order_by("-pk"))
    if not lines:
        raise LookupError("no lines are left")
    count, more = len(lines), max(0, len(lines) - LONGEST)
    title = ngettext("%(organisation)s: %(n)s update", "%(organisation)s: %(n)s updates", count)
    rest = ngettext("There is %(n)s more message in your inbox.", "There are %(n)s more messages in your inbox.", more)
    return {
        "title": title % {"organisation": delivery.organisation.name, "n": count},
        "more": rest % {"n": more} if more else "",
        "groups": groups_of(lines[:LONGEST], reader=delivery.organisation),
        "rows": [],
    }


def groups_of(lines: Iterable[Notification], *, reader: Organisation) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the lines as a mail shows them: for each object its heading, and time, text and address of each line."""
    return [
        (
            " · ".join(filter(None, (group.name, group.id, group.owner))),
            [
                (moment_text(one.at), one.line.sentence, address(one.line.url) if one.line.url else "")
                for one in group.entries
            ],
        )
        for group in grouped(lines, reader=reader)
    ]


def _inbox(event: Event) -> str:
    return reverse("notifications:inbox")


MESSAGE = mail(
    DIGEST,
    None,
    to=(),
    title=gettext_lazy("Daily digest"),
    subject="%(title)s",
    paragraphs=(),
    context=_context,
    action=gettext_lazy("Open inbox"),
    url=_inbox,
    inbox=None,
)
