"""What time does to claims: consent lapses, an answer or a dispute comes too late, and partners are reminded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from associations.claims.actions import reviewing
from associations.claims.actions.shared import (
    lock_customer,
    locked_by_system,
    next_instant,
    record,
    step,
    told,
    told_privately,
    units_of,
)
from associations.claims.events.endings import EndingEvent
from associations.claims.models import Claim, ClaimStep, ClaimUnit
from associations.claims.policies import policy_on
from associations.claims.rules import CONSENT, TO_REVIEW, ClaimStatus, Consent, Reason
from associations.record.policies import policy_on as record_policy_on
from por.accounts import zones
from por.accounts.models import SYSTEM
from por.directory.models import Subscription
from por.errors import Locked

#: How often a partner is reminded of one answer.
REMINDERS = 2


def run_due() -> int:
    """Do all that is due with claims, once, however late or often this is called; return how many things were done.

    Each is a transaction of its own. One whose customer is busy is done the next time.
    """
    now = timezone.now()
    waiting = Claim.objects.filter(status=ClaimStatus.ACTION_REQUIRED)
    return (
        _each(lapse_consent, _keys(Claim.objects.filter(consent=Consent.PENDING, consent_due_at__lte=now)))
        + _each(reject_unanswered, _keys(waiting.filter(due_at__lte=now)))
        + _each(remind, _to_remind(waiting.filter(due_at__gt=now, reminders__lt=REMINDERS), now))
        + _each(close_undisputed, _keys(Claim.objects.filter(status=ClaimStatus.REJECTED, due_at__lte=now)))
        + give_notice_of_renewals()
    )


def _keys(claims: QuerySet[Claim]) -> list[int]:
    return list(claims.order_by("pk").values_list("pk", flat=True))


def _each(act: Callable[[int], bool], claim_ids: Iterable[int]) -> int:
    done = 0
    for claim_id in claim_ids:
        try:
            done += act(claim_id)
        except Locked:
            continue
    return done


@transaction.atomic
def lapse_consent(claim_id: int) -> bool:
    """Take the silence of the customer as consent, if the term is over; return whether it was."""
    claim = locked_by_system(claim_id)
    now = next_instant(claim)
    due_at = claim.consent_due_at
    if claim.status != ClaimStatus.APPROVED or claim.consent != Consent.PENDING or due_at is None or now < due_at:
        return False
    claim.consent = CONSENT.after(claim.consent, "[term]")
    claim.version += 1
    claim.save(update_fields=["consent", "version"])
    record([told(EndingEvent.CONSENT_LAPSED, claim, live_units(claim))], by=SYSTEM, at=now)
    return True


@transaction.atomic
def reject_unanswered(claim_id: int) -> bool:
    """Reject a claim whose partner did not answer in time; return whether it was. Its units are free."""
    claim = locked_by_system(claim_id)
    now = next_instant(claim)
    if claim.status != ClaimStatus.ACTION_REQUIRED or claim.due_at is None or now < claim.due_at:
        return False
    units = live_units(claim)
    events = reviewing.reject_locked(claim, units, "[no answer]", by=SYSTEM, at=now, reasons=[Reason.NO_ANSWER])
    record(events, by=SYSTEM, at=now)
    return True


@transaction.atomic
def close_undisputed(claim_id: int) -> bool:
    """Make a rejection final that was not disputed in time; return whether it was."""
    claim = locked_by_system(claim_id)
    now = next_instant(claim)
    if claim.status != ClaimStatus.REJECTED or claim.due_at is None or now < claim.due_at:
        return False
    step(claim, "[no dispute]", by=SYSTEM, at=now)
    claim.save()
    record([told(EndingEvent.DISPUTE_LAPSED, claim, units_of(claim))], by=SYSTEM, at=now)
    return True


@transaction.atomic
def remind(claim_id: int) -> bool:
    """Remind the partner of an answer if a reminder is due, once however many were missed; return whether it did.

    The claim keeps its version: a form that the partner has open stays good.
    """
    claim = locked_by_system(claim_id)
    now = next_instant(claim)
    if claim.status != ClaimStatus.ACTION_REQUIRED or claim.due_at is None or now >= claim.due_at:
        return False
    count = sum(moment <= now for moment in reminders_of(claim))
    if count <= claim.reminders:
        return False
    claim.reminders = count
    claim.save(update_fields=["reminders"])
    changes = {"due_at": claim.due_at.isoformat(), "reminder": count}
    record([told_privately(EndingEvent.REMINDED, claim, live_units(claim), changes)], by=SYSTEM, at=now)
    return True


def _to_remind(claims: QuerySet[Claim], now: datetime) -> list[int]:
    """Return the keys of those whose partner is to be reminded now; it takes no lock."""
    return [one.pk for one in _with_asked(claims) if sum(moment <= now for moment in reminders_of(one)) > one.reminders]


def _with_asked(claims: QuerySet[Claim]) -> QuerySet[Claim]:
    asked = ClaimStep.objects.filter(claim=OuterRef("pk"), verb="ask").order_by("-at").values("at")[:1]
    return claims.select_related("customer__organisation").annotate(asked_at=Subquery(asked)).order_by("pk")


def reminders_of(claim: Claim) -> list[datetime]:
    """Return when the partner is reminded of an answer: at half the term, and at the start of its last day.

    The days are those of the customer.
    """
    steps = ClaimStep.objects.filter(claim=claim, verb="ask").order_by("-at")
    asked: datetime | None = getattr(claim, "asked_at", None) or steps.values_list("at", flat=True).first()
    if asked is None or claim.due_at is None:
        return []
    zone = claim.customer.organisation.time_zone
    last = zones.day_in(zone, claim.due_at - timedelta(microseconds=1))
    return sorted([asked + (claim.due_at - asked) / 2, max(asked, zones.end_of_day(last - timedelta(days=1), zone))])


def live_units(claim: Claim) -> list[ClaimUnit]:
    """Return the units that a claim still has."""
    return [one for one in units_of(claim) if one.live]


def overdue() -> int:
    """Return how many claims a reviewer should have handled by now. They are shown and counted; nothing happens."""
    return Claim.objects.filter(status__in=TO_REVIEW, due_at__lte=timezone.now()).count()


# --- Renewals -------------------------------------------------------------------------------------------------------


def give_notice_of_renewals() -> int:
    """Tell partners that a claimed subscription renews or ends soon; return how many notices were given.

    A notice is given once for each number of days in the policy, and of several that were missed only the last.
    """
    now = timezone.now()
    count = 0
    known = Claim.objects.filter(status=ClaimStatus.APPROVED).order_by()
    zones_here = known.values_list("customer__organisation__time_zone", flat=True).distinct()
    for zone in sorted(zones_here):
        count += _give_notices(zones.day_in(zone, now), zone)
    return count


def _give_notices(today: date, zone: str) -> int:
    """Give notice of renewals to the customers in this time zone, where it is this day."""
    count = 0
    for days in sorted(policy_on(today).renewal_notice_days):  # after the smallest, the others are not given any more
        here = _due_for_notice(days, today).filter(customer__organisation__time_zone=zone)
        for customer_id in sorted(set(here.values_list("customer", flat=True))):
            try:
                count += _give_notice(customer_id, days, today)
            except Locked:
                continue
    return count


def _due_for_notice(days: int, today: date) -> QuerySet[ClaimUnit]:
    """Return the claimed subscriptions that renew in so many days, and whose partner was not told yet."""
    until = today + timedelta(days=days)
    grace = timedelta(days=record_policy_on(today).renewal_notice_grace_days)
    return (
        ClaimUnit.objects.filter(
            live=True,
            claim__status=ClaimStatus.APPROVED,
            subscription__renews_on__gt=max(until - grace, today),
            subscription__renews_on__lte=until,
        )
        .exclude(subscription__status=Subscription.Status.EXPIRED)
        .exclude(noticed_renewal=F("subscription__renews_on"), noticed_days__lte=days)
    )


@transaction.atomic
def _give_notice(customer_id: int, days: int, today: date) -> int:
    """Record an event for each subscription of this customer; return how many."""
    lock_customer(customer_id)
    units = _due_for_notice(days, today).filter(customer=customer_id)
    events = []
    for unit in units.select_related(
        "claim__customer__organisation", "claim__partner__organisation", "subscription__sku"
    ).order_by("pk"):
        renews_on = unit.subscription.renews_on if unit.subscription else None
        assert renews_on is not None
        unit.noticed_renewal, unit.noticed_days = renews_on, days
        unit.save(update_fields=["noticed_renewal", "noticed_days"])
        changes = {"renews_on": renews_on.isoformat(), "days": (renews_on - today).days}
        events.append(told_privately(EndingEvent.RENEWAL_DUE, unit.claim, [unit], changes))
    record(events, by=SYSTEM, at=timezone.now())
    return len(events)
