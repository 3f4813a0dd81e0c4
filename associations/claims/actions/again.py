"""What a partner can do after a rejection or an end: dispute a rejection once, and claim again."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.attaching.actions.ending import end_reason_from_outside
from associations.claims.actions import conflicts, drafting
from associations.claims.actions.shared import (
    due,
    lock_partner,
    locked,
    next_instant,
    record,
    step,
    told,
    units_of,
    visible,
)
from associations.claims.events.endings import EndingEvent
from associations.claims.models import Claim, ClaimUnit
from associations.claims.policies import policy_of, policy_on
from associations.claims.programs import Claimable, claimable
from associations.claims.rules import CLAIM, ClaimStatus, Origin, Outcome, Program, own_fields
from associations.record.access import subscriptions_visible_to
from associations.record.rules import AssociationKind, EndReason
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.directory.models import Partner, Subscription
from por.errors import Refused

#: From these statuses a partner can make a new draft that is filled in as the old claim was.
OVER = (ClaimStatus.REJECTED, ClaimStatus.REJECTED_FINAL, ClaimStatus.WITHDRAWN, ClaimStatus.ENDED)


@transaction.atomic
def dispute(claim_id: int, text: str, *, by: Actor, version: int | None = None) -> Claim:
    """Dispute the rejection of a claim, with what the partner says about it; return the claim.

    Its units are live again, so a conflict opens where another company has one by now. The days and the number of
    disputes are those of the policy of the day of the rejection. Raises NotFound, Forbidden, VersionConflict, Locked,
    or Refused: on `text`, with the code of the status, `claim_disputed_already`, `dispute_too_late`,
    `own_company_holds` or `nothing_to_claim`.
    """
    claim = locked(claim_id, Right.WRITE_CLAIMS, by=by, version=version)
    now = next_instant(claim)
    _require_disputable(claim)
    CLAIM.after(claim.status, "dispute")
    if claim.due_at is not None and now >= claim.due_at:  # the clock has not run since
        raise _too_late()
    if not text.strip():
        raise Refused("text_missing", _("Enter why the claim should be approved."), field="text")
    lock_partner(claim)
    units = [one for one in units_of(claim) if reason_against(claim, one) is None]
    if not units:
        raise Refused("nothing_to_claim", _("Nothing of this claim can be claimed any more."))
    step(claim, "dispute", by=by, at=now, note=text, due_at=due(claim, policy_of(now).dispute_review_within, now))
    claim.disputes += 1
    claim.closed_at = None
    claim.save()
    try:
        events = conflicts.take(claim, units, at=now)
    except Refused as refused:
        raise Refused(refused.code, refused.message) from refused  # there is no field of units here
    record([told(EndingEvent.DISPUTED, claim, units), *events], by=by, at=now)
    return claim


def _require_disputable(claim: Claim) -> None:
    """Raise Refused if a rejected claim was disputed as often as it can be, or can be no longer."""
    rejected = (ClaimStatus.REJECTED, ClaimStatus.DISPUTED, ClaimStatus.REJECTED_FINAL)
    if claim.status in rejected and claim.disputes >= _disputes(claim):
        raise Refused(
            "claim_disputed_already",
            _("The rejection of this claim cannot be disputed again. You can make a new claim with other proof."),
        )
    if claim.status == ClaimStatus.REJECTED_FINAL:
        raise _too_late()


def _disputes(claim: Claim) -> int:
    """Return how often a claim can be disputed, by the policy of the day of its rejection."""
    rejected = claim.closed_at
    if rejected is None:  # it is disputed now
        rejected = claim.steps.filter(after=ClaimStatus.REJECTED).latest("at").at
    return policy_of(rejected).disputes


def _too_late() -> Refused:
    return Refused(
        "dispute_too_late",
        _("The time to dispute the rejection of this claim is over. You can make a new claim with other proof."),
    )


def reason_against(claim: Claim, unit: ClaimUnit) -> EndReason | None:
    """Return why no association of this unit could be in force now; None if it could."""
    of = claim.customer if unit.subscription is None else unit.subscription
    return end_reason_from_outside(AssociationKind.CPOR, of, claim.partner, program=unit.program)


def claim_again(claim_id: int, *, by: Actor) -> Claim:
    """Return a new draft with what a claim that is over said, as far as that can be claimed today.

    A subscription that was replaced gives way to the one that replaces it, if the partner may know that one. Proofs and
    the checklist are left out: the partner adds and checks them again. Raises NotFound, Forbidden, RateLimited, or
    Refused: with the code of the status, or what keeps a draft from being made.
    """
    claim = visible(claim_id, by=by, to=Right.WRITE_CLAIMS)
    if claim.status not in OVER:
        raise Refused(*CLAIM.refusals[claim.status])
    tenant_id = str(claim.customer.tenant_id)
    try:
        return drafting.draft(tenant_id, claim.customer.domain, _said(claim, by), by=by, origin=Origin.AGAIN)
    except Refused as refused:
        if type(refused) is not Refused:
            raise
        raise Refused(refused.code, refused.message) from refused  # there are no fields here


def _said(claim: Claim, by: Actor) -> drafting.Fields:
    fields: drafting.Fields = {
        "name": claim.name,
        "customer_contact_name": claim.customer_contact_name,
        "customer_contact_title": claim.customer_contact_title,
        "customer_contact_email": claim.customer_contact_email,
        "partner_contact_name": claim.partner_contact_name,
        "partner_contact_email": claim.partner_contact_email,
        "opt_out_of_payment": claim.opt_out_of_payment,
    }
    if claim.partner.status == Partner.Status.ACTIVE and claim.partner.kind == Partner.Kind.LOCATION:
        fields["mpn_id"] = claim.partner.mpn_id
    today = by.today
    takes = claim.program in policy_on(today).takes_claims
    offered = claimable(Program(claim.program), today) if takes else None
    if offered is None or claim.role not in offered.roles:
        return fields
    fields["program"], fields["role"] = claim.program, claim.role
    own = own_fields(claim.program, claim.role)
    if "transaction_on" in own:
        fields["transaction_on"] = claim.transaction_on
    if "seller" in own:
        fields["seller"], fields["solution"] = claim.seller, claim.solution
    units = [one for one in units_of(claim) if one.outcome != Outcome.LOST or claim.status != ClaimStatus.ENDED]
    fields["workloads"] = [one.workload for one in units if one.workload in offered.workloads]
    subscriptions = [one.subscription for one in units if one.subscription is not None]
    wanted = {str(now.subscription_id) for one in subscriptions for now in _now(one, by) if _can(claim, now, offered)}
    fields["subscription_ids"] = sorted(wanted)
    return fields


def _now(subscription: Subscription, by: Actor) -> list[Subscription]:
    """Return those that replace a subscription and that the actor may know of; else the subscription itself."""
    new = subscriptions_visible_to(by).filter(replaces=subscription, customer=subscription.customer_id)
    return list(new.order_by("pk")) or [subscription]


def _can(claim: Claim, subscription: Subscription, offered: Claimable) -> bool:
    try:
        drafting.claimable_subscription(claim.customer_id, str(subscription.subscription_id), offered)
    except Refused:
        return False
    return True
