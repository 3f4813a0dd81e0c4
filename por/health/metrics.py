"""Figures that stand in the database: what still has to leave the house, and what never will by itself."""

from __future__ import annotations

from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from por.history.models import Outbox
from por.notifications.models import Delivery


def figures() -> bytes:
    """As Prometheus reads them; two queries."""
    outbox = Outbox.objects.filter(done_at=None).aggregate(
        undone=Count("pk", filter=Q(dead_at=None)),
        oldest=Min("event__at", filter=Q(dead_at=None)),
        dead=Count("pk", filter=Q(dead_at__isnull=False)),
    )
    deliveries = Delivery.objects.filter(status__in=[Delivery.Status.WAITING, Delivery.Status.DEAD]).aggregate(
        waiting=Count("pk", filter=Q(status=Delivery.Status.WAITING)),
        dead=Count("pk", filter=Q(status=Delivery.Status.DEAD)),
    )
    oldest = outbox["oldest"]
    age = max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0
    registry = CollectorRegistry()
    for name, meaning, value in (
        ("outbox_undone", "Events whose listeners have still to be told", outbox["undone"]),
        ("outbox_oldest_age_seconds", "Age of the oldest of them", age),
        ("outbox_dead", "Events given up after too many tries", outbox["dead"]),
        ("deliveries_waiting", "Messages that have still to leave", deliveries["waiting"]),
        ("deliveries_dead", "Messages given up after too many tries", deliveries["dead"]),
    ):
        Gauge(name, meaning, registry=registry).set(value)
    return generate_latest(registry)
