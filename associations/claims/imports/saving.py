"""Saving what lines of claims.csv say: new claims with their associations, and corrections of those that files gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from associations.claims.actions import shared
from associations.claims.events.imports import ClaimFileEvent
from associations.claims.models import Claim, ClaimStep, ClaimUnit
from associations.claims.policies import policy_of
from associations.claims.rules import CORRECTED, IMPORTED, ClaimStatus, Consent, Origin, Outcome, Program, Role
from associations.record import actions as record
from associations.record import bulk, describing, recording
from associations.record.models import Association
from associations.record.rules import AssociationKind, Source
from por.accounts.models import SYSTEM
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import recording as history
from por.imports.events import ImportEvent

Key = tuple[str | int | None, ...]


#: What a correction changes of a claim.
CORRECTABLE = ("name", "submitted_at", "approved_at", "consent", "consent_due_at", "version")


class Wanted(NamedTuple):
    """A claim as a line says it."""

    number: str
    name: str
    partner: Partner
    customer: Customer
    program: Program
    role: Role
    workloads: Sequence[str]
    subscriptions: Sequence[Subscription]
    approved_at: datetime

    @property
    def units(self) -> list[ClaimUnit]:
        """Return its units, of no claim yet."""
        of: dict[str, Any] = {
            "program": self.program,
            "role": self.role,
            "company_id": self.company,
            "customer": self.customer,
            "live": True,
            "outcome": Outcome.HELD,
        }
        return [
            *(ClaimUnit(workload=one, **of) for one in self.workloads),
            *(ClaimUnit(subscription=one, **of) for one in self.subscriptions),
        ]

    @property
    def keys(self) -> list[Key]:
        return [one.key for one in self.units]

    @property
    def company(self) -> int:
        return self.partner.company_id


class Correction(NamedTuple):
    """A claim that files gave, with its units, and what a line says of it now."""

    stored: Claim
    wanted: Wanted
    units: Sequence[ClaimUnit]


def save(created: Sequence[Wanted], corrected: Sequence[Correction]) -> None:
    """Save new and corrected claims with their associations. The events are the last.

    A first import has none, but for claims that the customer can still decline.

    What is freed comes before what is taken. The caller has locked the customers, the subscriptions and the partners,
    and no two claims overlap.
    """
    at = timezone.now()
    changes = [_correct(one, at=at) for one in corrected]
    Claim.objects.bulk_update([one.claim for one in changes], CORRECTABLE, batch_size=500)
    claims = [_new(one, at=at) for one in created]
    Claim.objects.bulk_create(claims)
    pairs = list(zip(claims, created, strict=True))
    new = [(claim, unit) for claim, wanted in pairs for unit in wanted.units]
    new += [(one.claim, unit) for one in changes for unit in one.new]
    begun = _begin(new, at=at)
    steps = [_step(claim, IMPORTED, "", claim.approved_at or at, {}) for claim in claims]
    ClaimStep.objects.bulk_create([*steps, *(one.step for one in changes)])
    touched = [unit for one in changes for unit in (*one.gone, *one.kept)]
    recording.bump_all(unit.subscription_id for unit in (*touched, *(unit for _claim, unit in new)))
    known = _known({claim.customer_id for claim in claims})
    events = [
        _told(ClaimFileEvent.IMPORTED, claim, begun[claim.pk], _approval(claim))
        for claim in claims
        if claim.customer_id in known or claim.consent == Consent.PENDING  # its silence would be consent
    ]
    for one in changes:
        units = [*one.kept, *begun.get(one.claim.pk, ())]
        others = [unit.association for unit in one.gone if unit.association]
        facts = {**_approval(one.claim), **one.before, "fields": one.fields}
        events.append(_told(ClaimFileEvent.CORRECTED, one.claim, units, facts, others))
    history.record_each(by=SYSTEM, at=timezone.now(), events=events)


def _new(wanted: Wanted, *, at: datetime) -> Claim:
    claim = Claim(
        number=wanted.number,
        name=wanted.name,
        program=wanted.program,
        role=wanted.role,
        customer=wanted.customer,
        partner=wanted.partner,
        company_id=wanted.company,
        domain=wanted.customer.domain.lower(),
        origin=Origin.ESTATE,
        status=ClaimStatus.APPROVED,
        created_at=at,
    )
    _approve(claim, wanted.approved_at, now=at)
    return claim


def _approve(claim: Claim, approved_at: datetime, *, now: datetime) -> None:
    """Let a claim have been submitted and approved then. The customer can decline while the term of that day runs."""
    claim.submitted_at = claim.approved_at = approved_at
    claim.consent_due_at = shared.due(claim, policy_of(approved_at).consent_lapses_after, approved_at)
    runs = claim.consent_due_at is not None and claim.consent_due_at > now
    claim.consent = Consent.PENDING if runs else Consent.LAPSED


def _step(claim: Claim, verb: str, before: str, at: datetime, changes: dict[str, Any]) -> ClaimStep:
    return ClaimStep(claim=claim, verb=verb, before=before, after=claim.status, at=at, changes=changes)


def _begin(new: Sequence[tuple[Claim, ClaimUnit]], *, at: datetime) -> dict[int, list[ClaimUnit]]:
    """Insert new units with their associations, which began when the claim was approved; return them by claim."""
    found: dict[int, list[ClaimUnit]] = defaultdict(list)
    for claim, unit in new:
        assert claim.approved_at is not None
        of = unit.subscription or claim.customer
        claimed = record.draft(
            of,
            claim.partner,
            kind=AssociationKind.CPOR,
            source=Source.ESTATE,
            began_at=claim.approved_at,
            attached_at=max(at, claim.approved_at),
        )
        claimed.program, claimed.role, claimed.workload = unit.program, unit.role, unit.workload
        claimed.claim_number = claim.number
        unit.claim, unit.association = claim, claimed
        found[claim.pk].append(unit)
    bulk.begin([unit.association for _claim, unit in new if unit.association])
    for _claim, unit in new:
        unit.association = unit.association  # it has its key only now
    ClaimUnit.objects.bulk_create(unit for _claim, unit in new)
    return found


class _Corrected(NamedTuple):
    """What a correction has changed already, the units that are still to be inserted, and the step."""

    claim: Claim
    kept: list[ClaimUnit]
    new: list[ClaimUnit]
    gone: list[ClaimUnit]
    before: dict[str, str]
    fields: list[str]
    step: ClaimStep


def _correct(correction: Correction, *, at: datetime) -> _Corrected:
    """Change a stored claim, and free the units that its line no longer names: they were never its own."""
    claim, wanted, units = correction
    keys = set(wanted.keys)
    gone = [unit for unit in units if unit.key not in keys]
    kept = [unit for unit in units if unit.key in keys]
    known = {unit.key for unit in kept}
    new = [unit for unit in wanted.units if unit.key not in known]
    for unit in gone:
        if unit.association is not None:
            record.strike(unit.association, at=at)
    if gone:
        ClaimUnit.objects.filter(pk__in=[unit.pk for unit in gone]).delete()
    moved = claim.approved_at != wanted.approved_at
    assert claim.approved_at is not None
    before = {"approved_at_before": claim.approved_at.isoformat()} if moved else {}
    changed = {"name": claim.name != wanted.name, "approved_on": moved, "units": bool(gone or new)}
    fields = [name for name, is_changed in changed.items() if is_changed]
    if moved:
        _approve(claim, wanted.approved_at, now=at)
        for unit in kept:
            assert unit.association is not None
            one = unit.association
            record.redate(
                one,
                began_at=wanted.approved_at,
                ended_at=one.ended_at,
                end_reason=one.end_reason,
                end_inferred=one.end_inferred,
            )
    claim.name = wanted.name
    claim.version += 1
    step_at = wanted.approved_at if moved else at
    step = _step(claim, CORRECTED, claim.status, step_at, {"fields": fields})
    return _Corrected(claim, kept, new, gone, before, fields, step)


def _approval(claim: Claim) -> dict[str, Any]:
    assert claim.approved_at is not None
    running = claim.consent_due_at if claim.consent == Consent.PENDING else None
    return {"approved_at": claim.approved_at.isoformat(), "consent_due_at": running and running.isoformat()}


def _told(
    verb: str,
    claim: Claim,
    units: Sequence[ClaimUnit],
    changes: dict[str, Any],
    associations: Sequence[Association] = (),
) -> history.EventDraft:
    described = {one.pk: one for one in (*associations, *(unit.association for unit in units if unit.association))}
    facts = {**changes, "fingerprints": describing.fingerprints_of(*described.values())}
    return shared.told(verb, claim, units, facts)


def _known(customers: Collection[int]) -> set[int]:
    """Return those for which an earlier import has brought claims, or a partner has submitted one.

    An import that was killed has not recorded that it has brought them, so for the next one it is still the first.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT customer FROM unnest(%s::bigint[]) AS customer
            WHERE EXISTS (
                SELECT FROM history_event
                WHERE chain = 'organisation:' || customer AND verb = %s AND object_id = 'claims.csv'
            ) OR EXISTS (
                SELECT FROM claims_claim
                WHERE customer_id = customer AND origin <> %s AND submitted_at IS NOT NULL
            )
            """,
            [sorted(customers), ImportEvent.LOADED, Origin.ESTATE],
        )
        return {customer for (customer,) in cursor.fetchall()}
