"""The review of a claim: a reviewer starts it, asks for more, approves or rejects it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from associations.claims.actions import conflicts
from associations.claims.actions.carrying_out import carry_out
from associations.claims.actions.shared import (
    due,
    locked,
    next_instant,
    parties_of,
    record,
    require_no_interest,
    step,
    told,
    told_privately,
    units_of,
)
from associations.claims.events.claims import ClaimEvent
from associations.claims.models import Claim, ClaimUnit, ProofUnit
from associations.claims.policies import policy_of, policy_on
from associations.claims.rules import GIVEN_BY_REVIEWER, READABLE, ClaimStatus, Consent, Outcome, Reason
from associations.record import actions as associations
from associations.record import describing, recording
from associations.record.models import Association
from associations.record.rules import AssociationKind
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Customer, Subscription
from por.errors import Refused
from por.history.actions import recording as history


def to_review(claim_id: int, *, by: Actor, version: int | None) -> Claim:
    """Return the claim, locked, for a reviewer who has no interest in its parties."""
    claim = locked(claim_id, Right.REVIEW_CLAIMS, by=by, version=version)
    require_no_interest(by, parties_of([claim]))
    return claim


@transaction.atomic
def start_review(claim_id: int, *, by: Actor, version: int | None = None) -> Claim:
    """Start the review of a submitted claim; return it. Each unit needs a file that can be opened.

    The claim is assigned to the reviewer if nobody has it. Raises NotFound, Forbidden, VersionConflict, Locked, or
    Refused: with the code of the status, `interest` or `scan_pending`.
    """
    claim = to_review(claim_id, by=by, version=version)
    now = next_instant(claim)
    units = units_of(claim)
    within = policy_of(claim.submitted_at or now).review_within
    step(claim, "start review", by=by, at=now, due_at=due(claim, within, now))
    require_readable(units)
    claim.assigned_to = claim.assigned_to or by.user
    claim.save()
    record([told_privately(ClaimEvent.REVIEW_STARTED, claim, units)], by=by, at=now)
    return claim


def require_readable(units: Sequence[ClaimUnit]) -> None:
    """Raise Refused, with the code `scan_pending`, until each unit has a file that the scan has released."""
    readable = set(ProofUnit.objects.filter(unit__in=units, proof__scan__in=READABLE).values_list("unit_id", flat=True))
    if waiting := [one for one in units if one.pk not in readable]:
        raise Refused(
            "scan_pending",
            _("No file for %(unit)s has passed the malware scan yet. Wait for it, then try again.")
            % {"unit": waiting[0].label},
        )


@transaction.atomic
def ask(claim_id: int, reasons: Collection[str], *, by: Actor, note: str = "", version: int | None = None) -> Claim:
    """Ask the partner for what is missing; return the claim, which now waits for the partner.

    Raises NotFound, Forbidden, VersionConflict, Locked, or Refused: with the code of the status, `interest`, or on
    `reasons`.
    """
    claim = to_review(claim_id, by=by, version=version)
    given = checked(reasons, claim)
    now = next_instant(claim)
    units = units_of(claim)
    due_at = due(claim, policy_of(now).answer_within, now)
    step(claim, "ask", by=by, at=now, reasons=given, note=note, due_at=due_at)
    claim.save()
    changes = {"due_at": due_at and due_at.isoformat()}
    record([told_privately(ClaimEvent.ASKED, claim, units, changes)], by=by, at=now)
    return claim


def reasons_for(claim: Claim) -> list[Reason]:
    """Return the reasons that a reviewer may give for a claim. Only the public sector needs a disclosure."""
    return [one for one in GIVEN_BY_REVIEWER if one != Reason.NO_DISCLOSURE or is_public_sector(claim)]


def is_public_sector(claim: Claim) -> bool:
    return claim.customer.segment == Customer.Segment.PUBLIC_SECTOR


def needs_disclosure(claim: Claim, day: date) -> bool:
    """Return whether the proof must have the disclosure for the public sector, if the claim is decided on a day."""
    return is_public_sector(claim) and policy_on(day).public_sector_disclosure


def require_disclosure(claim: Claim, day: date, *, disclosed: bool) -> None:
    """Raise Refused on `disclosed` if the proof needs the disclosure, and the reviewer does not confirm it."""
    if needs_disclosure(claim, day) and not disclosed:
        raise Refused(
            "disclosure_missing",
            _("This customer is in the public sector. Confirm that the proof has the disclosure, or ask for it."),
            field="disclosed",
        )


def checked(reasons: Collection[str], claim: Claim) -> list[Reason]:
    """Return the reasons that a reviewer gives, in the order of the list. Raises Refused on `reasons`."""
    known = reasons_for(claim)
    if unknown := set(reasons) - set(known):
        raise Refused(
            "reason_unknown",
            _("%(unknown)s is not in the list of reasons.") % {"unknown": min(unknown)},
            field="reasons",
        )
    if not reasons:
        raise Refused("reason_missing", _("Choose at least one reason."), field="reasons")
    return [one for one in known if one in reasons]


@transaction.atomic
def approve(claim_id: int, *, by: Actor, note: str = "", disclosed: bool = False, version: int | None = None) -> Claim:
    """Approve a claim; return it. The partner is associated with each of its units from now on.

    `disclosed` says that the proof has the disclosure that a customer in the public sector needs. Raises NotFound,
    Forbidden, VersionConflict, Locked, or Refused: with the code of the status, `conflict_open`, `interest`,
    `partner_closed`, that of a subscription that is not active, or `disclosure_missing` on `disclosed`.
    """
    claim = to_review(claim_id, by=by, version=version)
    now = next_instant(claim)
    require_disclosure(claim, now.date(), disclosed=disclosed)
    conflicts.require_none_open(claim)
    record(approve_locked(claim, units_of(claim), "approve", by=by, at=now, note=note), by=by, at=now)
    return claim


def approve_locked(
    claim: Claim, units: Sequence[ClaimUnit], verb: str, *, by: Actor, at: datetime, note: str = ""
) -> list[history.EventDraft]:
    """Approve a claim with those of its units that are live; return the events. The caller has locked the customer.

    Decisions for the claim are carried out: who held a unit loses it. The policy of this day says until when the
    customer can decline. The associations begin now; those of a claim that first lacked the disclosure of the public
    sector begin at its first submit, unless another one held the unit since.
    """
    live = [one for one in units if one.live]
    subscriptions = _locked_subscriptions(live)
    directory.require_attachable(directory.locked(claim.partner_id))
    step(claim, verb, by=by, at=at, note=note)
    claim.approved_at = at
    within = policy_of(at).consent_lapses_after
    claim.consent = Consent.LAPSED if within is None else Consent.PENDING
    claim.consent_due_at = due(claim, within, at)
    claim.closed_at = None
    claim.save()
    freed = carry_out(claim, live, by=by, at=at)
    begun: list[Association] = []
    first = claim.submitted_at if is_public_sector(claim) and _lacked_disclosure(claim) else None
    for unit in live:
        of = claim.customer if unit.subscription_id is None else subscriptions[unit.subscription_id]
        claimed = associations.Claimed(unit.program, unit.role, claim.number, unit.workload)
        began_at = first if first is not None and _is_free_since(first, unit) else at
        unit.association = associations.begin_claimed(of, claim.partner, claimed, at=at, began_at=began_at)
        unit.outcome = Outcome.HELD
        unit.save(update_fields=["association", "outcome"])
        begun.append(unit.association)
    recording.bump_all(subscriptions)
    changes = {
        "consent_due_at": claim.consent_due_at and claim.consent_due_at.isoformat(),
        "fingerprints": describing.fingerprints_of(*begun),
    }
    return [*freed, told(ClaimEvent.APPROVED, claim, live, changes)]


def _lacked_disclosure(claim: Claim) -> bool:
    """Return whether a reviewer has asked for the disclosure, or rejected the claim without it."""
    return claim.steps.filter(reasons__contains=[Reason.NO_DISCLOSURE]).exists()


def _is_free_since(since: datetime, unit: ClaimUnit) -> bool:
    """Return whether no association of a claim has held this workload or subscription since then."""
    held = Association.objects.not_undone().filter(kind=AssociationKind.CPOR, program=unit.program)
    if unit.subscription_id is None:
        held = held.filter(customer=unit.customer_id, workload=unit.workload)
    else:
        held = held.filter(subscription=unit.subscription_id, role=unit.role)
    return not held.filter(Q(ended_at=None) | Q(ended_at__gt=since)).exists()


def _locked_subscriptions(units: Sequence[ClaimUnit]) -> dict[int, Subscription]:
    """Return the subscriptions of these units by key, locked in that order. Raises Refused for one that is over."""
    keys = [one.subscription_id for one in units if one.subscription_id is not None]
    with lock_timeout_as_busy():
        found = Subscription.objects.select_related("customer__organisation", "sku").filter(pk__in=keys)
        subscriptions = {one.pk: one for one in found.order_by("pk").select_for_update(of=("self",), no_key=True)}
    for one in subscriptions.values():
        if one.status == Subscription.Status.EXPIRED or one.left_at is not None:
            raise Refused("subscription_expired", _("The subscription %(name)s has expired.") % {"name": one.name})
    return subscriptions


@transaction.atomic
def reject(claim_id: int, reasons: Collection[str], *, by: Actor, note: str = "", version: int | None = None) -> Claim:
    """Reject a claim; return it. The partner can dispute that once, within the term of the policy of this day.

    Raises NotFound, Forbidden, VersionConflict, Locked, or Refused: with the code of the status, `conflict_open`,
    `interest`, or on `reasons`.
    """
    claim = to_review(claim_id, by=by, version=version)
    given = checked(reasons, claim)
    conflicts.require_none_open(claim)
    now = next_instant(claim)
    events = reject_locked(claim, units_of(claim), "reject", by=by, at=now, reasons=given, note=note)
    record(events, by=by, at=now)
    return claim


def reject_locked(
    claim: Claim,
    units: Sequence[ClaimUnit],
    verb: str,
    *,
    by: Actor,
    at: datetime,
    reasons: Collection[Reason],
    note: str = "",
) -> list[history.EventDraft]:
    """Reject a claim and free its units; return the events. The caller has locked the customer."""
    policy = policy_of(at)
    may_dispute = claim.status != ClaimStatus.DISPUTED and claim.disputes < policy.disputes
    due_at = due(claim, policy.dispute_within, at) if may_dispute else None
    step(claim, verb, by=by, at=at, reasons=reasons, note=note, due_at=due_at)
    claim.closed_at = at
    claim.save()
    events = conflicts.leave(claim, units, at=at)
    final = claim.status == ClaimStatus.REJECTED_FINAL or due_at is None
    changes = {"final": final, "due_at": due_at and due_at.isoformat()}
    return [told(ClaimEvent.REJECTED, claim, units, changes), *events]
