"""The events of an open change request. Those of its answer and its end are in `answer_events`."""

from __future__ import annotations

from functools import partial
from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import Cancellation
from associations.record.events import Named, customer_of, notify_customer, partner_name
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner
from por.history.events import Choice, EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_member, notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.web.formatting import moment_text, number_text


class ChangeRequestEvent(EventType):
    OPENED = "change_request.opened"
    JOINED = "change_request.joined"
    STATED = "change_request.stated"
    FORWARDED = "change_request.forwarded"
    REMINDED = "change_request.reminded"


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


def request_of(event: Event) -> ChangeRequest:
    """Return the change request of an event."""
    return ChangeRequest.objects.for_listing().get(pk=event.changes["change_request"])


def _context(event: Event) -> ChangeContext:
    request = request_of(event)
    subscription, incumbent = request.subscription, request.incumbent.partner
    customer = subscription.customer.organisation.name
    unknown = gettext("unknown")
    rows = [
        (gettext("Customer"), customer),
        (gettext("Product"), subscription.get_product_display()),
        (gettext("SKU"), subscription.sku.name if subscription.sku else unknown),
        (gettext("Seats"), unknown if subscription.seats is None else number_text(subscription.seats)),
        (gettext("Partner of record"), _with_id(incumbent)),
        (gettext("Proposed partner"), ", ".join(_with_id(one.partner) for one in request.challengers.all())),
    ]
    if event.actor_name:
        rows.append((gettext("Done by"), event.actor_name))
    return {
        "customer": customer,
        "subscription": subscription.name,
        "incumbent": incumbent.organisation.name,
        "partner": (event.changes.get("partner") or {}).get("name", ""),
        "by_partner": event.actor_organisation_id not in {None, subscription.customer_id},
        "due": moment_text(request.due_at, zone=True),
        "why": why_cancelled(event),
        "rows": rows,
        "reason": event.reason.splitlines(),
    }


def _with_id(partner: Partner) -> str:
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
    context=_context,
    action=_("View change request"),
    url=_partner_page,
)
#: A mail to those of the customer who may answer.
to_customer = partial(
    mail,
    topic=Topic.CHANGE,
    to=(OrganisationKind.CUSTOMER,),
    context=_context,
    action=_("View change request"),
    url=_customer_page,
    may=Right.ANSWER_CHANGE_REQUEST,
)

# --- Opened, and joined ---------------------------------------------------------------------------------------------

QUESTION = to_customer(
    "change_question",
    title=_("New change request"),
    subject=_("Which partner is doing the work for %(subscription)s? Answer by %(due)s"),
    paragraphs=(
        _("%(partner)s has been proposed for %(subscription)s. The current partner is %(incumbent)s."),
        _(
            "Which partner is doing the work? Choose one of them, or neither. Any administrator can answer, and can "
            "undo the answer for a limited time."
        ),
        _(
            "%(incumbent)s stays the partner of record until someone answers. If no one answers by %(due)s, nothing "
            "changes."
        ),
    ),
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
            "%(due)s to answer. If they do not answer, you stay the partner of record."
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
            "%(due)s to answer."
        ),
    ),
    inbox=_("You have been proposed. We have asked the customer which partner is doing the work."),
)
ONE_MORE = to_partner(
    "change_joined",
    title=_("One more partner proposed"),
    subject=_("One more partner has been proposed for %(subscription)s"),
    paragraphs=(
        _(
            "%(partner)s has also been proposed for %(subscription)s. The change request is still open, and the "
            "customer has until %(due)s to answer."
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
        _("An administrator has until %(due)s to answer."),
    ),
    context=_context,
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
        _("If no one answers by %(due)s, %(incumbent)s stays the partner of record."),
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
