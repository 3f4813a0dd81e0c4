"""Which claims were migrated without proof, and reminding partners of them while there is time."""

from __future__ import annotations

from datetime import date, datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from associations.claims.events.migrated import MigratedEvent
from associations.claims.models import Claim, ClaimUnit, ProofUnit
from associations.claims.policies import policy_on
from associations.claims.rules import READABLE, ClaimStatus, Origin
from associations.record.models import end_of
from por.accounts.models import SYSTEM
from por.history.actions import recording as history
from por.history.models import Event


def unproved(day: date | None = None) -> QuerySet[ClaimUnit]:
    """Return the live units for which there is no file that can be opened; with a day, for which there was none then.

    With a day, they are the units that were in force at its end.
    """
    if day is None:
        return without_readable_proof().filter(live=True)
    end = end_of(day)
    in_force = Q(association__ended_at=None) | Q(association__ended_at__gte=end)
    return without_readable_proof(before=end).filter(
        in_force, association__began_at__lt=end, association__undone_at=None
    )


def without_readable_proof(before: datetime | None = None) -> QuerySet[ClaimUnit]:
    """Return the units for which there is no file that can be opened, or for which there was none before."""
    files = ProofUnit.objects.filter(unit=OuterRef("pk"), proof__scan__in=READABLE)
    if before is not None:
        files = files.filter(proof__uploaded_at__lt=before)
    return ClaimUnit.objects.filter(~Exists(files))


def without_proof(day: date | None = None) -> Q:
    """Return the condition of *Migrated without proof*: approved, from a file, and a unit has no file.

    The name of a claim says nothing of that. With a day, it is for the claims of `as_of.claims_then`.
    """
    approved = Q(status=ClaimStatus.APPROVED) if day is None else approved_then(day)
    return approved & Q(origin=Origin.ESTATE) & Q(Exists(unproved(day).filter(claim=OuterRef("pk"))))


def approved_then(day: date) -> Q:
    """Return the condition for the claims of `as_of.claims_then` that were approved at the end of a day.

    The steps of a claim tell it. They are only read of claims that could have been.
    """
    end = end_of(day)
    return Q(Q(closed_at=None) | Q(closed_at__gte=end), approved_at__lt=end, status_then=ClaimStatus.APPROVED)


def remind_of_proofs(today: date | None = None) -> int:
    """Remind every location that has claims without proof, if a reminder is due. Return how many were reminded.

    Of several reminders that came due while nothing ran, only the last is given. No location gets the same reminder
    twice, as long as only one run at a time does this, and none after the deadline.
    """
    now = timezone.now()
    day = today or now.date()
    policy = policy_on(day)
    deadline = policy.migrated_proof_deadline
    if deadline is None or deadline < day:
        return 0
    left = (deadline - day).days
    due = min((days for days in policy.migrated_proof_reminders if left <= days), default=None)
    if due is None:
        return 0
    reminder = {"deadline": deadline.isoformat(), "reminder": due}
    given = Event.objects.filter(verb=MigratedEvent.REMINDED, changes__contains=reminder)
    already = set(given.values_list("object_id", flat=True))
    found = (
        Claim.objects.filter(without_proof())
        .values("partner", "partner__mpn_id", "partner__organisation__name")
        .annotate(claims=Count("pk"), customers=Count("customer", distinct=True))
        .order_by("partner")
    )
    events = [
        history.EventDraft(
            one["partner"],
            {**reminder, "claims": one["claims"], "customers": one["customers"]},
            history.ObjectRef("partner", one["partner__mpn_id"], one["partner__organisation__name"]),
        )
        for one in found
        if one["partner__mpn_id"] not in already
    ]
    if events:
        history.record_each(MigratedEvent.REMINDED, by=SYSTEM, at=now, events=events)
    return len(events)
