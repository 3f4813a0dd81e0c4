"""Follow replacements of subscriptions, and give notice of renewals, so that no partner of record is lost silently."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from associations.attaching.actions import ending
from associations.record import actions as record
from associations.record import locking, recording
from associations.record.describing import fingerprints_of
from associations.record.models import Association, start_of
from associations.record.policies import policy_on
from associations.record.rules import EndReason, Source
from associations.renewals.events import RenewalEvent
from associations.renewals.models import RenewalNotice, Replacement
from por.accounts import zones
from por.accounts.models import SYSTEM
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import recording as history

#: How many notices are given in one transaction.
BATCH = 500


def follow_replacements() -> int:
    """Carry the partner of record over to subscriptions that replace others, or ask the customer. Return how many.

    The policy of the day says between which agreements it carries over, and how long after its start a subscription
    counts as new. So a first import asks no one about old replacements.
    """
    today = timezone.now().date()
    of_record = Association.objects.of_record()
    new = Subscription.objects.filter(
        Exists(of_record.filter(subscription=OuterRef("replaces"), undone_at=None)),
        ~Exists(of_record.filter(subscription=OuterRef("pk"))),
        ~Exists(Replacement.objects.filter(subscription=OuterRef("pk"))),
        replaces__isnull=False,
        started_on__gte=today - timedelta(days=policy_on(today).replacement_days),
        status=Subscription.Status.ACTIVE,
    )
    pairs = new.order_by("replaces", "pk").values_list("replaces", "pk")
    return sum(_follow(old, new) for old, new in list(pairs) if old is not None)


@transaction.atomic
def _follow(old_pk: int, new_pk: int) -> bool:
    """Follow one replacement. Lock both subscriptions, in the order of their keys."""
    by_key = {pk: locking.locked_by_system(pk) for pk in sorted([old_pk, new_pk])}
    old, new = by_key[old_pk], by_key[new_pk]
    held = _held_last(old)
    if held is None or locking.ever_of_record(new) or Replacement.objects.filter(subscription=new).exists():
        return False
    partner = directory.locked(held.partner_id)
    if partner.status != Partner.Status.ACTIVE or new.status != Subscription.Status.ACTIVE:
        return False
    policy = policy_on(timezone.now().date())
    carries = old.product == new.product and f"{old.agreement}-{new.agreement}" in policy.carries_over
    at = locking.next_instant(locking.latest(old), locking.latest(new))
    if old.status == Subscription.Status.EXPIRED and held.ended_at is None:
        # "Replaced" is the better reason than "expired". A subscription that has not expired keeps its partner.
        ending.end_by_system(held, old, EndReason.SUBSCRIPTION_REPLACED)
    made = None
    if carries:
        began_at = min(max(start_of(new.started_on), held.began_at), at)
        made = record.begin(record.draft(new, held.partner, source=Source.AUTOMATIC, began_at=began_at, attached_at=at))
    outcome = Replacement.Outcome.CARRIED_OVER if carries else Replacement.Outcome.ASKED
    Replacement.objects.create(subscription=new, partner=held.partner, outcome=outcome, association=made, at=at)
    changes: dict[str, Any] = {"partner": recording.named(held.partner), "replaces": str(old.subscription_id)}
    if made is not None:
        changes |= {
            "association": made.pk,
            "began_at": made.began_at.isoformat(),
            "fingerprints": fingerprints_of(made),
        }
    verb = RenewalEvent.CARRIED_OVER if carries else RenewalEvent.REPLACED
    recording.record_event(verb, new, by=SYSTEM, at=at, parties=[partner.pk], changes=changes)
    return True


def _held_last(old: Subscription) -> Association | None:
    """Return the association of the partner of record, or of the one that it had until it expired."""
    found = Association.objects.not_undone().of_record().filter(subscription=old)
    held = found.filter(Q(ended_at=None) | Q(end_reason=EndReason.SUBSCRIPTION_EXPIRED))
    return held.select_related("partner__organisation").order_by("-began_at").first()


def give_notice_of_renewals() -> int:
    """Give notice of renewals, once for each number of days in the policy. Return how many notices were given.

    The days are those of the customer. After a time without runs, a subscription gets one notice, however many it has
    missed.
    """
    now, zones_of = timezone.now(), defaultdict(list)
    for zone in Customer.objects.order_by().values_list("organisation__time_zone", flat=True).distinct():
        zones_of[zones.day_in(zone, now)].append(zone)
    return sum(_give_notices(today, there) for today, there in sorted(zones_of.items()))


def _give_notices(today: date, zones_of_today: list[str]) -> int:
    """Give notice to the customers in these time zones, where it is this day."""
    policy = policy_on(today)
    count = 0
    for days in sorted(policy.renewal_notice_days):  # the smallest first: after it, the others are not given any more
        until = today + timedelta(days=days)
        since = until - timedelta(days=policy.renewal_notice_grace_days)
        given = RenewalNotice.objects.filter(
            subscription=OuterRef("pk"), renews_on=OuterRef("renews_on"), days__lte=days
        )
        due = Subscription.objects.filter(
            Exists(Association.objects.open().of_record().filter(subscription=OuterRef("pk"))),
            ~Exists(given),
            renews_on__gt=max(since, today),
            renews_on__lte=until,
            customer__organisation__time_zone__in=zones_of_today,
        ).exclude(status=Subscription.Status.EXPIRED)
        while batch := list(due.order_by("customer", "pk").values_list("pk", flat=True)[:BATCH]):
            count += _give_notice(batch, days, today)
    return count


@transaction.atomic
def _give_notice(subscription_pks: list[int], days: int, today: date) -> int:
    """Record an event for each subscription, with its partner of record as a party. Return how many.

    Only one run at a time gives notice, so no lock is taken.
    """
    now = timezone.now()
    held = Association.objects.open().of_record().filter(subscription__in=subscription_pks)
    records = {
        one.subscription_id: one
        for one in held.select_related("subscription__sku", "subscription__customer", "partner__organisation")
    }
    given = RenewalNotice.objects.bulk_create(
        [
            RenewalNotice(subscription_id=pk, renews_on=one.subscription.renews_on, days=days, at=now)
            for pk, one in records.items()
            if pk is not None and one.subscription is not None and one.subscription.renews_on is not None
        ]
    )
    events = []
    for notice in given:
        one = records[notice.subscription_id]
        subscription = one.subscription
        assert subscription is not None
        about = recording.about_subscription(subscription)
        changes = {
            "partner": recording.named(one.partner),
            "renews_on": notice.renews_on.isoformat(),
            "days": (notice.renews_on - today).days,
        }
        events.append(history.EventDraft(one.customer_id, changes, about, [one.partner_id]))
    history.record_each(RenewalEvent.RENEWAL_DUE, by=SYSTEM, at=now, events=events)
    return len(events)
