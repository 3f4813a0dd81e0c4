"""The events of the house about reviews: who has a claim, and who has an interest. Only staff read them."""

from __future__ import annotations

from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CLAIM
from associations.record.events import WithPartner
from por.accounts.models import Membership
from por.accounts.rules import OrganisationKind
from por.history.events import EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_member
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic


class ReviewEvent(EventType):
    ASSIGNED = "claim.assigned"


class InterestEvent(EventType):
    MARKED = "interest.marked"
    REMOVED = "interest.removed"


class Person(TypedDict):
    """A person, with their name at the time."""

    user: int
    name: str


class Numbered(TypedDict):
    """An organisation by its MPN ID or tenant ID, with its name at the time."""

    number: str
    name: str


class Assigned(WithPartner):
    claim: int
    to: Person


class WithInterest(TypedDict):
    interested_in: Numbered
    reviewer: Person


class AssignedContext(MailContext):
    partner: str


class AssignedText(TypedDict):
    partner: str


#: Who reviews what, and who may not: for staff alone.
REVIEWS = event_group("reviews", _("Reviewers and their interests"), internal=True)


def _partner(payload: Assigned) -> AssignedText:
    return {"partner": payload["partner"]["name"]}


def _context(event: Event) -> AssignedContext:
    return {
        "partner": event.changes["partner"]["name"],
        "rows": [
            (gettext("Claim"), event.object_name),
            (gettext("Partner"), event.changes["partner"]["name"]),
            (gettext("Assigned by"), event.actor_name),
        ],
    }


def _claim_page(event: Event) -> str:
    return reverse("claims:review_claim", args=[event.object_id])


ASSIGNED = mail(
    "claim_assigned",
    Topic.CLAIM,
    to=(OrganisationKind.STAFF,),
    title=_("A claim was assigned to you"),
    subject=_("A claim of %(partner)s was assigned to you"),
    paragraphs=(_("A claim of %(partner)s waits for your review."),),
    context=_context,
    action=_("Open the claim"),
    url=_claim_page,
    inbox=_("A claim of %(partner)s was assigned to you"),
    values=_partner,
)


def _tell(event: Event) -> None:
    """Tell the reviewer who has it now, unless they took it themselves."""
    user = event.changes["to"]["user"]
    if user == event.actor_id:
        return
    member = Membership.objects.filter(user=user, organisation__kind=OrganisationKind.STAFF).first()
    if member is not None:
        notify_member(event, ASSIGNED, user_id=user, organisation_id=member.organisation_id, always=False)


register(
    ReviewEvent.ASSIGNED,
    payload=Assigned,
    about=("claim",),
    here=_("Assigned to {to}"),
    elsewhere=_("The claim {object} was assigned to {to}"),
    icon="person",
    tone="",
    groups=(REVIEWS,),
    link=CLAIM,
    mails=(ASSIGNED,),
    notify=_tell,
)
register(
    InterestEvent.MARKED,
    payload=WithInterest,
    about=("interest",),
    here=_("{reviewer} has an interest in {interested_in}"),
    elsewhere=_("{reviewer} has an interest in {object}"),
    icon="flag",
    tone="info",
    groups=(REVIEWS,),
    link=Link("interest"),
    mails=(),
)
register(
    InterestEvent.REMOVED,
    payload=WithInterest,
    about=("interest",),
    here=_("{reviewer} no longer has an interest in {interested_in}"),
    elsewhere=_("{reviewer} no longer has an interest in {object}"),
    icon="x",
    tone="",
    groups=(REVIEWS,),
    link=Link("interest"),
    mails=(),
)
