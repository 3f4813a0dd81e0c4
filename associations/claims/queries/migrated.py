"""Claims that came from files: those without proof, those that expire, and what a rival could win for lack of proof."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.migrated import approved_then as approved_then
from associations.claims.actions.migrated import unproved as unproved
from associations.claims.actions.migrated import without_proof as without_proof
from associations.claims.actions.migrated import without_readable_proof as without_readable_proof
from associations.claims.models import Claim, ClaimUnit
from associations.claims.policies import policy_on
from associations.claims.rules import ClaimStatus

#: How many days before its subscription renews a claim is shown as expiring. As renewal notices.
EXPIRES_WITHIN = 60


def expiring(day: date) -> Q:
    """Return the condition of *Expiring*: approved, and the subscription of a unit renews in the next 60 days."""
    units = ClaimUnit.objects.filter(
        claim=OuterRef("pk"),
        live=True,
        subscription__renews_on__gte=day,
        subscription__renews_on__lte=day + timedelta(days=EXPIRES_WITHIN),
    )
    return Q(status=ClaimStatus.APPROVED) & Q(Exists(units))


def units_at_risk(claim: Claim, day: date) -> Sequence[ClaimUnit]:
    """Return the units of an approved claim that a rival could win on a day because there is no proof for them.

    That is so since the newest proof of each side is reviewed first.
    """
    if claim.status != ClaimStatus.APPROVED or not policy_on(day).most_recent_proof_first:
        return []
    return list(unproved().filter(claim=claim).select_related("subscription__sku").order_by("pk"))


WARNING: Promise = _(
    "If another partner claims the same, the most recent proof of each side is reviewed first. There is no proof for: "
    "%(units)s. Add one while you still work for the customer."
)


def warning(claim: Claim, day: date) -> str:
    """Return what the page of a claim warns of; "" for nothing."""
    units = units_at_risk(claim, day)
    return str(WARNING) % {"units": ", ".join(one.label for one in units)} if units else ""
