"""A reviewer decides a conflict, and asks for proof or for the customer's answer before; the customer answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.claims.actions import conflicts
from associations.claims.actions.carrying_out import lose
from associations.claims.actions.reviewing import (
    approve_locked,
    needs_disclosure,
    reject_locked,
    require_disclosure,
    require_readable,
)
from associations.claims.actions.shared import (
    due,
    lock_customer,
    next_instant,
    parties_of,
    record,
    require_no_interest,
    step,
    told,
    units_of,
)
from associations.claims.events.conflicts import ConflictEvent
from associations.claims.events.endings import EndingEvent
from associations.claims.models import Claim, ClaimUnit, Comment, Conflict, ConflictSide, CustomerAnswer, Proof
from associations.claims.policies import policy_of
from associations.claims.rules import CHECKLIST, CONFLICT, NOTE_LENGTH, READABLE, ClaimStatus, Outcome, Reason, Scan
from associations.record import recording
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.directory.rules import normal_mpn_id
from por.errors import NotFound, Refused, VersionConflict
from por.history.actions import recording as history

#: What the reviewer found missing in the proof of each side, by the key of its claim.
Checklists = Mapping[int, Collection[str]]


@dataclass
class Contender:
    """A claim that is still a side of a conflict, and its unit that the conflict is about."""

    claim: Claim
    unit: ClaimUnit

    @property
    def holds(self) -> bool:
        """Return whether the claim is approved with this unit."""
        return self.unit.outcome == Outcome.HELD


def absent() -> NotFound:
    """Return the refusal for a conflict that does not exist, and the same for one the actor may not see."""
    return NotFound("not_found", _("This conflict does not exist, or you do not have access to it."))


def locked(conflict_id: int, right: str, *, by: Actor, version: int | None = None) -> Conflict:
    """Return the conflict, its customer locked until the transaction ends.

    Raises NotFound if the actor may not see it, Forbidden without the right, VersionConflict or Locked.
    """
    found = Conflict.objects.visible_to(by).filter(pk=conflict_id).values_list("customer", flat=True).first()
    if found is None:
        raise absent()
    by.require(right)
    lock_customer(found)
    conflict = Conflict.objects.select_related("customer__organisation", "subscription__sku").get(pk=conflict_id)
    if version is not None and conflict.version != version:
        raise VersionConflict(
            "stale", _("This conflict has changed since you opened it. Check the changes, then try again.")
        )
    return conflict


def contenders(conflict: Conflict) -> list[Contender]:
    """Return the claims that still are a side of an open conflict, in the order in which they claimed."""
    units = conflicts.live_on(conflict).select_related(
        "claim__customer__organisation", "claim__partner__organisation", "subscription__sku"
    )
    joined = list(ConflictSide.objects.filter(conflict=conflict).order_by("pk").values_list("claim", flat=True))
    return sorted((Contender(one.claim, one) for one in units), key=lambda one: joined.index(one.claim.pk))


def _to_judge(conflict_id: int, verb: str, *, by: Actor, version: int | None) -> tuple[Conflict, list[Contender]]:
    """Return the conflict, locked, and its sides, for a reviewer who has no interest in them."""
    conflict = locked(conflict_id, Right.DECIDE_CONFLICTS, by=by, version=version)
    conflict.status = CONFLICT.after(conflict.status, verb)
    sides = contenders(conflict)
    require_no_interest(by, parties_of(one.claim for one in sides))
    return conflict, sides


def _instant(conflict: Conflict, sides: Sequence[Contender]) -> datetime:
    answered = CustomerAnswer.objects.filter(conflict=conflict).values_list("answered_at", flat=True).first()
    used = [one for one in (conflict.opened_at, conflict.asked_at, answered) if one is not None]
    return next_instant(sides[0].claim, after=max(used))


def _side(sides: Sequence[Contender], claim_id: int, field: str) -> Contender:
    """Return the side with this claim. Raises Refused, with the code `not_a_side`."""
    found = next((one for one in sides if one.claim.pk == claim_id), None)
    if found is None:
        raise Refused("not_a_side", _("Choose one of the claims in this conflict."), field=field)
    return found


# --- The decision ---------------------------------------------------------------------------------------------------


@transaction.atomic
def decide(
    conflict_id: int,
    winner_id: int | None,
    *,
    note: str,
    by: Actor,
    checklists: Checklists | None = None,
    disclosed: bool = False,
    version: int | None = None,
) -> Conflict:
    """Decide for one of the claims, or that no proof suffices; return the conflict. All sides read the note.

    A pending side that has lost is out at once; a holder keeps its association until the decision is carried out, as
    soon as the winner has no other open conflict. A claim whose last open conflict this was is approved with the units
    it has left, or rejected. `disclosed` says that the proof of the winner has the disclosure that a customer in the
    public sector needs. Raises NotFound, Forbidden, VersionConflict, Locked, or Refused: on `note`, `winner`,
    `checklists` or `disclosed`, with the code of the status, `interest`, `scan_pending`, or why the winner cannot be
    approved.
    """
    conflict, sides = _to_judge(conflict_id, "decide", by=by, version=version)
    text = _note(note)
    if not text:
        raise Refused("note_missing", _("Say why you decide so. All sides read it."), field="note")
    winner = None if winner_id is None else _side(sides, winner_id, "winner")
    missing = _missing(sides, checklists or {})
    pending = [one for one in sides if not one.holds]
    _require_scanned(pending, winner)
    at = _instant(conflict, sides)
    if winner is not None and not winner.holds:
        require_disclosure(winner.claim, at.date(), disclosed=disclosed)
    _lock_what_is_approved(pending)
    _start_reviews(pending, by=by, at=at)
    holder = next((one for one in sides if one.holds), None)
    conflict.winner = winner.claim if winner else None
    conflict.note, conflict.decided_by = text, by.user
    conflict.decided_at = conflict.closed_at = at
    conflict.carried_out_at = at if winner is None or winner.holds else None
    conflict.version += 1
    conflict.save()
    for side in ConflictSide.objects.filter(conflict=conflict, claim__in=missing):
        side.missing = missing[side.claim_id]
        side.save(update_fields=["missing"])
    lapsed: list[history.EventDraft] = []
    for one in pending:
        if one is not winner:
            lose(one.unit)
            lapsed += conflicts.lapse(one.claim, one.unit, at=at)
    waits = conflict.carried_out_at is None and winner is not None and bool(conflicts.open_conflicts(winner.claim))
    changes = {"partner": _named(winner), "holder": _named(holder), "waits": waits}
    events = [conflicts.told(ConflictEvent.DECIDED, conflict, [one.claim for one in sides], changes), *lapsed]
    # Who has lost comes first, so that nobody is approved for what another claim still has.
    for one in sorted(pending, key=lambda one: one is winner):
        events += _settle(one, is_winner=one is winner, by=by, at=at, note=text)
    record(events, by=by, at=at)
    return Conflict.objects.get(pk=conflict.pk)


def _note(text: str) -> str:
    return text.strip()[:NOTE_LENGTH]


def _named(side: Contender | None) -> Any:
    return side and recording.named(side.claim.partner)


def _missing(sides: Sequence[Contender], checklists: Checklists) -> dict[int, list[Reason]]:
    """Return what each side's proof lacks, in the order of the checklist. Raises Refused on `checklists`."""
    for claim, reasons in checklists.items():
        _side(sides, claim, "checklists")
        if unknown := set(reasons) - set(CHECKLIST):
            raise Refused(
                "reason_unknown",
                _("%(unknown)s is not in the list of reasons.") % {"unknown": min(unknown)},
                field="checklists",
            )
    return {claim: [one for one in CHECKLIST if one in reasons] for claim, reasons in checklists.items()}


def _require_scanned(pending: Sequence[Contender], winner: Contender | None) -> None:
    """Raise Refused, with the code `scan_pending`, while the only file of a side is being scanned.

    A winner needs a file that can be opened.
    """
    if winner is not None and not winner.holds:
        require_readable([winner.unit])
    for one in pending:
        files = Proof.objects.filter(units=one.unit)
        if files.filter(scan=Scan.PENDING).exists() and not files.filter(scan__in=READABLE).exists():
            require_readable([one.unit])


def _lock_what_is_approved(pending: Sequence[Contender]) -> None:
    """Lock, in the order of their keys, what claims need that may be approved: their subscriptions and partners."""
    claims = [one.claim.pk for one in pending]
    with lock_timeout_as_busy():
        units = ClaimUnit.objects.filter(claim__in=claims, live=True, subscription__isnull=False)
        subscriptions = Subscription.objects.filter(pk__in=units.values("subscription")).order_by("pk")
        list(subscriptions.select_for_update(no_key=True).values_list("pk", flat=True))
        directory.lock([one.claim.partner_id for one in pending])


def _start_reviews(sides: Sequence[Contender], *, by: Actor, at: datetime) -> None:
    """Start the review of those that are only submitted: by the decision it has taken place."""
    for one in sides:
        if one.claim.status == ClaimStatus.SUBMITTED:
            within = policy_of(one.claim.submitted_at or at).review_within
            step(one.claim, "start review", by=by, at=at, due_at=due(one.claim, within, at))


def _settle(one: Contender, *, is_winner: bool, by: Actor, at: datetime, note: str) -> list[history.EventDraft]:
    """Approve or reject a claim whose last open conflict is decided; else let it wait. Return the events."""
    claim, units = one.claim, units_of(one.claim)
    lost = [] if is_winner else [told(EndingEvent.UNIT_LOST, claim, [one.unit])]
    if not any(unit.live for unit in units):
        return reject_locked(claim, units, "[lost]", by=by, at=at, reasons=[Reason.CONFLICT_LOST], note=note)
    # Nobody who is suspended meanwhile, or whose disclosure nobody has confirmed, is approved for the rest by the way:
    # that waits for a reviewer.
    may_be_approved = is_winner or (
        claim.partner.status == Partner.Status.ACTIVE and not needs_disclosure(claim, at.date())
    )
    if conflicts.open_conflicts(claim) or not may_be_approved:
        claim.version += 1
        claim.save()
        return lost
    return [*lost, *approve_locked(claim, units, "[won]", by=by, at=at, note=note)]


# --- Before the decision --------------------------------------------------------------------------------------------


@transaction.atomic
def ask_proof(conflict_id: int, claim_id: int, *, by: Actor, note: str = "", version: int | None = None) -> Conflict:
    """Ask a side for more proof; return the conflict. A pending claim waits for its partner's answer from now on.

    An approved or disputed one stays as it is, and silence costs it nothing. The partner reads the note among the
    comments. Raises NotFound, Forbidden, VersionConflict, Locked, or Refused: on `claim`, with the code of a status, or
    `interest`.
    """
    conflict, sides = _to_judge(conflict_id, "ask for proof", by=by, version=version)
    side = _side(sides, claim_id, "claim")
    at, text = _instant(conflict, sides), _note(note)
    claim, due_at = side.claim, None
    if claim.status not in {ClaimStatus.APPROVED, ClaimStatus.DISPUTED}:
        _start_reviews([side], by=by, at=at)
        due_at = due(claim, policy_of(at).answer_within, at)
        step(claim, "ask", by=by, at=at, note=text, due_at=due_at)
        claim.save()
    if text and by.organisation is not None:
        Comment.objects.create(claim=claim, by=by.user, by_name=by.name, organisation=by.organisation, text=text, at=at)
    conflict.version += 1
    conflict.save(update_fields=["status", "version"])
    changes = {"partner": recording.named(claim.partner), "due_at": due_at and due_at.isoformat()}
    record([conflicts.told(ConflictEvent.PROOF_ASKED, conflict, [claim], changes)], by=by, at=at)
    return conflict


@transaction.atomic
def ask_customer(conflict_id: int, *, by: Actor, version: int | None = None) -> Conflict:
    """Ask the customer, maybe again, which partner is doing the work; return the conflict.

    Raises NotFound, Forbidden, VersionConflict, Locked, or Refused with the code of the status or `interest`.
    """
    conflict, sides = _to_judge(conflict_id, "ask the customer", by=by, version=version)
    conflict.asked_at = _instant(conflict, sides)
    conflict.version += 1
    conflict.save(update_fields=["status", "asked_at", "version"])
    event = conflicts.told(ConflictEvent.CUSTOMER_ASKED, conflict, [one.claim for one in sides], {})
    record([event], by=by, at=conflict.asked_at)
    return conflict


@transaction.atomic
def answer(conflict_id: int, mpn_id: str | None, *, by: Actor, text: str = "", version: int | None = None) -> Conflict:
    """Keep the customer's answer, which it may change until the decision: one of the partners, None for neither.

    The reviewer reads the text, the partners only who was chosen. Raises NotFound, Forbidden, VersionConflict, Locked,
    or Refused: on `mpn_id`, or with the code of the status.
    """
    conflict = locked(conflict_id, Right.ANSWER_CONFLICT, by=by, version=version)
    conflict.status = CONFLICT.after(conflict.status, "[the customer answers]")
    sides = contenders(conflict)
    chosen = None
    if mpn_id is not None:
        number = normal_mpn_id(mpn_id)
        chosen = next((one for one in sides if one.claim.partner.mpn_id == number), None)
        if chosen is None:
            raise Refused("not_a_side", _("Choose one of the partners in this conflict, or neither."), field="mpn_id")
    at = _instant(conflict, sides)
    given = {
        "partner": chosen and chosen.claim.partner,
        "text": _note(text),
        "answered_at": at,
        "by": by.user,
        "by_name": by.name,
    }
    CustomerAnswer.objects.update_or_create(conflict=conflict, defaults=given)
    conflict.version += 1
    conflict.save(update_fields=["status", "version"])
    changes = {"partner": _named(chosen)}
    event = conflicts.told(ConflictEvent.ANSWERED, conflict, [one.claim for one in sides], changes)
    record([event], by=by, at=at)
    return conflict
