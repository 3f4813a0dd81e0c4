"""Claims as they were at the end of a UTC day: status, consent, what was due, files and open conflicts.

Their steps tell it. A claim that a file brought has existed since it was approved; all else that a claim says, such as
its name, units and contacts, is as it is now.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from django.db.models import Case, DateTimeField, F, OuterRef, Prefetch, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.functions import Coalesce

from associations.claims.actions.shared import one_of, units_of
from associations.claims.models import Claim, ClaimQuerySet, ClaimStep, ClaimUnit, Conflict, ConflictSide, Proof
from associations.claims.queries.claims import is_claimant
from associations.claims.queries.proofs import newest_proof_at
from associations.claims.rules import LIVE, ClaimStatus, ConflictStatus, Consent, Origin, Outcome
from associations.record.models import end_of
from por.accounts.models import Actor
from por.directory.models import Customer

#: The outcomes of a unit that is held no longer.
OVER = (Outcome.LOST, Outcome.ENDED)


def claims_then(actor: Actor, day: date) -> ClaimQuerySet:
    """Return the claims that existed then, of those that the actor may see, each with how it was.

    `status_then`, `consent_then` and `due_then` can be filtered by. Give each row to `as_then` before it is shown.
    """
    end = end_of(day)
    steps = ClaimStep.objects.filter(claim=OuterRef("pk"), at__lt=end).order_by("-at", "-pk")
    submitted = Q(submitted_at__lt=end)
    drafted = Q(created_at__lt=end) & ~Q(origin=Origin.ESTATE)
    existed = submitted | drafted if is_claimant(actor) else submitted  # nobody else sees drafts
    return (
        Claim.objects.visible_to(actor)
        .filter(existed)
        .annotate(
            status_then=Coalesce(
                Subquery(steps.values("after")[:1]), Value(ClaimStatus.DRAFT), output_field=TextField()
            ),
            consent_then=Case(
                When(~Q(approved_at__lt=end) | Q(approved_at=None), then=Value("")),
                When(closed_at__lt=end, then=F("consent")),
                When(Q(consent_due_at=None) | Q(consent_due_at__lt=end), then=Value(Consent.LAPSED)),
                default=Value(Consent.PENDING),
                output_field=TextField(),
            ),
            due_then=Subquery(steps.values("due_at")[:1], output_field=DateTimeField()),
        )
    )


def with_all_then(claims: ClaimQuerySet, day: date) -> ClaimQuerySet:
    """Return the claims with what the API shows of each: the files of then, and the conflicts that were open."""
    return claims.for_listing().prefetch_related(
        Prefetch("proofs", Proof.objects.filter(uploaded_at__lt=end_of(day)).order_by("-number")),
        Prefetch("sides", _open_sides_then(day).order_by("conflict")),
    )


def listed_then(actor: Actor, day: date) -> ClaimQuerySet:
    """Return the same claims as rows of a list, as claims_for_listing does: with the newest file of then."""
    found = claims_then(actor, day).for_listing().annotate(newest_proof_at=newest_proof_at(before=end_of(day)))
    return found.prefetch_related(Prefetch("sides", _open_sides_then(day)))


def _open_sides_then(day: date) -> QuerySet[ConflictSide]:
    """Return the sides of conflicts that were open at the end of the day."""
    end = end_of(day)
    was_open = Q(conflict__closed_at=None) | Q(conflict__closed_at__gte=end)
    return ConflictSide.objects.filter(was_open, joined_at__lt=end)


def open_then(actor: Actor, customer: Customer, day: date, count: int) -> list[Claim]:
    """Return the claims on a customer that were approved or waited for a decision then, the newest first."""
    found: Any = listed_then(actor, day)
    rows = found.filter(customer=customer, status_then__in=LIVE).order_by("-pk")[:count]
    return [as_then(one) for one in rows]


def claim_then(actor: Actor, claim_id: int, day: date) -> Claim:
    """Return one claim as it was then, with its files and open conflicts of then.

    Raises NotFound if the actor saw no such claim then.
    """
    return as_then(one_of(with_all_then(claims_then(actor, day), day), claim_id))


def units_then(claim: Claim, day: date) -> list[tuple[ClaimUnit, str]]:
    """Return the units of a claim of `claim_then`, each with its outcome then, or "" while there was none.

    A unit is held from the approval until its association ends or is struck; it is lost when a conflict was decided.
    """
    end = end_of(day)
    decided = Conflict.objects.filter(sides__claim=claim, status=ConflictStatus.DECIDED, decided_at__lt=end)
    lost = {(one.workload, one.subscription_id) for one in decided.exclude(winner=claim)}
    return [(one, _outcome_then(one, claim, lost, end)) for one in units_of(claim)]


def _outcome_then(unit: ClaimUnit, claim: Claim, lost: Collection[tuple[str, int | None]], end: datetime) -> str:
    of = unit.association
    if of is not None and of.began_at < end and claim.approved_at is not None and claim.approved_at < end:
        ends = [one for one in (of.ended_at, of.undone_at) if one is not None]
        if not ends or min(ends) >= end:
            return Outcome.HELD
        return unit.outcome if unit.outcome in OVER else Outcome.ENDED
    return Outcome.LOST if unit.outcome == Outcome.LOST and (unit.workload, unit.subscription_id) in lost else ""


def as_then(claim: Any) -> Claim:
    """Return a claim that `claims_then` has found as it was then. Never save the result."""
    one: Claim = claim
    one.status, one.consent, one.due_at = claim.status_then, claim.consent_then, claim.due_then
    if one.status != ClaimStatus.ENDED:
        one.end_reason = ""
    return one
