"""The event that a partner is reminded of claims that were migrated without proof."""

from __future__ import annotations

from datetime import date
from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CLAIMS
from por.accounts.rules import OrganisationKind, Right
from por.history.actions.recording import organisation_of
from por.history.events import EventType, Link, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.web.formatting import day_text, number_text


class MigratedEvent(EventType):
    REMINDED = "migrated_claims.reminded"


class Reminded(TypedDict):
    """The figures of the location on the day when the reminder was given."""

    deadline: str
    reminder: int
    claims: int
    customers: int


class ReminderContext(MailContext):
    sentence: str
    deadline: str


class ReminderText(TypedDict):
    sentence: str


def _deadline(payload: Reminded) -> str:
    return day_text(date.fromisoformat(payload["deadline"]))


def _sentence(payload: Reminded) -> ReminderText:
    count = payload["claims"]
    sentence = ngettext(
        "%(n)s migrated claim has no proof of execution. Add it by %(deadline)s",
        "%(n)s migrated claims have no proof of execution. Add it by %(deadline)s",
        count,
    )
    return {"sentence": sentence % {"n": number_text(count), "deadline": _deadline(payload)}}


def _context(event: Event) -> ReminderContext:
    payload = event.changes
    return {
        "sentence": _sentence(payload)["sentence"],
        "deadline": _deadline(payload),
        "rows": [
            (gettext("Add proof by"), _deadline(payload)),
            (gettext("Claims without proof"), number_text(payload["claims"])),
            (gettext("Customers"), number_text(payload["customers"])),
        ],
    }


def _list(event: Event) -> str:
    return reverse("claims:claim_list")


REMINDER = mail(
    "migrated_claims_reminded",
    Topic.PROOF,
    to=(OrganisationKind.PARTNER,),
    title=_("Reminder to add proof to migrated claims"),
    subject="%(sentence)s",
    paragraphs=(
        _(
            "You do not have to. But if another partner claims the same for the same customer, a reviewer looks first "
            "at the most recent proof of each side."
        ),
        _(
            "Add a proof for each workload that you still work on. If you no longer work for a customer, end the "
            "association on the page of the claim."
        ),
    ),
    context=_context,
    action=_("View claims"),
    url=_list,
    inbox="%(sentence)s",
    values=_sentence,
    may=Right.WRITE_PROOFS,
)


def _reminded(event: Event) -> None:
    partner = organisation_of(event.chain)
    assert partner is not None
    notify_organisation(event, REMINDER, organisation_id=partner)


register(
    MigratedEvent.REMINDED,
    payload=Reminded,
    about=("partner",),
    here=_("Reminder sent about migrated claims without proof"),
    elsewhere=_("{object} was reminded about migrated claims without proof"),
    icon="clock",
    tone="info",
    groups=(CLAIMS,),
    link=Link("partner"),
    mails=(REMINDER,),
    notify=_reminded,
)
