"""What /metrics shows of the outbox and of the signed heads."""

from __future__ import annotations

from django.db.models import Min

from por.history.actions import sealing
from por.history.models import Outbox
from por.ops.figures import age, register
from por.queue import periodic


def _undone() -> float:
    return Outbox.objects.filter(done_at=None, dead_at=None).count()


def _oldest_event() -> float:
    undone = Outbox.objects.filter(done_at=None, dead_at=None)
    return age(undone.aggregate(oldest=Min("event__at"))["oldest"])


def _dead_events() -> float:
    return Outbox.objects.filter(dead_at__isnull=False).count()


def _head_age() -> float:
    return periodic.age(sealing.PERIODIC_RUN)


register("outbox_undone", "Events whose handlers have not all run", _undone)
register("outbox_oldest_age_seconds", "Age of the oldest of them", _oldest_event)
register("outbox_dead", "Events given up after too many tries", _dead_events)
register("history_signed_head_age_seconds", "Since history's heads were last signed", _head_age)
