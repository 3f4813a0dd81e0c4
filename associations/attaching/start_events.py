"""The events of a start that is moved to another day, earlier or later, and of undoing that."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.utils.translation import gettext_lazy as _

from associations.attaching.events import AttachEvent, notify_both_sides
from associations.record.events import (
    ATTACHED,
    SUBSCRIPTION,
    TOLD_PARTNER,
    UNDONE,
    AssociationPayload,
    PartnerName,
    partner_name,
    to_customer,
    to_partner,
)
from por.history.events import register
from por.notifications.models import Topic
from por.web.formatting import day_text


class Redated(AssociationPayload):
    began_at_before: str


class WithDay(PartnerName):
    day: str


def _with_day(payload: AssociationPayload) -> WithDay:
    return {**partner_name(payload), "day": day_text(datetime.fromisoformat(payload["began_at"]))}


CHANGED_START = _(
    "%(customer)s has changed the start date of %(partner)s as the partner of record for %(subscription)s."
)
NEW_START = _("Your start date is now %(since)s. Before, it was %(since_before)s.")
START_NOW = _(
    "The start date of %(partner)s as the partner of record for %(subscription)s is now %(since)s. Before, it was "
    "%(since_before)s."
)

DATED_BACK_MAIL = to_partner(
    "record_dated_back",
    Topic.RECORD,
    title=_("Start date moved earlier"),
    subject=_("Your start date as the partner of record for %(subscription)s (%(customer)s) is now earlier"),
    paragraphs=(CHANGED_START, NEW_START),
    inbox=_("Your start date as the partner of record is now %(day)s."),
    values=_with_day,
)
DATED_BACK_RECEIPT = to_customer(
    "record_dated_back_receipt",
    Topic.RECORD,
    title=_("Confirmation: start date moved earlier"),
    subject=_("You changed the start date of %(partner)s as the partner of record for %(subscription)s"),
    paragraphs=((START_NOW, TOLD_PARTNER),),
    inbox=_("You moved the start date of %(partner)s earlier, to %(day)s."),
    values=_with_day,
)


register(
    AttachEvent.DATED_BACK,
    payload=Redated,
    about=("subscription",),
    here=_("The start date for {partner} was moved earlier"),
    elsewhere=_("The start date for {partner} on {object} was moved earlier"),
    icon="clock",
    tone="",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(DATED_BACK_MAIL, DATED_BACK_RECEIPT),
    notify=partial(notify_both_sides, partner=DATED_BACK_MAIL, receipt=DATED_BACK_RECEIPT),
)

DATED_FORWARD_MAIL = to_partner(
    "record_dated_forward",
    Topic.RECORD,
    title=_("Start date moved later"),
    subject=_("Your start date as the partner of record for %(subscription)s (%(customer)s) is now later"),
    paragraphs=(CHANGED_START, NEW_START),
    inbox=_("Your start date as the partner of record is now %(day)s."),
    values=_with_day,
)
DATED_FORWARD_RECEIPT = to_customer(
    "record_dated_forward_receipt",
    Topic.RECORD,
    title=_("Confirmation: start date moved later"),
    subject=_("You changed the start date of %(partner)s as the partner of record for %(subscription)s"),
    paragraphs=((START_NOW, TOLD_PARTNER),),
    inbox=_("You moved the start date of %(partner)s later, to %(day)s."),
    values=_with_day,
)


register(
    AttachEvent.DATED_FORWARD,
    payload=Redated,
    about=("subscription",),
    here=_("The start date for {partner} was moved later"),
    elsewhere=_("The start date for {partner} on {object} was moved later"),
    icon="clock",
    tone="",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(DATED_FORWARD_MAIL, DATED_FORWARD_RECEIPT),
    notify=partial(notify_both_sides, partner=DATED_FORWARD_MAIL, receipt=DATED_FORWARD_RECEIPT),
)

DATING_UNDONE_MAIL = to_partner(
    "record_dating_undone",
    Topic.RECORD,
    title=_("Change of start date undone"),
    subject=_("Your start date as the partner of record for %(subscription)s (%(customer)s) is as it was"),
    paragraphs=(
        _("%(customer)s has undone the change of the start date of %(partner)s for %(subscription)s."),
        NEW_START,
    ),
    inbox=_("The change of your start date was undone. It is %(day)s again."),
    values=_with_day,
)
DATING_UNDONE_RECEIPT = to_customer(
    "record_dating_undone_receipt",
    Topic.RECORD,
    title=_("Confirmation: change of start date undone"),
    subject=_("You undid the change of the start date of %(partner)s for %(subscription)s"),
    paragraphs=((START_NOW, TOLD_PARTNER),),
    inbox=_("You undid the change of the start date of %(partner)s. It is %(day)s again."),
    values=_with_day,
)


register(
    AttachEvent.DATING_UNDONE,
    payload=Redated,
    about=("subscription",),
    here=_("The change of the start date for {partner} was undone"),
    elsewhere=_("The change of the start date for {partner} on {object} was undone"),
    icon="undo",
    tone="",
    groups=(UNDONE,),
    link=SUBSCRIPTION,
    mails=(DATING_UNDONE_MAIL, DATING_UNDONE_RECEIPT),
    notify=partial(notify_both_sides, partner=DATING_UNDONE_MAIL, receipt=DATING_UNDONE_RECEIPT),
    undoes=(
        AttachEvent.DATED_BACK,
        AttachEvent.DATED_FORWARD,
    ),
)
