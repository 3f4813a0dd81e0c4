"""Metrics that are read from the database: what waits to be sent, and what was given up.

Each is one look at an index that holds only what waits, what went wrong or what has just been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.db import Error
from django.db.models import Min
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from por.db import outages
from por.history.actions import sealing
from por.history.models import Outbox
from por.notifications.models import Delivery
from por.queue.periodic import age


def _undone() -> float:
    return Outbox.objects.filter(done_at=None, dead_at=None).count()


def _oldest_event() -> float:
    undone = Outbox.objects.filter(done_at=None, dead_at=None)
    return _age(undone.aggregate(oldest=Min("event__at"))["oldest"])


def _dead_events() -> float:
    return Outbox.objects.filter(dead_at__isnull=False).count()


def _waiting() -> float:
    return Delivery.objects.filter(status=Delivery.Status.WAITING).count()


def _oldest_delivery() -> float:
    waiting = Delivery.objects.filter(status=Delivery.Status.WAITING)
    return _age(waiting.aggregate(oldest=Min("created_at"))["oldest"])


def _dead_deliveries() -> float:
    return Delivery.objects.filter(status=Delivery.Status.DEAD).count()


def _refused_deliveries() -> float:
    return Delivery.objects.filter(status=Delivery.Status.REFUSED).count()


def _sent() -> float:
    return Delivery.objects.filter(sent_at__gt=timezone.now() - timedelta(hours=1)).count()


def _age(moment: datetime | None) -> float:
    return max(0.0, (timezone.now() - moment).total_seconds()) if moment else 0.0


FIGURES: list[tuple[str, str, Callable[[], float]]] = [
    ("outbox_undone", "Events whose listeners have not all run", _undone),
    ("outbox_oldest_age_seconds", "Age of the oldest of them", _oldest_event),
    ("outbox_dead", "Events given up after too many tries", _dead_events),
    ("history_signed_head_age_seconds", "Since history's heads were last signed", lambda: age(sealing.PERIODIC_RUN)),
    ("deliveries_waiting", "Messages that have still to leave", _waiting),
    ("deliveries_oldest_age_seconds", "Age of the oldest of them", _oldest_delivery),
    ("deliveries_dead", "Messages given up after too many tries", _dead_deliveries),
    ("deliveries_refused", "Messages that the recipient's server does not want", _refused_deliveries),
    ("deliveries_sent_last_hour", "Messages that left within the last hour", _sent),
]


def figures() -> bytes:
    """Return the metrics as Prometheus reads them; only `database_answers 0` while the database does not answer."""
    registry = CollectorRegistry()
    registry.register(_Figures())
    return generate_latest(registry)


class _Figures(Collector):
    """A collector that reads the database each time. The library's gauges would be stale, and kept by each process."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        meaning = "1 if these metrics could be read from the database"
        try:
            found = [GaugeMetricFamily(name, meaning, value=figure()) for name, meaning, figure in FIGURES]
        except Error as error:
            if outages.caused_by(error) is None:
                raise
            yield GaugeMetricFamily("database_answers", meaning, value=0)
        else:
            yield GaugeMetricFamily("database_answers", meaning, value=1)
            yield from found
