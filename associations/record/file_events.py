"""The events of what files change in associations: one begins, goes on, or gets another period."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import NotRequired

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record.events import (
    ATTACHED,
    SUBSCRIPTION,
    AssociationPayload,
    RecordContext,
    moment_of,
    notify_both,
    partner_name,
    record_context,
    to_customer,
    to_partner,
)
from associations.record.rules import FROM_OUTSIDE, AssociationKind, EndReason
from por.history.events import Choice, EventType, register
from por.history.models import Event
from por.notifications.models import Topic
from por.web.formatting import day_text


class FileEvent(EventType):
    OTHER_KIND_BEGUN = "association.begun"
    REOPENED = "partner_of_record.reopened"
    OTHER_KIND_REOPENED = "association.reopened"
    REDATED = "partner_of_record.redated"
    OTHER_KIND_REDATED = "association.redated"

    @classmethod
    def reopened(cls, kind: str) -> FileEvent:
        """Return the event of an association of this kind that goes on."""
        return cls.REOPENED if kind == AssociationKind.DPOR else cls.OTHER_KIND_REOPENED

    @classmethod
    def redated(cls, kind: str) -> FileEvent:
        """Return the event of one that gets another start, another end, or another day on which it will end."""
        return cls.REDATED if kind == AssociationKind.DPOR else cls.OTHER_KIND_REDATED


class ReopenedPayload(AssociationPayload):
    """The end that an import had made before, and its reason."""

    ended_at_before: str
    end_reason_before: str


class RedatedPayload(AssociationPayload):
    """Of what has changed, the value before; of the day on which it will end, the one after too."""

    began_at_before: NotRequired[str]
    ended_at_before: NotRequired[str]
    ends_on_before: NotRequired[str | None]
    ends_on: NotRequired[str | None]


# --- One begins -----------------------------------------------------------------------------------------------------

#: A record that a file begins is `partner_of_record.attached`, as one that a person begins; these are its mails.
RECORDED_MAIL = to_partner(
    "record_recorded",
    Topic.RECORD,
    title=_("Notice to partner: partner of record by an import"),
    subject=_("Imported files name you as the partner of record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        Choice(
            "until",
            {
                "": _(
                    "Imported files say that %(partner)s is the partner of record for %(subscription)s (%(customer)s), "
                    "since %(since)s. You can now see this subscription, its seats and its usage. You do not need to "
                    "do anything."
                )
            },
            _(
                "Imported files say that %(partner)s was the partner of record for %(subscription)s (%(customer)s) "
                "from %(since)s until %(until)s."
            ),
        ),
    ),
    context=record_context,
    inbox=_("Imported files name you as the partner of record."),
)
RECORDED_CUSTOMER_MAIL = to_customer(
    "record_recorded_customer",
    Topic.RECORD,
    title=_("Notice to customer: partner of record by an import"),
    subject=_("Imported files name %(partner)s as your partner of record for %(subscription)s"),
    paragraphs=(
        Choice(
            "until",
            {
                "": _(
                    "Imported files say that %(partner)s is the partner of record for %(subscription)s, since "
                    "%(since)s. If this is not right, you can remove the partner at any time."
                )
            },
            _(
                "Imported files say that %(partner)s was the partner of record for %(subscription)s from %(since)s "
                "until %(until)s."
            ),
        ),
    ),
    context=record_context,
    inbox=_("Imported files name %(partner)s as your partner of record."),
    values=partner_name,
)

register(
    FileEvent.OTHER_KIND_BEGUN,
    payload=AssociationPayload,
    about=("subscription", "customer"),
    here=_("A file added an association with {partner}"),
    elsewhere=_("A file added an association of {partner} with {object}"),
    icon="link",
    tone="",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(),
)

# --- An end is taken back -------------------------------------------------------------------------------------------


def _taken_back(event: Event) -> str:
    """Return why it had ended, for ends that an import made for a reason."""
    reason = event.changes["end_reason_before"]
    if reason not in FROM_OUTSIDE:
        return ""
    return gettext("This no longer holds: %(why)s") % {"why": EndReason(reason).label}


def _reopened_context(event: Event) -> RecordContext:
    return {**record_context(event), "until": moment_of(event.changes["ended_at_before"]), "reason": []}


REOPENED_MAIL = to_partner(
    "record_reopened",
    Topic.RECORD,
    title=_("Notice to partner: partner of record again"),
    subject=_("You are the partner of record for %(subscription)s (%(customer)s) again"),
    paragraphs=(
        _("An imported file ended your record for %(subscription)s (%(customer)s) on %(until)s."),
        _(
            "A later file has taken that back. You have been the partner of record since %(since)s, without a gap. "
            "You can see the subscription, its seats and its usage again."
        ),
    ),
    context=_reopened_context,
    inbox=_("Your record goes on: a later file has taken its end back. You are the partner of record, without a gap."),
)
REOPENED_CUSTOMER_MAIL = to_customer(
    "record_reopened_customer",
    Topic.RECORD,
    title=_("Notice to customer: partner is partner of record again"),
    subject=_("%(partner)s is your partner of record for %(subscription)s again"),
    paragraphs=(
        _("An imported file ended the record of %(partner)s for %(subscription)s on %(until)s."),
        _(
            "A later file has taken that back. %(partner)s has been your partner of record since %(since)s, without a "
            "gap. If this is not right, you can remove the partner at any time."
        ),
    ),
    context=_reopened_context,
    inbox=_("%(partner)s is your partner of record again: a later file has taken the end back."),
    values=partner_name,
)

register(
    FileEvent.REOPENED,
    payload=ReopenedPayload,
    about=("subscription",),
    here=_("{partner} is the partner of record again"),
    elsewhere=_("{partner} is the partner of record for {object} again"),
    icon="undo",
    tone="ok",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(REOPENED_MAIL, REOPENED_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=REOPENED_MAIL, customer=REOPENED_CUSTOMER_MAIL, held=True),
    detail=_taken_back,
)
register(
    FileEvent.OTHER_KIND_REOPENED,
    payload=ReopenedPayload,
    about=("subscription", "customer"),
    here=_("The association with {partner} goes on"),
    elsewhere=_("The association of {partner} with {object} goes on"),
    icon="undo",
    tone="",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(),
    detail=_taken_back,
)

# --- A file corrects a period -----------------------------------------------------------------------------------------


def _days(event: Event) -> str:
    """Return what has changed, each with its value before and after."""
    changes = event.changes
    found = []
    for key, text in (
        ("began_at", gettext("Start date: %(before)s → %(after)s")),
        ("ended_at", gettext("End date: %(before)s → %(after)s")),
        ("ends_on", gettext("Will end on: %(before)s → %(after)s")),
    ):
        if f"{key}_before" in changes:
            pair = {"before": _day(changes[f"{key}_before"]), "after": _day(changes.get(key))}
            found.append(text % pair)
    return ", ".join(found)


def _day(stored: str | None) -> str:
    """Return a stored instant or day in words."""
    if stored is None:
        return gettext("unknown")
    return day_text(date.fromisoformat(stored) if len(stored) == 10 else datetime.fromisoformat(stored))


def _redated_context(event: Event) -> RecordContext:
    """Return the context of the record with the corrections as the first row."""
    context = record_context(event)
    return {**context, "rows": [(gettext("Corrected"), _days(event)), *context["rows"]], "reason": []}


REDATED_MAIL = to_partner(
    "record_redated",
    Topic.RECORD,
    title=_("Notice to partner: corrected dates"),
    subject=_("Imported files correct the dates of your record for %(subscription)s (%(customer)s)"),
    paragraphs=(
        _(
            "Imported files correct the dates of %(partner)s as the partner of record for %(subscription)s "
            "(%(customer)s). The corrections are at the top of the list below."
        ),
    ),
    context=_redated_context,
    inbox=_("Imported files correct the dates of your record."),
)
REDATED_CUSTOMER_MAIL = to_customer(
    "record_redated_customer",
    Topic.RECORD,
    title=_("Notice to customer: corrected dates"),
    subject=_("Imported files correct the dates of %(partner)s for %(subscription)s"),
    paragraphs=(
        _(
            "Imported files correct the dates of %(partner)s as your partner of record for %(subscription)s. The "
            "corrections are at the top of the list below."
        ),
    ),
    context=_redated_context,
    inbox=_("Imported files correct the dates of %(partner)s as your partner of record."),
    values=partner_name,
)

register(
    FileEvent.REDATED,
    payload=RedatedPayload,
    about=("subscription",),
    here=_("A file corrected the dates of {partner}"),
    elsewhere=_("A file corrected the dates of {partner} for {object}"),
    icon="clock",
    tone="",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(REDATED_MAIL, REDATED_CUSTOMER_MAIL),
    notify=partial(notify_both, partner=REDATED_MAIL, customer=REDATED_CUSTOMER_MAIL, held=True),
    detail=_days,
)
register(
    FileEvent.OTHER_KIND_REDATED,
    payload=RedatedPayload,
    about=("subscription", "customer"),
    here=_("A file corrected the dates of the association with {partner}"),
    elsewhere=_("A file corrected the dates of the association of {partner} with {object}"),
    icon="clock",
    tone="",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(),
    detail=_days,
)
