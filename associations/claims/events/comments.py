"""The events of comments. Their text is kept with the claim, so that no history repeats it."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from associations.claims.events.mails import claim_values, notify_claimant, partner_context, to_partner
from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from associations.claims.models import Claim
from por.accounts.models import Membership
from por.accounts.rules import OrganisationKind, Right
from por.history.events import EventType, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_member
from por.notifications.messages import mail
from por.notifications.models import Topic


class CommentEvent(EventType):
    COMMENTED = "claim.commented"
    NOTED = "claim.noted"


class Commented(ClaimPayload):
    """The key of the comment."""

    comment: int


def _review_page(event: Event) -> str:
    return reverse("claims:review_claim", args=[event.changes["claim"]])


COMMENTED_MAIL = to_partner(
    "claim_commented",
    Topic.CLAIM,
    title=_("The reviewer commented on a claim"),
    subject=_("The reviewer commented on your claim %(claim)s for %(customer)s"),
    paragraphs=(
        _("The reviewer wrote a comment on your claim for %(units)s. Read it and answer on the page of the claim."),
    ),
    inbox=_("The reviewer commented on the claim for %(units)s."),
    may=Right.LIST_PROOFS,
)
ANSWERED_MAIL = mail(
    "claim_answered",
    Topic.CLAIM,
    to=(OrganisationKind.STAFF,),
    title=_("A partner commented on a claim that is assigned to you"),
    subject=_("%(partner)s commented on the claim %(claim)s"),
    paragraphs=(_("%(partner)s wrote a comment on a claim that is assigned to you."),),
    context=partner_context,
    action=_("Open the claim"),
    url=_review_page,
    inbox=_("%(partner)s commented on a claim that is assigned to you."),
    values=claim_values,
)


def _commented(event: Event) -> None:
    """Notify the other side: the claimant, or the reviewer who has the claim, if anybody has it."""
    claim = Claim.objects.only("partner", "company", "assigned_to").get(pk=event.changes["claim"])
    if event.actor_organisation_id not in {claim.partner_id, claim.company_id}:
        notify_claimant(event, COMMENTED_MAIL)
        return
    member = Membership.objects.filter(user=claim.assigned_to_id, organisation__kind=OrganisationKind.STAFF).first()
    if member is not None:
        notify_member(
            event, ANSWERED_MAIL, user_id=member.user_id, organisation_id=member.organisation_id, always=False
        )


register(
    CommentEvent.COMMENTED,
    payload=Commented,
    about=("claim",),
    here=_("A comment was added to the claim"),
    elsewhere=_("A comment was added to the claim {object}"),
    icon="info",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(COMMENTED_MAIL, ANSWERED_MAIL),
    notify=_commented,
)
register(
    CommentEvent.NOTED,
    payload=Commented,
    about=("claim",),
    here=_("An internal comment was added to the claim"),
    elsewhere=_("An internal comment was added to the claim {object}"),
    icon="info",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
