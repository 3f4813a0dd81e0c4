"""Remind partners of subscriptions that are still on a legacy form."""

from __future__ import annotations

from datetime import date

from django.db.models import Count, Sum
from django.utils import timezone

from associations.legacy_forms.events import LegacyFormEvent
from associations.record.models import Association
from associations.record.policies import policy_on
from por.accounts.models import SYSTEM
from por.directory.models import Subscription
from por.history.actions import recording as history
from por.history.models import Event


def remind_of_forms(today: date | None = None) -> int:
    """Remind every partner with a subscription still on a form, if a reminder is due. Return how many were reminded.

    Of several reminders that came due while nothing ran, only the last is given. No partner gets the same reminder
    twice, as long as only one run at a time does this, and none after the deadline.
    """
    now = timezone.now()
    day = today or now.date()
    policy = policy_on(day)
    left = (policy.legacy_form_deadline - day).days
    due = min((days for days in policy.legacy_form_reminder_days if left <= days), default=None)
    if due is None or left < 0:
        return 0
    reminder = {"deadline": policy.legacy_form_deadline.isoformat(), "reminder": due}
    given = Event.objects.filter(verb=LegacyFormEvent.REMINDED, changes__contains=reminder)
    already = set(given.values_list("object_id", flat=True))
    events = [
        history.EventDraft(
            one["partner"],
            {**reminder, "subscriptions": one["subscriptions"], "customers": one["customers"], "seats": one["seats"]},
            history.ObjectRef("partner", one["partner__mpn_id"], one["partner__organisation__name"]),
        )
        for one in Association.objects.in_force_on(day)
        .forms()
        .without_record(day)
        .exclude(subscription__status=Subscription.Status.EXPIRED)
        .values("partner", "partner__mpn_id", "partner__organisation__name")
        .annotate(
            subscriptions=Count("subscription", distinct=True),
            customers=Count("customer", distinct=True),
            seats=Sum("subscription__seats"),
        )
        .order_by("partner")
        if one["partner__mpn_id"] not in already
    ]
    if events:
        history.record_each(LegacyFormEvent.REMINDED, by=SYSTEM, at=now, events=events)
    return len(events)
