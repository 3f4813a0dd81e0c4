"""The end of an approved claim: the customer declines it, the partner disassociates, or support ends it by number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Case, When
from django.utils.translation import gettext_lazy as _

from associations.claims.actions import conflicts
from associations.claims.actions.shared import locked, next_instant, record, step, told, units_of
from associations.claims.events.endings import EndingEvent
from associations.claims.models import Claim, ClaimUnit
from associations.claims.policies import policy_of
from associations.claims.rules import CLAIM, CONSENT, ClaimStatus, Consent, Outcome
from associations.record import actions as associations
from associations.record import describing, recording
from associations.record.models import Association
from associations.record.rules import EndReason
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.directory.models import Subscription
from por.errors import Refused
from por.history.actions import recording as history


@transaction.atomic
def decline(claim_id: int, *, by: Actor, note: str = "", version: int | None = None) -> Claim:
    """Decline an approved claim for its customer; return it.

    Within the term, its associations are struck out: they count for nothing, ever. After it they end now, where the
    policy of the day of the approval lets the customer decline then. Raises NotFound, Forbidden, VersionConflict,
    Locked, or Refused: with the code of the status, or `decline_too_late`.
    """
    claim = locked(claim_id, Right.DECLINE_CLAIM, by=by, version=version)
    CLAIM.after(claim.status, "decline")
    now = next_instant(claim)
    in_term = is_in_term(claim, now)
    if not in_term and not _decline_after_consent(claim):
        raise Refused(*CONSENT.refusals[Consent.LAPSED])
    claim.consent = (
        CONSENT.after(Consent.PENDING, "decline")
        if in_term
        else CONSENT.after(Consent.LAPSED, "decline, where the policy allows it")
    )
    ended = end_locked(claim, "decline", EndReason.CUSTOMER_DECLINED, by=by, at=now, note=note, struck=in_term)
    event = told(EndingEvent.DECLINED, claim, ended.units, {"struck": in_term, "fingerprints": ended.fingerprints})
    record([event, *ended.events], by=by, at=now)
    return claim


def is_in_term(claim: Claim, at: datetime) -> bool:
    """Return whether the term in which silence is no consent yet runs at this instant."""
    due_at = claim.consent_due_at
    return claim.consent == Consent.PENDING and due_at is not None and at < due_at


def _decline_after_consent(claim: Claim) -> bool:
    assert claim.approved_at is not None
    return policy_of(claim.approved_at).decline_after_consent


def can_decline(claim: Claim, at: datetime) -> bool:
    """Return whether the customer can decline the claim at this instant."""
    return claim.status == ClaimStatus.APPROVED and (is_in_term(claim, at) or _decline_after_consent(claim))


@transaction.atomic
def disassociate(claim_id: int, reason: str, *, by: Actor, version: int | None = None) -> Claim:
    """End an approved claim for its partner, with the reason in its words; return the claim.

    Raises NotFound, Forbidden, VersionConflict, Locked, or Refused: on `reason`, or with the code of the status.
    """
    claim = locked(claim_id, Right.DISASSOCIATE, by=by, version=version)
    return _disassociate(claim, "disassociate", reason, by=by)


def _disassociate(claim: Claim, verb: str, reason: str, *, by: Actor) -> Claim:
    CLAIM.after(claim.status, verb)
    if not reason.strip():
        raise Refused("reason_missing", _("Enter a reason."), field="reason")
    now = next_instant(claim)
    ended = end_locked(claim, verb, EndReason.DISASSOCIATED, by=by, at=now, note=reason)
    changes = {"end_reason": claim.end_reason, "fingerprints": ended.fingerprints}
    record([told(EndingEvent.ENDED, claim, ended.units, changes), *ended.events], by=by, at=now)
    return claim


def find_by_number(number: str, *, by: Actor) -> Claim:
    """Return the approved claim with this number, with its units: what `end_by_number` ends.

    Raises Forbidden, or Refused: on `number`, or with the code of the status.
    """
    by.require(Right.END_CLAIM_BY_NUMBER)
    entered = number.strip()
    found = Claim.objects.visible_to(by).filter(number__in=[entered, entered.upper()]).exclude(number="")
    claim = found.for_listing().order_by(Case(When(number=entered, then=0), default=1)).first()
    if claim is None:
        raise Refused("claim_unknown", _("No claim has this number. Check it with the partner."), field="number")
    CLAIM.after(claim.status, "end by number")
    return claim


@transaction.atomic
def end_by_number(number: str, reason: str, version: int, *, by: Actor) -> Claim:
    """End the claim with this number, which had this version when the caller saw what will end; return it.

    Raises what find_by_number raises, VersionConflict, Locked, or Refused on `reason`.
    """
    found = find_by_number(number, by=by)
    claim = locked(found.pk, Right.END_CLAIM_BY_NUMBER, by=by, version=version)
    return _disassociate(claim, "end by number", reason, by=by)


# --- What every end does --------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """The units that a claim still had, the fingerprints of their associations, and the events of its conflicts."""

    units: list[ClaimUnit]
    fingerprints: dict[str, str]
    events: list[history.EventDraft]


def end_locked(
    claim: Claim, verb: str, reason: EndReason, *, by: Actor, at: datetime, note: str = "", struck: bool = False
) -> Ended:
    """End a claim with its associations, and free its units. The caller has locked the customer, and records it."""
    units = units_of(claim)
    step(claim, verb, by=by, at=at, note=note)
    claim.end_reason, claim.closed_at = reason, at
    claim.save()
    still = [one for one in units if one.live]
    changed = end_associations(units, reason, at=at, struck=struck)
    for unit in still:
        unit.outcome = Outcome.ENDED
        unit.save(update_fields=["outcome"])
    events = conflicts.leave(claim, still, at=at)
    return Ended(still or units, describing.fingerprints_of(*changed), events)


def end_associations(
    units: Sequence[ClaimUnit], reason: EndReason, *, at: datetime, struck: bool = False
) -> list[Association]:
    """End the open associations of these units, or strike all of them out; return those that changed.

    The subscriptions are locked, in the order of their keys, and get a new version.
    """
    there = [one for one in units if one.association is not None and one.association.undone_at is None]
    to_change = [one for one in there if struck or (one.association is not None and one.association.ended_at is None)]
    keys = [one.subscription_id for one in to_change if one.subscription_id is not None]
    with lock_timeout_as_busy():
        found = Subscription.objects.filter(pk__in=keys).order_by("pk").select_for_update(of=("self",), no_key=True)
        subscriptions = {one.pk: one for one in found}
    changed = []
    for unit in to_change:
        association = unit.association
        assert association is not None
        if unit.subscription_id is not None:
            association.subscription = subscriptions[unit.subscription_id]
        if struck:
            associations.strike(association, at=at)
        else:
            associations.end(association, at=at, reason=reason)
        changed.append(association)
    recording.bump_all(subscriptions)
    return changed
