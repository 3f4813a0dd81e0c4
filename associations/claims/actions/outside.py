"""What files change for claims: subscriptions that expire or move, accounts that close, locations of another company.

The associations of approved claims are ended, and reopened, by the room below; here their claims and units follow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from associations.claims.actions import conflicts, reviewing
from associations.claims.actions.again import reason_against
from associations.claims.actions.ending import end_associations, end_locked
from associations.claims.actions.shared import lock_customer, next_instant, record, step, told, units_of
from associations.claims.events.endings import EndingEvent
from associations.claims.models import Claim, ClaimUnit
from associations.claims.rules import LIVE, PENDING, ClaimStatus, Outcome, Reason
from associations.record import describing
from associations.record.rules import FROM_OUTSIDE, EndReason
from por.accounts.models import SYSTEM
from por.directory.models import Partner, Subscription
from por.history.actions import recording as history
from por.imports.loading import Report

#: Claims without live units that end with their partner or their subscriptions.
IDLE = (ClaimStatus.DRAFT, ClaimStatus.REJECTED)
#: A subscription that cannot be claimed any more.
OVER = Q(subscription__status=Subscription.Status.EXPIRED) | Q(subscription__left_at__isnull=False)


def settle(_report: Report) -> None:
    """Let claims follow what an import has changed, once its files are in."""
    follow_files()


def follow_files() -> int:
    """Let claims follow what files have changed; return how many customers had any.

    Each customer is a transaction of its own, under its lock. Again, it changes nothing.
    """
    found: set[int] = set()
    for claims in (_with_ended_units(), _that_go_on(), _of_another_company(), _idle_and_over()):
        found.update(claims.values_list("customer", flat=True))
    return sum(_settle(customer_id) for customer_id in sorted(found))


def _with_ended_units() -> QuerySet[Claim]:
    """Return claims with a live unit whose association has ended, or that can have none any more."""
    ended = Q(association__ended_at__isnull=False)
    gone = Q(association=None) & (OVER | Q(claim__partner__status=Partner.Status.CLOSED))
    units = ClaimUnit.objects.filter(ended | gone, live=True)
    return Claim.objects.filter(status__in=LIVE, pk__in=units.values("claim"))


def _that_go_on() -> QuerySet[Claim]:
    """Return claims with a unit that had ended and whose association is open again."""
    units = ClaimUnit.objects.filter(outcome=Outcome.ENDED, association__isnull=False, association__ended_at=None)
    return Claim.objects.filter(pk__in=units.filter(association__undone_at=None).values("claim"))


def _of_another_company() -> QuerySet[Claim]:
    """Return claims whose location belongs to another company now."""
    return Claim.objects.annotate(belongs_to=Coalesce("partner__organisation__parent", "partner")).exclude(
        company=F("belongs_to")
    )


def _idle_and_over() -> QuerySet[Claim]:
    """Return drafts and rejected claims of closed accounts, and those of which nothing can be claimed any more."""
    units = ClaimUnit.objects.filter(claim=OuterRef("pk"))
    none_left = Exists(units) & ~Exists(units.exclude(OVER))
    return Claim.objects.filter(Q(partner__status=Partner.Status.CLOSED) | none_left, status__in=IDLE)


@transaction.atomic
def _settle(customer_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'")  # as every batch of an import
    lock_customer(customer_id)
    first = Claim.objects.filter(customer=customer_id).first()
    if first is None:
        return False
    at = next_instant(first)
    events = [
        *(event for claim in _here(_with_ended_units(), customer_id) for event in _end_units(claim, at=at)),
        *_rewrite_companies(customer_id, at=at),
        *(event for claim in _here(_that_go_on(), customer_id) for event in _go_on(claim, at=at)),
        *(event for claim in _here(_idle_and_over(), customer_id) for event in _drop(claim, at=at)),
    ]
    record(events, by=SYSTEM, at=at)
    return bool(events)


def _here(claims: QuerySet[Claim], customer_id: int) -> list[Claim]:
    names = claims.select_related("customer__organisation", "partner__organisation")
    return list(names.filter(customer=customer_id).order_by("pk"))


# --- Units end ------------------------------------------------------------------------------------------------------


def _end_units(claim: Claim, *, at: datetime) -> list[history.EventDraft]:
    """End the units of a claim that have ended, and the claim with the last of them."""
    units = units_of(claim)
    reasons = {one.pk: reason for one in units if one.live and (reason := _why_ended(claim, one))}
    over = [one for one in units if one.pk in reasons]
    if not over:
        return []
    reason = reasons[over[-1].pk]
    left = any(one.live and one.pk not in reasons for one in units)
    events = _free(claim, over, Outcome.ENDED, at=at)
    if left:
        claim.version += 1
        claim.save(update_fields=["version"])
        return [told(EndingEvent.UNIT_ENDED, claim, over, {"end_reason": reason}), *events]
    if claim.status == ClaimStatus.APPROVED:
        step(claim, "[nothing left]", by=SYSTEM, at=at)
        claim.end_reason, claim.closed_at = reason, at
        claim.save()
        return [told(EndingEvent.ENDED, claim, over, {"end_reason": reason}), *events]
    return [_withdrawn(claim, over, reason, at=at), *events]


def _why_ended(claim: Claim, unit: ClaimUnit) -> EndReason | None:
    if unit.association is None:
        return reason_against(claim, unit)
    return None if unit.association.ended_at is None else EndReason(unit.association.end_reason)


def _free(claim: Claim, units: Sequence[ClaimUnit], outcome: Outcome, *, at: datetime) -> list[history.EventDraft]:
    """Free units of a claim, with what has become of them. A unit that a decision took stays lost."""
    for unit in units:
        if unit.outcome != Outcome.LOST:
            unit.outcome = outcome
            unit.save(update_fields=["outcome"])
    return conflicts.leave(claim, units, at=at)


def _withdrawn(claim: Claim, units: Sequence[ClaimUnit], reason: EndReason, *, at: datetime) -> history.EventDraft:
    step(claim, "[nothing left]", by=SYSTEM, at=at)
    claim.closed_at = at
    claim.save()
    return told(EndingEvent.DROPPED, claim, units, {"end_reason": reason})


def _drop(claim: Claim, *, at: datetime) -> list[history.EventDraft]:
    """Withdraw a draft, of which nobody else knows, or a rejected claim."""
    units = units_of(claim)
    reasons = [reason for one in units if (reason := reason_against(claim, one))]
    if claim.partner.status == Partner.Status.CLOSED:
        reasons = [EndReason.PARTNER_CLOSED]
    elif not units or len(reasons) < len(units):
        return []
    was_draft = claim.submitted_at is None
    event = _withdrawn(claim, units, reasons[-1], at=at)
    return [] if was_draft else [event]


# --- A reason is taken back -----------------------------------------------------------------------------------------


def _go_on(claim: Claim, *, at: datetime) -> list[history.EventDraft]:
    """Let the units of a claim live again whose associations an import has reopened.

    A claim that a person has ended meanwhile stays ended, and ends them again. Where the partner's own company has
    claimed a unit anew, that claim loses it: the unit has its association already.
    """
    again = [one for one in units_of(claim) if _is_open_again(one)]
    if not again:
        return []
    if claim.status == ClaimStatus.ENDED and claim.end_reason not in FROM_OUTSIDE:
        reason = EndReason(claim.end_reason)
        changed = end_associations(again, reason, at=at)
        changes = {"end_reason": reason, "fingerprints": describing.fingerprints_of(*changed)}
        return [told(EndingEvent.UNIT_ENDED, claim, again, changes)]
    events = [event for unit in again for other in _own_rivals(unit) for event in _lose(other, unit, at=at)]
    if claim.status == ClaimStatus.ENDED:
        step(claim, "[goes on]", by=SYSTEM, at=at)
        claim.end_reason, claim.closed_at = "", None
    else:
        claim.version += 1
    claim.save()
    events = [told(EndingEvent.GOES_ON, claim, again), *events, *conflicts.take(claim, again, at=at)]
    ClaimUnit.objects.filter(pk__in=[one.pk for one in again]).update(outcome=Outcome.HELD)
    return events


def _is_open_again(unit: ClaimUnit) -> bool:
    association = unit.association
    return unit.outcome == Outcome.ENDED and association is not None and association.is_in_force


def _own_rivals(unit: ClaimUnit) -> list[Claim]:
    """Return the other claims of the same company that have the unit."""
    own = conflicts.others(unit).filter(company=unit.company_id)
    claims = Claim.objects.filter(pk__in=own.order_by().values("claim"))
    return list(claims.select_related("customer__organisation", "partner__organisation").order_by("pk"))


def _lose(claim: Claim, of: ClaimUnit, *, at: datetime) -> list[history.EventDraft]:
    """Let a claim lose its unit on the workload or subscription of another claim of the same company."""
    units = units_of(claim)
    lost = [one for one in units if one.live and one.key == of.key]
    if any(one.live and one.key != of.key for one in units):
        changed = end_associations(lost, EndReason.CONFLICT_LOST, at=at)
        claim.version += 1
        claim.save(update_fields=["version"])
        said = {"fingerprints": describing.fingerprints_of(*changed)}
        return [told(EndingEvent.UNIT_LOST, claim, lost, said), *_free(claim, lost, Outcome.LOST, at=at)]
    if claim.status in PENDING:
        events = reviewing.reject_locked(claim, lost, "[lost]", by=SYSTEM, at=at, reasons=[Reason.CONFLICT_LOST])
    else:
        ended = end_locked(claim, "[lost]", EndReason.CONFLICT_LOST, by=SYSTEM, at=at)
        changes = {"end_reason": EndReason.CONFLICT_LOST, "fingerprints": ended.fingerprints}
        events = [told(EndingEvent.ENDED, claim, ended.units, changes), *ended.events]
    ClaimUnit.objects.filter(pk__in=[one.pk for one in lost]).update(outcome=Outcome.LOST)
    return events


# --- Companies ------------------------------------------------------------------------------------------------------


def _rewrite_companies(customer_id: int, *, at: datetime) -> list[history.EventDraft]:
    """Give claims the company that their location belongs to now. Of two of one company, the later unit is lost."""
    claims: list[Any] = _here(_of_another_company(), customer_id)
    if not claims:
        return []
    company_of = {one.pk: one.belongs_to for one in claims}
    live = ClaimUnit.objects.filter(customer=customer_id, live=True).select_related("association", "claim")
    together: dict[tuple[Any, ...], list[ClaimUnit]] = defaultdict(list)
    for unit in live.order_by("pk"):
        together[(*unit.key, company_of.get(unit.claim_id, unit.company_id))].append(unit)
    events: list[history.EventDraft] = []
    for units in together.values():
        if len(units) > 1:
            keeps, *lose = sorted(units, key=_precedence)
            for unit in lose:
                (claim,) = _here(Claim.objects.filter(pk=unit.claim_id), customer_id)
                events += _lose(claim, keeps, at=at)
    moved = ClaimUnit.objects.filter(claim__in=company_of)
    still = list(moved.filter(live=True).values_list("pk", flat=True))
    moved.update(live=False)  # two companies that change places meet no constraint on the way
    for pk, company in company_of.items():
        Claim.objects.filter(pk=pk).update(company=company)
        ClaimUnit.objects.filter(claim=pk).update(company=company)
    ClaimUnit.objects.filter(pk__in=still).update(live=True)
    return events


def _precedence(unit: ClaimUnit) -> tuple[bool, int]:
    """Return what puts the unit first that is held, else the one that came first."""
    holds = unit.association is not None and unit.association.is_in_force
    conflict = conflicts.open_on(unit)
    side = conflict.sides.filter(claim=unit.claim_id).values_list("pk", flat=True).first() if conflict else None
    return (not holds, side or unit.pk)


def uses_of(locations: Collection[int]) -> Iterator[tuple[int, str]]:
    """Yield in how many claims these locations wait for a decision, so that none can become a global account."""
    found = Claim.objects.filter(status__in=PENDING, partner__in=locations)
    for pk, count in found.values_list("partner").annotate(Count("pk")).order_by("partner"):
        yield pk, _("claims that wait for a decision: %(count)s") % {"count": count}
