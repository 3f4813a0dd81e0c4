"""Who reviews a claim: a reviewer takes it, or gives it to another one."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.shared import about, has_interest, locked
from associations.claims.events.reviews import ReviewEvent
from associations.claims.models import Claim
from associations.claims.rules import CLAIM, PENDING
from associations.record import recording
from por.accounts.models import Actor, Membership
from por.accounts.rules import RIGHTS, OrganisationKind, Right
from por.errors import Refused
from por.history.actions import recording as history

#: The roles of those who review claims.
REVIEWING = [role for role, rights in RIGHTS[OrganisationKind.STAFF].items() if Right.REVIEW_CLAIMS in rights]


def reviewers() -> QuerySet[Membership]:
    """Return the members of staff who review claims, by name."""
    found = Membership.objects.usable().filter(organisation__kind=OrganisationKind.STAFF, role__in=REVIEWING)
    return found.order_by("user__name", "pk")


@transaction.atomic
def assign(claim_id: int, reviewer_id: int | None, *, by: Actor) -> Claim:
    """Give a claim that is not decided to a reviewer; return it. The same reviewer again changes nothing.

    It gives the claim no new version: no partner sees it. Raises NotFound, Forbidden, Locked, or Refused: with the code
    of the status, or on `reviewer`: `reviewer_unknown`, `interest`.
    """
    claim = locked(claim_id, Right.REVIEW_CLAIMS, by=by)
    if claim.status not in PENDING:
        raise Refused(*CLAIM.refusals[claim.status])
    member = reviewers().filter(user=reviewer_id).first()
    if member is None:
        raise Refused("reviewer_unknown", _("Choose a reviewer from the list."), field="reviewer")
    if has_interest(member.user_id, [claim]):
        raise Refused("interest", _("This reviewer has an interest in one of the parties."), field="reviewer")
    if claim.assigned_to_id == member.user_id:
        return claim
    claim.assigned_to = member.user
    claim.save(update_fields=["assigned_to"])
    changes = {
        "claim": claim.pk,
        "partner": recording.named(claim.partner),
        "to": {"user": member.user_id, "name": member.user.name},
    }
    history.record(ReviewEvent.ASSIGNED, about(claim), by=by, at=timezone.now(), chain=None, changes=changes)
    return claim
