"""Conflicts as one reader may see them. What a partner does not read of another one is not even looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, Sum, Value
from django.db.models.functions import Coalesce

from associations.claims.actions.shared import usage_on
from associations.claims.models import (
    Claim,
    ClaimUnit,
    Conflict,
    ConflictSide,
    CustomerAnswer,
    Interest,
    Proof,
    ProofUnit,
)
from associations.claims.policies import POLICIES, policy_on
from associations.claims.rules import READABLE, ConflictStatus, Outcome, Reason
from associations.record.models import Association
from associations.record.rules import AssociationKind
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.access import is_own

#: A unit of a claim: the key of the claim, and what it is.
UnitKey = tuple[int, str, int | None]
BEFORE_ALL, AFTER_ALL = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
#: When a conflict is due, for the order of a list: one without a term comes after all others.
DUE = Coalesce("due_at", Value(AFTER_ALL))


@dataclass
class VisibleSide:
    """A side of a conflict as one reader sees it.

    `is_there` says that the claim still has the unit. `newest_proof_at` is when its last proof came that can be opened.
    `missing` is what the reviewer found missing; None for those who may not read it.
    """

    side: ConflictSide
    unit: ClaimUnit | None
    is_own: bool
    newest_proof_at: datetime | None
    missing: list[Reason] | None
    is_lead: bool = False

    @property
    def claim(self) -> Claim:
        return self.side.claim

    @property
    def is_there(self) -> bool:
        return self.unit is not None and self.unit.live

    @property
    def holds(self) -> bool:
        """Return whether the claim is approved with the unit."""
        return self.unit is not None and self.unit.outcome == Outcome.HELD and self.unit.live


@dataclass
class VisibleConflict:
    """A conflict as one reader sees it. `answer_text` is for those who may read the customer's words."""

    conflict: Conflict
    sides: list[VisibleSide]
    answer: CustomerAnswer | None
    answer_text: str

    @property
    def own(self) -> VisibleSide | None:
        """Return the reader's own side; None for readers who have none."""
        return next((one for one in self.sides if one.is_own), None)

    @property
    def present(self) -> list[VisibleSide]:
        """Return the sides that still claim the unit."""
        return [one for one in self.sides if one.is_there]

    @property
    def waits(self) -> bool:
        """Return whether its decision is still to be carried out."""
        one = self.conflict
        return one.status == ConflictStatus.DECIDED and one.winner_id is not None and one.carried_out_at is None

    @property
    def has_lapsed(self) -> bool:
        """Return whether it was decided, and the decision came to nothing."""
        return self.conflict.status == ConflictStatus.CLOSED and self.conflict.decided_at is not None


def visible_conflicts(actor: Actor, conflicts: Sequence[Conflict]) -> list[VisibleConflict]:
    """Return conflicts as the actor may know them, in the same order, in two queries after for_listing."""
    claims = {one.claim_id for conflict in conflicts for one in conflict.sides.all()}
    units = {
        (one.claim_id, one.workload, one.subscription_id): one for one in ClaimUnit.objects.filter(claim__in=claims)
    }
    newest = _newest_proofs(claims)
    return [_visible(actor, one, units, newest) for one in conflicts]


def _visible(
    actor: Actor, conflict: Conflict, units: dict[UnitKey, ClaimUnit], newest: dict[UnitKey, datetime]
) -> VisibleConflict:
    is_partner = actor.kind == OrganisationKind.PARTNER
    sides = []
    for side in conflict.sides.all():
        claim = side.claim
        own = is_partner and is_own(actor, claim.partner_id, claim.partner.organisation.parent_id)
        key = (claim.pk, conflict.workload, conflict.subscription_id)
        readable = actor.is_staff or (own and actor.may(Right.LIST_PROOFS))
        missing = [Reason(one) for one in side.missing] if readable else None
        sides.append(VisibleSide(side, units.get(key), own, newest.get(key), missing))
    answer = getattr(conflict, "answer", None)
    return VisibleConflict(conflict, sides, answer, "" if is_partner or answer is None else answer.text)


def _newest_proofs(claims: set[int]) -> dict[UnitKey, datetime]:
    """Return when the newest proof of each unit of these claims came that can be opened."""
    found = ProofUnit.objects.filter(unit__claim__in=claims, proof__scan__in=READABLE)
    rows = found.values_list("unit__claim", "unit__workload", "unit__subscription").annotate(Max("proof__uploaded_at"))
    return {(claim, workload, subscription): at for claim, workload, subscription, at in rows}


def conflict_for(actor: Actor, conflict_id: int) -> VisibleConflict | None:
    """Return one conflict as the actor may know it; None if it may not see it."""
    found = Conflict.objects.visible_to(actor).for_listing().filter(pk=conflict_id).first()
    return visible_conflicts(actor, [found])[0] if found else None


# --- What a reviewer looks at first ---------------------------------------------------------------------------------


class Rule(NamedTuple):
    """The rule of a day: since when the most recent proof is looked at first; None where no rule says what is first."""

    since: date | None


def rule_on(day: date) -> Rule:
    """Return the rule that a decision of this day follows."""
    if not policy_on(day).most_recent_proof_first:
        return Rule(None)
    starts = sorted(start for start in POLICIES.by_start if start <= day)
    since = starts[-1]
    for start in reversed(starts):
        if not POLICIES.by_start[start].most_recent_proof_first:
            break
        since = start
    return Rule(since)


def mark_lead(visible: VisibleConflict, day: date) -> bool:
    """Mark the side with the newest proof, where the rule of the day says so; return whether several are equally new.

    A proof counts by the instant of its upload. Equal instants lead to no lead.
    """
    sides = visible.present if visible.conflict.status == ConflictStatus.OPEN else visible.sides
    if rule_on(day).since is None:
        return False
    newest = max((one.newest_proof_at for one in sides if one.newest_proof_at), default=None)
    first = [one for one in sides if newest is not None and one.newest_proof_at == newest]
    if len(first) == 1:
        first[0].is_lead = True
    return len(first) > 1


# --- The reviewer's page --------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """What helps a reviewer to judge a side.

    `there_since` is when the partner was first associated with anything of the customer's, `of_record` how many
    subscriptions of it it is the partner of record of. `won` and `lost` are its earlier conflicts.
    """

    there_since: datetime | None = None
    of_record: int = 0
    won: int = 0
    lost: int = 0


@dataclass
class SideForReview:
    """A side with its proofs for the unit, newest first, and the facts beside them."""

    visible: VisibleSide
    proofs: list[Proof] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    @property
    def newest(self) -> Proof | None:
        """Return the newest proof that can be opened."""
        return next((one for one in self.proofs if one.scan in READABLE), None)

    @property
    def older(self) -> list[Proof]:
        """Return the proofs but the newest one that can be opened."""
        return [one for one in self.proofs if one is not self.newest]


def sides_for_review(visible: VisibleConflict) -> list[SideForReview]:
    """Return the sides of a conflict as a reviewer compares them: those with newer proof first."""
    found = {one.claim.pk: SideForReview(one) for one in visible.sides}
    units = {one.unit.pk: one.claim.pk for one in visible.sides if one.unit is not None}
    proofs = Proof.objects.filter(units__in=units).order_by("-uploaded_at", "-pk")
    for proof in proofs:
        found[proof.claim_id].proofs.append(proof)
    _add_facts(visible.conflict, found)
    return sorted(
        found.values(), key=lambda one: (one.visible.is_there, one.visible.newest_proof_at or BEFORE_ALL), reverse=True
    )


def _add_facts(conflict: Conflict, sides: dict[int, SideForReview]) -> None:
    by_partner = {one.visible.claim.partner_id: one.facts for one in sides.values()}
    record = Association.objects.not_undone().filter(customer=conflict.customer_id, partner__in=by_partner)
    dpor = Q(kind=AssociationKind.DPOR, ended_at=None)
    for pk, since, count in record.values_list("partner").annotate(
        since=Min("began_at"), held=Count("pk", filter=dpor)
    ):
        by_partner[pk].there_since, by_partner[pk].of_record = since, count
    decided = ConflictSide.objects.filter(
        conflict__status=ConflictStatus.DECIDED, conflict__winner__isnull=False, claim__partner__in=by_partner
    ).exclude(conflict=conflict.pk)
    for pk, claim, winner in decided.values_list("claim__partner", "claim", "conflict__winner"):
        if claim == winner:
            by_partner[pk].won += 1
        else:
            by_partner[pk].lost += 1


def usage_months(conflict: Conflict) -> list[tuple[date, int | None, int | None]]:
    """Return the last twelve known months of what is claimed, oldest first: paid units and active users."""
    months = usage_on(conflict).values_list("month").annotate(paid=Sum("paid_units"), active=Sum("active_users"))
    return list(reversed(months.order_by("-month")[:12]))


def next_to_decide(actor: Actor, *, after: Conflict | None = None) -> Conflict | None:
    """Return the open conflict that is due first and in whose parties the reviewer has no interest; None for none."""
    found = Conflict.objects.visible_to(actor).open()
    if after is not None:
        found = found.exclude(pk=after.pk)
    interests = list(Interest.objects.filter(reviewer=actor.user_id).values_list("organisation", flat=True))
    its = ConflictSide.objects.filter(
        Q(claim__partner__in=interests) | Q(claim__company__in=interests) | Q(claim__customer__in=interests),
        conflict=OuterRef("pk"),
    )
    return found.exclude(Exists(its)).order_by("due_at", "pk").first()
