"""The event that a partner is reminded of legacy forms: its texts, and who is notified."""

from __future__ import annotations

from datetime import date
from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from por.accounts.rules import OrganisationKind
from por.history.actions.recording import organisation_of
from por.history.events import EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.web.formatting import day_text, number_text


class LegacyFormEvent(EventType):
    REMINDED = "transition.reminded"


class Reminded(TypedDict):
    """The partner's figures on the day when the reminder was given."""

    deadline: str
    reminder: int
    subscriptions: int
    customers: int
    seats: int | None


class ReminderContext(MailContext):
    sentence: str
    deadline: str


class ReminderText(TypedDict):
    sentence: str


LEGACY_FORMS = event_group("legacy_forms", _("Legacy forms"))


def _deadline(payload: Reminded) -> str:
    return day_text(date.fromisoformat(payload["deadline"]))


def _sentence(payload: Reminded) -> ReminderText:
    count = payload["subscriptions"]
    sentence = ngettext(
        "%(n)s subscription must move from its legacy form by %(deadline)s",
        "%(n)s subscriptions must move from their legacy forms by %(deadline)s",
        count,
    )
    return {"sentence": sentence % {"n": number_text(count), "deadline": _deadline(payload)}}


def _context(event: Event) -> ReminderContext:
    payload = event.changes
    return {
        "sentence": _sentence(payload)["sentence"],
        "deadline": _deadline(payload),
        "rows": [
            (gettext("Move by"), _deadline(payload)),
            (gettext("Subscriptions still on a legacy form"), number_text(payload["subscriptions"])),
            (gettext("Customers"), number_text(payload["customers"])),
            (gettext("Seats affected"), number_text(payload["seats"])),
        ],
    }


def _transition(event: Event) -> str:
    return reverse("associations:partner_transition")


REMINDER = mail(
    "transition_reminded",
    Topic.RENEWAL,
    to=(OrganisationKind.PARTNER,),
    title=_("Reminder to move legacy forms"),
    subject="%(sentence)s",
    paragraphs=(
        _(
            "Legacy forms count until %(deadline)s. After that, you only count if you are attached as the partner of "
            "record."
        ),
        _(
            "Ask your customers to attach you with your MPN ID. Your list shows which subscriptions you still need to "
            "move."
        ),
    ),
    context=_context,
    action=_("View list"),
    url=_transition,
    inbox="%(sentence)s",
    values=_sentence,
)


def _reminded(event: Event) -> None:
    partner = organisation_of(event.chain)
    assert partner is not None
    notify_organisation(event, REMINDER, organisation_id=partner)


register(
    LegacyFormEvent.REMINDED,
    payload=Reminded,
    about=("partner",),
    here=_("Reminder sent about legacy forms that still need to move"),
    elsewhere=_("{object} was reminded about legacy forms that still need to move"),
    icon="clock",
    tone="info",
    groups=(LEGACY_FORMS,),
    link=Link("partner"),
    mails=(REMINDER,),
    notify=_reminded,
)
