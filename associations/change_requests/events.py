"""The events of an open change request. Those of its answer and its end are in `answer_events`."""

from __future__ import annotations

from functools import partial
from typing import TypedDict

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.change_requests.models import Challenger, ChangeRequest
from associations.change_requests.rules import Cancellation
from associations.record.events import Named, customer_of, notify_customer, partner_name
from associations.record.models import Association
from associations.record.timeline import reason_of
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner
from por.history.events import Choice, EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_member, notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.notifications.queries import unreached
from por.web.formatting import deadline_text, number_text


class ChangeRequestEvent(EventType):
    OPENED = "change_request.opened"
    JOINED = "change_request.joined"
    NOTED = "change_request.noted"
    STATED = "change_request.stated"
    FORWARDED = "change_request.forwarded"
    REMINDED = "change_request.reminded"


class AnswerEvent(EventType):
    ANSWERED = "change_request.answered"
    ANSWER_UNDONE = "change_request.answer_undone"
    SWITCHED = "change_request.switched"
    SWITCH_UNDONE = "change_request.switch_undone"
    EXPIRED = "change_request.expired"
    CANCELLED = "change_request.cancelled"
    REOPENED = "change_request.reopened"


# --- Payloads -------------------------------------------------------------------------------------------------------


class AboutRequest(TypedDict):
    change_request: int


class WithNamed(AboutRequest):
    partner: Named


class Member(TypedDict):
    user: int
    name: str


class Forwarded(AboutRequest):
    to: Member


class Reminded(AboutRequest):
    number: int


# --- What all of them share -----------------------------------------------------------------------------------------

CHANGE_REQUESTS = event_group("questions", _("Change requests"))
CHANGE_REQUEST = Link(
    "change_request",
    customer="associations:change_request",
    partner="associations:partner_change_request",
    key="change_request",
)


class ChangeContext(MailContext):
    """The values in the mails of a change request. A party may know the other's name, but not its statement."""

    customer: str
    subscription: str
    incumbent: str
    partner: str  # "" where the event names none
    by_partner: bool
    due: str
    why: str  # "" unless it was cancelled
    unreached: str  # the organisations where no one could be told; "" if there are none


def request_of(event: Event) -> ChangeRequest:
    """Return the change request of an event."""
    return ChangeRequest.objects.for_listing().get(pk=event.changes["change_request"])


def partner_context(event: Event) -> ChangeContext:
    """Return the values for any party: without the note for one of them, and without the name of another partner."""
    request = request_of(event)
    now = _of_record(event, request)
    known = now is None or now.pk in request.parties()
    return _context(event, request, now=_with_id(now) if known else gettext("another partner"))


def named_context(event: Event) -> ChangeContext:
    """Return the values for the named partner, with the note that the customer wrote for it."""
    return {**partner_context(event), "reason": _note(event)}


def customer_context(event: Event) -> ChangeContext:
    """Return the values for the customer, which may know every partner."""
    request = request_of(event)
    return _context(event, request, now=_with_id(_of_record(event, request)))


def _question_context(event: Event) -> ChangeContext:
    """Return the values for the customer, with the note that it wrote for the proposed partner."""
    return {**customer_context(event), "reason": _note(event)}


def _note(event: Event) -> list[str]:
    named = {"request": event.changes["change_request"], "partner__mpn_id": event.changes["partner"]["mpn_id"]}
    return Challenger.objects.get(**named).note.splitlines()


def _of_record(event: Event, request: ChangeRequest) -> Partner | None:
    """Return who was the partner of record just after the event."""
    if event.verb in {AnswerEvent.ANSWERED, AnswerEvent.SWITCHED}:  # an undo leaves no trace of an end
        chosen = (event.changes.get("partner") or {}).get("mpn_id")
        return next((one for one in request.parties().values() if one.mpn_id == chosen), None)
    at = event.at
    begun = Association.objects.of_record().filter(subscription=request.subscription, began_at__lte=at)
    in_force = begun.filter(Q(ended_at=None) | Q(ended_at__gt=at), Q(undone_at=None) | Q(undone_at__gt=at))
    # An answer that was undone since had ended the older one of two.
    newest = in_force.select_related("partner__organisation").order_by("began_at", "pk").last()
    return newest.partner if newest else None


def _context(event: Event, request: ChangeRequest, *, now: str) -> ChangeContext:
    """Return the values that all readers may know. `now` is the partner of record after the event."""
    subscription, incumbent = request.subscription, request.incumbent.partner
    customer = subscription.customer.organisation.name
    unknown = gettext("unknown")
    rows = [
        (gettext("Customer"), customer),
        (gettext("Product"), subscription.get_product_display()),
        (gettext("SKU"), subscription.sku.name if subscription.sku else unknown),
        (gettext("Seats"), unknown if subscription.seats is None else number_text(subscription.seats)),
        *_rows_of_record(_with_id(incumbent), now, event.verb),
    ]
    if event.verb not in {AnswerEvent.SWITCHED, AnswerEvent.SWITCH_UNDONE}:
        proposed = ", ".join(_with_id(one.partner) for one in request.challengers.all())
        rows.append((gettext("Proposed partner"), proposed))
    if event.actor_name:
        rows.append((gettext("Done by"), event.actor_name))
    return {
        "customer": customer,
        "subscription": subscription.name,
        "incumbent": incumbent.organisation.name,
        "partner": (event.changes.get("partner") or {}).get("name", ""),
        "by_partner": event.actor_organisation_id not in {None, subscription.customer_id},
        "due": deadline_text(request.deadline),
        "why": why_cancelled(event),
        "unreached": unreached(event),
        "rows": rows,
        "reason": reason_of(event, NOBODY).splitlines(),
    }


#: The IDs of a reader for whom no note was written.
NOBODY: frozenset[str] = frozenset()


def _rows_of_record(before: str, now: str, verb: str) -> list[tuple[str, str]]:
    """Return who was the partner of record when the customer was asked or switched, and who is now if another one."""
    if before == now:
        return [(gettext("Partner of record"), now)]
    switched = verb == AnswerEvent.SWITCHED
    label = gettext("Partner of record before") if switched else gettext("Partner of record when asked")
    return [(label, before), (gettext("Partner of record now"), now)]


def _with_id(partner: Partner | None) -> str:
    if partner is None:
        return gettext("no partner")
    return gettext("%(name)s, MPN ID %(mpn_id)s") % {"name": partner.organisation.name, "mpn_id": partner.mpn_id}


def why_cancelled(event: Event) -> str:
    """Return why it was cancelled; "" if it was not."""
    why = event.changes.get("why")
    return str(Cancellation(why).label) if why else ""


def _customer_page(event: Event) -> str:
    return reverse("associations:change_request", args=[event.changes["change_request"]])


def _partner_page(event: Event) -> str:
    return reverse("associations:partner_change_request", args=[event.changes["change_request"]])


#: A mail to a partner that is a party.
to_partner = partial(
    mail,
    topic=Topic.CHANGE,
    to=(OrganisationKind.PARTNER,),
    context=partner_context,
    action=_("View change request"),
    url=_partner_page,
)
#: A mail to those of the customer who may answer.
to_customer = partial(
    mail,
    topic=Topic.CHANGE,
    to=(OrganisationKind.CUSTOMER,),
    context=customer_context,
    action=_("View change request"),
    url=_customer_page,
    may=Right.ANSWER_CHANGE_REQUEST,
)

# --- Opened, and joined ---------------------------------------------------------------------------------------------

QUESTION = to_customer(
    "change_question",
    title=_("New change request"),
    subject=_("Which partner is doing the work for %(subscription)s? Answer by the end of %(due)s"),
    paragraphs=(
        _("%(partner)s has been proposed for %(subscription)s. The current partner is %(incumbent)s."),
        _(
            "Which partner is doing the work? Choose one of them, or neither. Any administrator can answer, and can "
            "undo the answer for a limited time."
        ),
        _(
            "%(incumbent)s stays the partner of record until someone answers. If no one answers by the end of "
            "%(due)s, nothing changes."
        ),
    ),
    context=_question_context,
    inbox=_("%(partner)s has been proposed. Which partner is doing the work?"),
    values=partner_name,
)
CONTESTED = to_partner(
    "change_contested",
    title=_("Another partner proposed in your place"),
    subject=_("Another partner has been proposed for %(subscription)s"),
    paragraphs=(
        Choice(
            "by_partner",
            {
                True: _(
                    "%(partner)s says it has the consent of %(customer)s to be the partner of record for "
                    "%(subscription)s. You stay the partner of record until the customer answers which partner is "
                    "doing the work."
                )
            },
            _(
                "%(customer)s has proposed %(partner)s for %(subscription)s. You stay the partner of record until the "
                "customer answers which partner is doing the work."
            ),
        ),
        _(
            "You can tell the customer what you do for them. Only the customer can read it. The customer has until "
            "the end of %(due)s to answer. If they do not answer, you stay the partner of record."
        ),
    ),
    inbox=_("Another partner has been proposed. You stay the partner of record until the customer answers."),
)
NAMED = to_partner(
    "change_named",
    title=_("You were proposed as the partner of record"),
    subject=_("You have been proposed for %(subscription)s"),
    paragraphs=(
        Choice(
            "by_partner",
            {
                True: _(
                    "You activated %(subscription)s for %(customer)s. %(incumbent)s is its partner of record, and "
                    "stays until the customer answers which partner is doing the work."
                )
            },
            _(
                "%(customer)s has proposed %(partner)s for %(subscription)s. %(incumbent)s is its partner of record, "
                "and stays until the customer answers which partner is doing the work."
            ),
        ),
        _(
            "You can tell the customer what you do for them. Only the customer can read it. The customer has until "
            "the end of %(due)s to answer."
        ),
    ),
    context=named_context,
    inbox=_("You have been proposed. We have asked the customer which partner is doing the work."),
)
ONE_MORE = to_partner(
    "change_joined",
    title=_("One more partner proposed"),
    subject=_("One more partner has been proposed for %(subscription)s"),
    paragraphs=(
        _(
            "%(partner)s has also been proposed for %(subscription)s. The change request is still open, and the "
            "customer has until the end of %(due)s to answer."
        ),
    ),
    inbox=_("One more partner has been proposed."),
)


def _asked(event: Event) -> None:
    """Notify the incumbent and all proposed partners, and ask the customer's administrators."""
    request = request_of(event)
    named = event.changes["partner"]["mpn_id"]
    for pk, partner in request.parties().items():
        if pk not in event.parties:
            continue  # proposed later, so another event notifies it
        if pk == request.incumbent.partner_id:
            notify_organisation(event, CONTESTED, organisation_id=pk)
        else:
            notify_organisation(event, NAMED if partner.mpn_id == named else ONE_MORE, organisation_id=pk)
    notify_customer(event, QUESTION)


register(
    ChangeRequestEvent.OPENED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=WithNamed,
    here=_("{partner} was proposed, and a change request was opened"),
    elsewhere=_("{partner} was proposed for {object}, and a change request was opened"),
    icon="help",
    tone="info",
    groups=(CHANGE_REQUESTS,),
    mails=(QUESTION, CONTESTED, NAMED),
    notify=_asked,
    names_parties=True,
    reason_is_private=True,
)
register(
    ChangeRequestEvent.JOINED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=WithNamed,
    here=_("{partner} was added to the change request"),
    elsewhere=_("{partner} was added to the change request for {object}"),
    icon="help",
    tone="info",
    groups=(CHANGE_REQUESTS,),
    mails=(QUESTION, CONTESTED, NAMED, ONE_MORE),
    notify=_asked,
    names_parties=True,
    reason_is_private=True,
)
register(
    ChangeRequestEvent.NOTED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=WithNamed,
    here=_("A note was written for {partner}"),
    elsewhere=_("A note about {object} was written for {partner}"),
    icon="send",
    tone="",
    groups=(CHANGE_REQUESTS,),
    mails=(),  # it is in the mails about the proposal
)

# --- While it is open -----------------------------------------------------------------------------------------------

register(
    ChangeRequestEvent.STATED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=WithNamed,
    here=_("{partner} wrote a statement for the customer"),
    elsewhere=_("{partner} wrote a statement about {object} for the customer"),
    icon="send",
    tone="",
    groups=(CHANGE_REQUESTS,),
    mails=(),
)

FORWARDED = mail(
    "change_forwarded",
    None,
    to=(OrganisationKind.CUSTOMER,),
    title=_("Change request forwarded by a colleague"),
    subject=_("Please look at this: which partner is doing the work for %(subscription)s?"),
    paragraphs=(
        _(
            "A colleague asks you to look at this change request. %(incumbent)s is the partner of record for "
            "%(subscription)s, and another partner has been proposed."
        ),
        _("An administrator has until the end of %(due)s to answer."),
    ),
    context=customer_context,
    action=_("View change request"),
    url=_customer_page,
    inbox=_("A colleague asks you to look at a change request."),
)


def _forwarded(event: Event) -> None:
    notify_member(event, FORWARDED, user_id=event.changes["to"]["user"], organisation_id=customer_of(event))


register(
    ChangeRequestEvent.FORWARDED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Forwarded,
    here=_("The change request was forwarded to {to}"),
    elsewhere=_("The change request for {object} was forwarded to {to}"),
    icon="arrow",
    tone="",
    groups=(CHANGE_REQUESTS,),
    mails=(FORWARDED,),
    notify=_forwarded,
)

REMINDER = to_customer(
    "change_reminder",
    title=_("Reminder to answer a change request"),
    subject=_("Reminder: which partner is doing the work for %(subscription)s?"),
    paragraphs=(
        _("Two partners say that they are doing the work for %(subscription)s. We have asked you which of them it is."),
        _("If no one answers by the end of %(due)s, %(incumbent)s stays the partner of record."),
    ),
    inbox=_("Reminder: you still need to answer which partner is doing the work."),
)


register(
    ChangeRequestEvent.REMINDED,
    about=("subscription",),
    link=CHANGE_REQUEST,
    payload=Reminded,
    here=_("The administrators were reminded about the change request"),
    elsewhere=_("The administrators were reminded about the change request for {object}"),
    icon="bell",
    tone="",
    groups=(CHANGE_REQUESTS,),
    mails=(REMINDER,),
    notify=partial(notify_customer, message=REMINDER),
)
