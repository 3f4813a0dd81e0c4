"""The mail about all that an import has changed for an organisation."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext_lazy, ngettext

from por.history.models import Event
from por.notifications.digest import groups_of
from por.notifications.messages import MailContext, mail
from por.notifications.models import SUMMARY, Delivery, Notification

#: The most changes that one mail names, the newest ones; the inbox and the history have all of them.
NAMED = 100


class SummaryContext(MailContext):
    title: str
    groups: list[tuple[str, list[tuple[str, str, str]]]]  # as in the digest
    more: str


def _context(delivery: Delivery) -> SummaryContext:
    """Return the changes that this mail is about."""
    assert delivery.organisation is not None
    parts = delivery.parts.select_related("event").order_by("-event")
    count = parts.count()
    more = max(0, count - NAMED)
    title = ngettext(
        "%(organisation)s: imported files made %(n)s change",
        "%(organisation)s: imported files made %(n)s changes",
        count,
    )
    rest = ngettext(
        "There is %(n)s more change. You find it in your inbox and in the history.",
        "There are %(n)s more changes. You find them in your inbox and in the history.",
        more,
    )
    lines = [
        Notification(event=part.event, message=part.template, about=f"{part.event.object_kind}:{part.event.object_id}")
        for part in parts[:NAMED]
        if part.event is not None
    ]
    return {
        "title": title % {"organisation": delivery.organisation.name, "n": count},
        "groups": groups_of(lines, reader=delivery.organisation),
        "more": rest % {"n": more} if more else "",
        "rows": [],
    }


def _inbox(event: Event) -> str:
    return reverse("notifications:inbox")


MESSAGE = mail(
    SUMMARY,
    None,
    to=(),
    title=gettext_lazy("Changes by an import"),
    subject="%(title)s",
    paragraphs=(),
    context=_context,
    action=gettext_lazy("Open inbox"),
    url=_inbox,
    inbox=None,
)
