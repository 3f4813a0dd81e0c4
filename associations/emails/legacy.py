"""What partners are told of legacy forms."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from por.accounts.rules import Kind
from por.formats import day_text, number_text
from por.history.actions import organisation_of
from por.history.models import Event
from por.notifications.actions import tell
from por.notifications.emails import Line, message
from por.notifications.models import Topic


def _facts(event: Event) -> dict[str, Any]:
    """As many as it were when the reminder was due."""
    told = event.changes
    return {
        "sentence": _sentence(event),
        "deadline": _deadline(event),
        "url": reverse("associations:partner_transition"),
        "action": _("View list"),
        "rows": [
            (_("Move by"), _deadline(event)),
            (_("Subscriptions still on a legacy form"), number_text(told["subscriptions"])),
            (_("Customers"), number_text(told["customers"])),
            (_("Seats affected"), number_text(told["seats"])),
        ],
        "reason": [],
    }


def _deadline(event: Event) -> str:
    return day_text(date.fromisoformat(event.changes["deadline"]))


def _sentence(event: Event) -> str:
    count = event.changes["subscriptions"]
    return ngettext(
        "%(n)s subscription must move from its legacy form by %(deadline)s",
        "%(n)s subscriptions must move from their legacy forms by %(deadline)s",
        count,
    ) % {"n": number_text(count), "deadline": _deadline(event)}


REMINDED = message(
    "transition_reminded",
    Topic.LEGACY,
    _facts,
    gettext_lazy("Reminder to move legacy forms"),
    line=lambda event: Line(_sentence(event), reverse("associations:partner_transition")),
    to=(Kind.PARTNER,),
)


def reminded(event: Event) -> None:
    partner = organisation_of(event.chain)
    assert partner is not None
    tell(event, REMINDED, organisation_id=partner)


HANDLERS = {"transition.reminded": reminded}
