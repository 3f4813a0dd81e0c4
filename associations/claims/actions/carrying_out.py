"""Carrying out decisions: the association of the claim that has lost ends as that of the winner begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from associations.claims.actions import conflicts
from associations.claims.actions.shared import step, told
from associations.claims.events.endings import EndingEvent
from associations.claims.models import Claim, ClaimUnit, Conflict
from associations.claims.rules import CONFLICT, ConflictStatus, Outcome, Reason
from associations.record import actions as associations
from associations.record import describing
from associations.record.rules import EndReason
from por.accounts.models import Actor
from por.history.actions import recording as history


def carry_out(winner: Claim, units: Sequence[ClaimUnit], *, by: Actor, at: datetime) -> list[history.EventDraft]:
    """Free these units of a claim that is being approved from those who held them; return the events.

    The caller has locked the customer and the subscriptions, and begins the associations of the winner at this instant.
    """
    lost: dict[int, list[ClaimUnit]] = {}
    for unit in units:
        held = conflicts.others(unit).filter(outcome=Outcome.HELD)
        for one in held.select_related("subscription__sku", "association__subscription"):
            lost.setdefault(one.claim_id, []).append(one)
    for conflict in Conflict.objects.filter(status=ConflictStatus.DECIDED, carried_out_at=None, winner=winner.pk):
        conflict.status = CONFLICT.after(conflict.status, "[carried out]")
        conflict.carried_out_at = at
        conflict.version += 1
        conflict.save(update_fields=["status", "carried_out_at", "version"])
    claims = Claim.objects.select_related("customer__organisation", "partner__organisation")
    return [_lose(claims.get(pk=pk), ended, by=by, at=at) for pk, ended in sorted(lost.items())]


def _lose(claim: Claim, units: Sequence[ClaimUnit], *, by: Actor, at: datetime) -> history.EventDraft:
    """End the associations of these units of an approved claim, and the claim with its last unit; return the event."""
    for unit in units:
        assert unit.association is not None
        associations.end(unit.association, at=at, reason=EndReason.CONFLICT_LOST)
        lose(unit)
    changes = {"fingerprints": describing.fingerprints_of(*(one.association for one in units if one.association))}
    if claim.units.filter(live=True).exists():
        claim.version += 1
        claim.save(update_fields=["version"])
        return told(EndingEvent.UNIT_LOST, claim, units, changes)
    step(claim, "[lost]", by=by, at=at, reasons=[Reason.CONFLICT_LOST])
    claim.end_reason, claim.closed_at = EndReason.CONFLICT_LOST, at
    claim.save()
    return told(EndingEvent.ENDED, claim, units, changes | {"end_reason": claim.end_reason})


def lose(unit: ClaimUnit) -> None:
    """Take a unit from a claim, because a decision gives it to nobody or to another one."""
    unit.live, unit.outcome = False, Outcome.LOST
    unit.save(update_fields=["live", "outcome"])
