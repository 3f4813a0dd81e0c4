"""Subscriptions that a file has moved to another tenant: what both customers are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from associations.moves_events import MovedEvent
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.recording import about_subscription, named
from associations.record.rules import EndReason
from por.accounts.models import SYSTEM
from por.directory.imports.moves import Move
from por.directory.models import Partner, Subscription
from por.history.actions import recording as history


def record_moves(moves: Sequence[Move]) -> None:
    """Record that subscriptions left a customer and came to another one, which is asked about its partner.

    Neither customer learns who the other one is. The associations end, or go on, once all files are in.
    """
    now = timezone.now()
    since = now - policy_on(now.date()).reopen_from_file
    keys = [one.pk for move in moves for one in (move.former, move.subscription)]
    found = {one.pk: one for one in Subscription.objects.select_related("sku").filter(pk__in=keys)}
    held = _last_of_record(keys)
    drafts = []
    for move in moves:
        former, subscription = found[move.former.pk], found[move.subscription.pk]
        drafts.append(
            history.EventDraft(former.customer_id, {}, about_subscription(former), verb=MovedEvent.MOVED_AWAY)
        )
        if move.back is not None and move.back > since:  # its associations go on
            verb, changes = MovedEvent.MOVED_BACK, dict[str, Any]()
        else:
            partner = held.get(subscription.pk) or held.get(former.pk)
            verb, changes = MovedEvent.MOVED_IN, {"partner": named(partner)} if partner else {}
        drafts.append(
            history.EventDraft(subscription.customer_id, changes, about_subscription(subscription), verb=verb)
        )
    history.record_each(by=SYSTEM, at=now, events=drafts)


def _last_of_record(subscriptions: Sequence[int]) -> dict[int | None, Partner]:
    """Return the partner of record of each subscription, or the one that a move has ended, if it can be attached."""
    kept = ("", EndReason.SUBSCRIPTION_MOVED)
    found = Association.objects.not_undone().of_record().filter(subscription__in=subscriptions, end_reason__in=kept)
    active = found.filter(partner__status=Partner.Status.ACTIVE, partner__kind=Partner.Kind.LOCATION)
    return {one.subscription_id: one.partner for one in active.with_names().order_by("began_at")}
