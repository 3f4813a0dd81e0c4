"""The events that close a change request or open it again: answered, switched, expired, cancelled, undone."""

from __future__ import annotations

from functools import partial
from typing import NotRequired

from django.utils.translation import gettext_lazy as _

from associations.change_requests.events import (
    CHANGE_REQUEST,
    CHANGE_REQUESTS,
    AboutRequest,
    AnswerEvent,
    ChangeContext,
    customer_context,
    named_context,
    partner_context,
    request_of,
    to_customer,
    to_partner,
    why_cancelled,
)
from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import NO_CHOICE
from associations.record.events import (
    ATTACHED,
    COULD_NOT_TELL,
    PARTNER_KEEPS,
    UNDONE,
    Named,
    WithFingerprints,
    notify_customer,
)
from associations.record.holdings import holdings
from por.history.events import Choice, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import Mail


class Answered(AboutRequest, WithFingerprints):
    """The answer is neither partner if there is no `partner`."""

    partner: NotRequired[Named]


class Switched(AboutRequest, WithFingerprints):
    """The partner that the customer switched to, and the one that it replaced."""

    partner: Named
    former: Named


class Cancelled(AboutRequest):
    why: str


class AnsweredContext(ChangeContext):
    """The values of a mail about an answer, with what the former partner of record has left.

    `lost` is its name, and `rest` what else it has with the customer; "" for nothing.
    """

    lost: str
    rest: str
    rest_with_ways: str


def _lost_context(event: Event) -> AnsweredContext:
    return _with_rest(event, partner_context(event))


def _answered_context(event: Event) -> AnsweredContext:
    return _with_rest(event, customer_context(event))


def _with_rest(event: Event, context: ChangeContext) -> AnsweredContext:
    request = request_of(event)
    partner = request.incumbent.partner
    if (event.changes.get("partner") or {}).get("mpn_id") == partner.mpn_id:
        return {**context, "lost": "", "rest": "", "rest_with_ways": ""}
    rest = holdings(partner, [request.subscription])
    name = partner.organisation.name
    return {**context, "lost": name, "rest": rest.named(), "rest_with_ways": rest.with_ways()}


# --- Answered -------------------------------------------------------------------------------------------------------

CHOSEN = to_partner(
    "change_chosen",
    title=_("Change request answered: you are the new partner of record"),
    subject=_("You are now the partner of record for %(subscription)s"),
    paragraphs=(
        _("%(customer)s answered that you are doing the work for %(subscription)s. You are now the partner of record."),
        _(
            "You can see this subscription, its seats and its usage. The customer can undo the answer for a limited "
            "time, and can remove you at any time. We will tell you if that happens."
        ),
    ),
    inbox=_("The customer answered that you are doing the work. You are now the partner of record."),
)
KEPT = to_partner(
    "change_kept",
    title=_("Change request answered: you are still the partner of record"),
    subject=_("You are still the partner of record for %(subscription)s"),
    paragraphs=(_("%(customer)s answered that you are doing the work for %(subscription)s. Nothing changes for you."),),
    inbox=_("The customer answered that you are doing the work. You are still the partner of record."),
)
LOST = to_partner(
    "change_lost",
    title=_("Change request answered: you are no longer the partner of record"),
    subject=_("You are no longer the partner of record for %(subscription)s"),
    paragraphs=(
        _(
            "%(customer)s answered that you are not doing the work for %(subscription)s. You are no longer the partner "
            "of record."
        ),
        _(
            "You can still see usage for the months when you were the partner of record. The customer can undo the "
            "answer for a limited time. We will tell you if that happens."
        ),
        PARTNER_KEEPS,
    ),
    context=_lost_context,
    inbox=_("The customer answered that you are not doing the work. You are no longer the partner of record."),
)
NOT_CHOSEN = to_partner(
    "change_not_chosen",
    title=_("Change request answered: you were not chosen"),
    subject=_("You have not become the partner of record for %(subscription)s"),
    paragraphs=(
        _("%(customer)s answered that you are not doing the work for %(subscription)s."),
        _("If this is a mistake, talk to the customer. They can propose you again."),
    ),
    inbox=_("The customer answered that you are not doing the work."),
)
ANSWERED = to_customer(
    "change_answered",
    title=_("Change request answered"),
    subject=_("Change request answered for %(subscription)s"),
    paragraphs=(
        Choice(
            "partner",
            {
                "": _(
                    "Your organisation answered that neither partner is doing the work. The subscription now has no "
                    "partner of record."
                )
            },
            _("Your organisation answered that %(partner)s is doing the work."),
        ),
        (
            Choice("unreached", {"": _("We have told all partners in the change request.")}, COULD_NOT_TELL),
            _("The answer can be undone for a limited time on the page of the subscription."),
        ),
        Choice(
            "lost",
            {"": ()},
            Choice(
                "rest",
                {"": _("%(lost)s has no other association with your organisation.")},
                _("%(lost)s still has the following, and you can end each of them. %(rest_with_ways)s"),
            ),
        ),
    ),
    context=_answered_context,
    inbox=_("The change request was answered."),
)


def _answered(event: Event) -> None:
    """Notify every partner of what the answer means for it, and the customer."""
    request = request_of(event)
    chosen = (event.changes.get("partner") or {}).get("mpn_id", "")
    for pk, message in mails_of_answer(request, chosen).items():
        notify_organisation(event, message, organisation_id=pk)
    notify_customer(event, ANSWERED)


def mails_of_answer(request: ChangeRequest, mpn_id: str) -> dict[int, Mail]:
    """Return what each partner is told, by its key, if the answer is the partner with this ID; "" for neither."""
    if request.is_switch:
        return {pk: SWITCHED_FROM if pk == request.incumbent.partner_id else SWITCHED_TO for pk in request.parties()}
    mails = {}
    for pk, partner in request.parties().items():
        won, lost = (KEPT, LOST) if pk == request.incumbent.partner_id else (CHOSEN, NOT_CHOSEN)
        mails[pk] = won if partner.mpn_id == mpn_id else lost
    return mails


register(
    AnswerEvent.ANSWERED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Answered,
    here=Choice(
        "partner",
        {None: _("Change request answered: neither partner is doing the work")},
        _("Change request answered: {partner} is doing the work"),
    ),
    elsewhere=Choice(
        "partner",
        {None: _("Change request for {object} answered: neither partner is doing the work")},
        _("Change request for {object} answered: {partner} is doing the work"),
    ),
    icon="ok",
    tone="ok",
    groups=(CHANGE_REQUESTS,),
    mails=(CHOSEN, KEPT, LOST, NOT_CHOSEN, ANSWERED),
    notify=_answered,
    names_parties=True,
)

UNDONE_MAIL = to_partner(
    "change_answer_undone",
    title=_("Customer’s answer undone"),
    subject=_("Answer undone for %(subscription)s"),
    paragraphs=(
        _(
            "%(customer)s has undone its answer for %(subscription)s. %(incumbent)s is the partner of record, and the "
            "change request is open again until the end of %(due)s."
        ),
    ),
    inbox=_("The answer was undone. The change request is open again."),
)
UNDONE_CUSTOMER_MAIL = to_customer(
    "change_answer_undone_customer",
    title=_("Your organisation’s answer undone"),
    subject=_("Answer undone for %(subscription)s"),
    paragraphs=(
        _(
            "The answer for %(subscription)s was undone. %(incumbent)s is the partner of record, and the change "
            "request is open again until the end of %(due)s."
        ),
    ),
    inbox=_("The answer was undone. The change request needs a new answer."),
)


def _undone(event: Event) -> None:
    request = request_of(event)
    for pk in request.parties():
        notify_organisation(event, UNDONE_MAIL, organisation_id=pk)
    notify_customer(event, UNDONE_CUSTOMER_MAIL)


register(
    AnswerEvent.ANSWER_UNDONE,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Answered,
    here=_("The answer to the change request was undone"),
    elsewhere=_("The answer to the change request for {object} was undone"),
    icon="undo",
    tone="",
    groups=(CHANGE_REQUESTS, UNDONE),
    mails=(UNDONE_MAIL, UNDONE_CUSTOMER_MAIL),
    notify=_undone,
    names_parties=True,
    undoes=(AnswerEvent.ANSWERED,),
)

# --- Switched at once -----------------------------------------------------------------------------------------------

SWITCHED_TO = to_partner(
    "change_switched_to",
    title=_("You replaced another partner as the partner of record"),
    subject=_("%(customer)s made you the partner of record for %(subscription)s"),
    paragraphs=(
        _("%(customer)s has made %(partner)s the partner of record for %(subscription)s, in place of another partner."),
        _(
            "You can now see this subscription, its seats and its usage. The customer can undo this for a limited "
            "time, and can remove you at any time. We will tell you if that happens."
        ),
    ),
    context=named_context,
    inbox=_("The customer made you the partner of record, in place of another partner."),
)
SWITCHED_FROM = to_partner(
    "change_switched_from",
    title=_("Another partner replaced you as the partner of record"),
    subject=_("You are no longer the partner of record for %(subscription)s"),
    paragraphs=(
        _(
            "%(customer)s has made %(partner)s the partner of record for %(subscription)s. You are no longer the "
            "partner of record."
        ),
        _(
            "You can still see usage for the months when you were the partner of record. The customer can undo this "
            "for a limited time. We will tell you if that happens."
        ),
        PARTNER_KEEPS,
    ),
    context=_lost_context,
    inbox=_("Another partner replaced you as the partner of record."),
)
SWITCHED_CUSTOMER = to_customer(
    "change_switched_customer",
    title=_("Your organisation changed the partner of record"),
    subject=_("%(partner)s is now your partner of record for %(subscription)s"),
    paragraphs=(
        _("Your organisation changed the partner of record for %(subscription)s from %(lost)s to %(partner)s."),
        (
            Choice("unreached", {"": _("We have told both partners.")}, COULD_NOT_TELL),
            _("The change can be undone for a limited time on the page of the subscription."),
        ),
        Choice(
            "rest",
            {"": _("%(lost)s has no other association with your organisation.")},
            _("%(lost)s still has the following, and you can end each of them. %(rest_with_ways)s"),
        ),
    ),
    context=_answered_context,
    inbox=_("Your organisation changed the partner of record."),
)


def _notify_all(event: Event, *, former: Mail, to: Mail, customer: Mail) -> None:
    """Notify the partner that is replaced, or is so no more, the other one, and the customer."""
    incumbent = request_of(event).incumbent.partner_id
    for pk in event.parties:
        notify_organisation(event, former if pk == incumbent else to, organisation_id=pk)
    notify_customer(event, customer)


register(
    AnswerEvent.SWITCHED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Switched,
    here=_("The partner of record was changed from {former} to {partner}"),
    elsewhere=_("The partner of record for {object} was changed from {former} to {partner}"),
    icon="ok",
    tone="ok",
    groups=(CHANGE_REQUESTS, ATTACHED),
    mails=(SWITCHED_TO, SWITCHED_FROM, SWITCHED_CUSTOMER),
    notify=partial(_notify_all, former=SWITCHED_FROM, to=SWITCHED_TO, customer=SWITCHED_CUSTOMER),
)

SWITCH_UNDONE_TO = to_partner(
    "change_switch_undone_to",
    title=_("Making you the partner of record undone"),
    subject=_("%(customer)s undid making you the partner of record for %(subscription)s"),
    paragraphs=(
        _(
            "%(customer)s made %(partner)s the partner of record for %(subscription)s, then undid this. It counts as "
            "if it never happened."
        ),
        _("You no longer have access to this subscription and its usage as its partner of record."),
    ),
    inbox=_("Making you the partner of record was undone, so you are not the partner of record."),
)
SWITCH_UNDONE_FROM = to_partner(
    "change_switch_undone_from",
    title=_("Your replacement undone"),
    subject=_("You are the partner of record for %(subscription)s (%(customer)s) again"),
    paragraphs=(
        _("%(customer)s had made another partner the partner of record for %(subscription)s, then undid this."),
        _(
            "You are the partner of record again, without a gap. You can see the subscription, its seats and its usage "
            "again."
        ),
    ),
    inbox=_("Your replacement was undone. You are the partner of record again, without a gap."),
)
SWITCH_UNDONE_CUSTOMER = to_customer(
    "change_switch_undone_customer",
    title=_("Your organisation’s change of partner undone"),
    subject=_("Change of partner undone for %(subscription)s"),
    paragraphs=(
        _(
            "The change of partner for %(subscription)s was undone. %(incumbent)s is the partner of record again, "
            "without a gap. No change request is open."
        ),
        Choice("unreached", {"": _("We have told both partners.")}, COULD_NOT_TELL),
    ),
    inbox=_("The change of partner was undone."),
)


register(
    AnswerEvent.SWITCH_UNDONE,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Switched,
    here=_("The change of the partner of record from {former} to {partner} was undone"),
    elsewhere=_("The change of the partner of record for {object} from {former} to {partner} was undone"),
    icon="undo",
    tone="",
    groups=(CHANGE_REQUESTS, UNDONE),
    mails=(SWITCH_UNDONE_TO, SWITCH_UNDONE_FROM, SWITCH_UNDONE_CUSTOMER),
    notify=partial(_notify_all, former=SWITCH_UNDONE_FROM, to=SWITCH_UNDONE_TO, customer=SWITCH_UNDONE_CUSTOMER),
    undoes=(AnswerEvent.SWITCHED,),
)

# --- Closed without an answer ---------------------------------------------------------------------------------------

HOW_IT_CLOSED = Choice(
    "why",
    {
        "": _(
            "The change request for %(subscription)s was not answered in time. %(incumbent)s is still the partner of "
            "record."
        )
    },
    (_("The change request for %(subscription)s has been cancelled."), "%(why)s."),
)
CLOSED = to_partner(
    "change_closed",
    title=_("Customer’s change request closed without an answer"),
    subject=_("Change request closed without an answer for %(subscription)s"),
    paragraphs=(HOW_IT_CLOSED,),
    inbox=_("The change request was closed without an answer."),
)
CLOSED_CUSTOMER = to_customer(
    "change_closed_customer",
    title=_("Your change request closed without an answer"),
    subject=_("Change request closed without an answer for %(subscription)s"),
    paragraphs=(
        HOW_IT_CLOSED,
        _("You can propose a partner again, or remove the partner of record, at any time."),
    ),
    inbox=_("The change request was closed without an answer."),
)


def _closed(event: Event) -> None:
    """Notify everyone but those who know: who removed the partner of record, and the partner that was removed."""
    request = request_of(event)
    ended = event.verb == AnswerEvent.CANCELLED and event.changes["why"] not in NO_CHOICE
    for pk in request.parties():
        if not (ended and pk == request.incumbent.partner_id):
            notify_organisation(event, CLOSED, organisation_id=pk)
    if event.actor_id is None:
        notify_customer(event, CLOSED_CUSTOMER)


REOPENED_MAIL = to_partner(
    "change_reopened",
    title=_("Cancelled change request open again"),
    subject=_("Change request open again for %(subscription)s"),
    paragraphs=(
        _(
            "%(customer)s removed %(incumbent)s as the partner of record for %(subscription)s, then undid this. "
            "%(incumbent)s is the partner of record, and the change request is open again until %(due)s."
        ),
    ),
    inbox=_("The change request is open again, because a removal was undone."),
)


def _reopened(event: Event) -> None:
    for pk in request_of(event).parties():
        notify_organisation(event, REOPENED_MAIL, organisation_id=pk)


register(
    AnswerEvent.REOPENED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=AboutRequest,
    here=_("The change request was opened again, because the removal was undone"),
    elsewhere=_("The change request for {object} was opened again, because the removal was undone"),
    icon="undo",
    tone="info",
    groups=(CHANGE_REQUESTS, UNDONE),
    mails=(REOPENED_MAIL,),
    notify=_reopened,
    undoes=(AnswerEvent.CANCELLED,),
)
register(
    AnswerEvent.EXPIRED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=AboutRequest,
    here=_("The change request was not answered in time, so nothing changed"),
    elsewhere=_("The change request for {object} was not answered in time, so nothing changed"),
    icon="clock",
    tone="",
    groups=(CHANGE_REQUESTS,),
    mails=(CLOSED, CLOSED_CUSTOMER),
    notify=_closed,
)
register(
    AnswerEvent.CANCELLED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Cancelled,
    here=_("The change request was cancelled"),
    elsewhere=_("The change request for {object} was cancelled"),
    icon="x",
    tone="",
    groups=(CHANGE_REQUESTS,),
    mails=(CLOSED, CLOSED_CUSTOMER),
    notify=_closed,
    detail=why_cancelled,
)
