"""What /metrics shows of messages."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Min
from django.utils import timezone

from por.notifications.models import Delivery
from por.ops.figures import age, register


def _waiting() -> float:
    return Delivery.objects.filter(status=Delivery.Status.WAITING).count()


def _oldest_delivery() -> float:
    waiting = Delivery.objects.filter(status=Delivery.Status.WAITING)
    return age(waiting.aggregate(oldest=Min("created_at"))["oldest"])


def _dead_deliveries() -> float:
    return Delivery.objects.filter(status=Delivery.Status.DEAD).count()


def _refused_deliveries() -> float:
    return Delivery.objects.filter(status=Delivery.Status.REFUSED).count()


def _sent() -> float:
    return Delivery.objects.filter(sent_at__gt=timezone.now() - timedelta(hours=1)).count()


register("deliveries_waiting", "Messages that have still to leave", _waiting)
register("deliveries_oldest_age_seconds", "Age of the oldest of them", _oldest_delivery)
register("deliveries_dead", "Messages given up after too many tries", _dead_deliveries)
register("deliveries_refused", "Messages that the recipient's server does not want", _refused_deliveries)
register("deliveries_sent_last_hour", "Messages that left within the last hour", _sent)
