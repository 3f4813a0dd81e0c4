"""Reminding partners of customers that are still on a legacy form."""

from __future__ import annotations

from datetime import date

from django.db.models import Count, Sum
from django.utils import timezone

from associations.record.models import Association
from associations.record.policies import policy_on
from por.accounts.models import SYSTEM
from por.directory.models import Subscription
from por.history.actions import recording as history
from por.history.models import Event

REMINDED = "transition.reminded"


def remind_of_forms(today: date | None = None) -> int:
    """Reminds every partner with a subscription still on a form, if a reminder is due; returns how many it were.

    Of several that have come due while the clock stood still only the last is given. Nobody is reminded twice of the
    same, as long as nobody else is at it, and nobody after the deadline.
    """
    now = timezone.now()
    day = today or now.date()
    policy = policy_on(day)
    left = (policy.legacy_form_deadline - day).days
    due = min((days for days in policy.legacy_form_reminder_days if left <= days), default=None)
    if due is None or left < 0:
        return 0
    reminder = {"deadline": policy.legacy_form_deadline.isoformat(), "reminder": due}
    told = Event.objects.filter(verb=REMINDED, changes__contains=reminder)
    already = set(told.values_list("object_id", flat=True))
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
        history.record_each(REMINDED, by=SYSTEM, at=now, events=events)
    return len(events)
