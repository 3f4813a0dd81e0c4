"""Metrics that are read from the database: what waits to be sent, and what was given up.

Each is one look at an index that holds only what waits, what went wrong or what has just been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import Error
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from por.db import outages

_figures: list[tuple[str, str, Callable[[], float]]] = []


def register(name: str, meaning: str, read: Callable[[], float]) -> None:
    """Let /metrics show a figure that a room reads from its tables."""
    _figures.append((name, meaning, read))


def age(moment: datetime | None) -> float:
    """Return the seconds since a moment; 0 if there is none."""
    return max(0.0, (timezone.now() - moment).total_seconds()) if moment else 0.0


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
            found = [GaugeMetricFamily(name, meaning, value=figure()) for name, meaning, figure in _figures]
        except Error as error:
            if outages.caused_by(error) is None:
                raise
            yield GaugeMetricFamily("database_answers", meaning, value=0)
        else:
            yield GaugeMetricFamily("database_answers", meaning, value=1)
            yield from found
