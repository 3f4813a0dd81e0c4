"""How the API shows a conflict."""

from __future__ import annotations

from typing import Annotated, TypedDict

from associations.claims.queries.conflicts import VisibleConflict, VisibleSide
from associations.claims.rules import CHECKLIST, ClaimStatus, ConflictStatus, Program, Role
from associations.record.schemas import CustomerShape, PartnerShape, WorkloadCode, customer_shape, partner_shape
from por.api.schema import Guid, Is, Timestamp, timestamp

ConflictStatusCode = Annotated[str, Is(enum=ConflictStatus.values)]
ClaimStatusCode = Annotated[str, Is(enum=ClaimStatus.values)]
ProgramCode = Annotated[str, Is(enum=Program.values)]
RoleCode = Annotated[str, Is(enum=Role.values)]
ChecklistCode = Annotated[str, Is(enum=list(CHECKLIST))]


class SideShape(TypedDict):
    """A claim that is a side of the conflict. `claim`, `number`, `status` and `missing` are null for other partners;
    `missing` also for the customer. `is_there` is false once it no longer claims what the conflict is about.
    """

    claim: int | None
    number: str | None
    partner: PartnerShape
    joined_at: Timestamp
    is_own: bool
    is_there: bool
    held_before: bool
    status: ClaimStatusCode | None
    newest_proof_at: Timestamp | None
    missing: list[ChecklistCode] | None


class ConflictAnswerShape(TypedDict):
    """Which partner the customer says is doing the work; null for none of them. Partners cannot read the text."""

    mpn_id: str | None
    text: str | None
    at: Timestamp


class ConflictDecisionShape(TypedDict):
    """What a reviewer decided: the partner, or null where no proof was enough. All sides read the note."""

    mpn_id: str | None
    note: str
    at: Timestamp
    carried_out_at: Timestamp | None
    lapsed: bool


class ConflictShape(TypedDict):
    """Several companies claim the same workload or subscription, and a reviewer decides by the proof."""

    id: int
    status: ConflictStatusCode
    customer: CustomerShape
    program: ProgramCode
    role: RoleCode
    workload: WorkloadCode | None
    subscription_id: Guid | None
    sides: list[SideShape]
    opened_at: Timestamp
    due_at: Timestamp | None
    asked_customer_at: Timestamp | None
    closed_at: Timestamp | None
    answer: ConflictAnswerShape | None
    decision: ConflictDecisionShape | None
    version: int


def conflict_shape(visible: VisibleConflict, *, for_partner: bool) -> ConflictShape:
    one = visible.conflict
    answer: ConflictAnswerShape | None = None
    if visible.answer is not None:
        answer = {
            "mpn_id": visible.answer.partner.mpn_id if visible.answer.partner else None,
            "text": None if for_partner else visible.answer_text,
            "at": timestamp(visible.answer.answered_at),
        }
    decision: ConflictDecisionShape | None = None
    if one.decided_at is not None:
        decision = {
            "mpn_id": one.winner.partner.mpn_id if one.winner else None,
            "note": one.note,
            "at": timestamp(one.decided_at),
            "carried_out_at": timestamp(one.carried_out_at) if one.carried_out_at else None,
            "lapsed": visible.has_lapsed,
        }
    return {
        "id": one.pk,
        "status": one.status,
        "customer": customer_shape(one.customer),
        "program": one.program,
        "role": one.role,
        "workload": one.workload or None,
        "subscription_id": str(one.subscription.subscription_id) if one.subscription else None,
        "sides": [_side_shape(side, hidden=for_partner and not side.is_own) for side in visible.sides],
        "opened_at": timestamp(one.opened_at),
        "due_at": timestamp(one.due_at) if one.due_at else None,
        "asked_customer_at": timestamp(one.asked_at) if one.asked_at else None,
        "closed_at": timestamp(one.closed_at) if one.closed_at else None,
        "answer": answer,
        "decision": decision,
        "version": one.version,
    }


def _side_shape(side: VisibleSide, *, hidden: bool) -> SideShape:
    return {
        "claim": None if hidden else side.claim.pk,
        "number": None if hidden else side.claim.number,
        "partner": partner_shape(side.claim.partner),
        "joined_at": timestamp(side.side.joined_at),
        "is_own": side.is_own,
        "is_there": side.is_there,
        "held_before": side.side.held_before,
        "status": None if hidden else side.claim.status,
        "newest_proof_at": timestamp(side.newest_proof_at) if side.newest_proof_at else None,
        "missing": None if side.missing is None else list(side.missing),
    }
