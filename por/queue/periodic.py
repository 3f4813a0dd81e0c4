"""Periodic runs. A row says when each was last done, so a clock that stops, or fires twice, does no harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import inf

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from por.queue.models import PeriodicRun


@contextmanager
def due(name: str, every: timedelta) -> Iterator[bool]:
    """Yield whether the run is due and no other worker does it; it is done once the block ends without an error.

    The block is one transaction. It must be asked more often than the run is due. If no one asked for hours, the run
    is done once. If it fails, it is tried again the next time. The clock is the database's, which all workers share.
    """
    PeriodicRun.objects.get_or_create(name=name)
    with transaction.atomic():
        # A time far ahead was written by a clock that has been corrected since.
        late = Q(done_at=None) | Q(done_at__lte=Now() - every) | Q(done_at__gt=Now() + every)
        mine = PeriodicRun.objects.filter(late, name=name).select_for_update(skip_locked=True).first()
        yield mine is not None
        if mine:
            mine.done_at = Now()
            mine.save(update_fields=["done_at"])


def age(name: str) -> float:
    """Return the seconds since the run was last done; infinity if it never was."""
    done_at = PeriodicRun.objects.filter(name=name).values_list("done_at", flat=True).first()
    return max(0.0, (timezone.now() - done_at).total_seconds()) if done_at else inf
