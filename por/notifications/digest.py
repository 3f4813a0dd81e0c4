"""The mail that says once a day what a member was not told at once."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from por.formats import moment_text
from por.notifications.emails import address, message
from por.notifications.lines import grouped
from por.notifications.models import DIGEST, Delivery

#: So many lines, the newest; the inbox has them all.
LONGEST = 100


def facts(delivery: Delivery) -> dict[str, Any]:
    """The lines that were put aside for this mail; its member may be gone by the time it leaves, and they with it."""
    lines = list(delivery.notifications.select_related("event").order_by("-pk"))
    if not lines:
        raise LookupError("nothing is left to say")
    groups = grouped(lines[:LONGEST], reader=delivery.organisation)
    return {
        "count": len(lines),
        "more": max(0, len(lines) - LONGEST),
        "groups": [
            (
                " · ".join(filter(None, (group.name, group.id, group.owner))),
                [
                    (moment_text(one.at), one.line.sentence, address(one.line.url) if one.line.url else "")
                    for one in group.entries
                ],
            )
            for group in groups
        ],
        "rows": [],
        "url": reverse("notifications:inbox"),
        "action": _("Open inbox"),
    }


MESSAGE = message(DIGEST, None, facts, gettext_lazy("Daily digest"), to=(), inbox=False)
