"""Regular work is due by a row: a clock that was stopped, or that rings twice, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import inf

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from por.history.models import Round


@contextmanager
def due(name: str, every: timedelta) -> Iterator[bool]:
    """Whether a round is due and nobody else is at it. It is done once the block, one transaction, has ended well.

    Rung much more often than it is due, it is on time; after an hour without a ring it is made up for once; and
    one that fails is tried again at the next ring. The time is the database's, which all workers share.
    """
    Round.objects.get_or_create(name=name)
    with transaction.atomic():
        # A time far ahead was written by a clock that has been put right since.
        late = Q(done_at=None) | Q(done_at__lte=Now() - every) | Q(done_at__gt=Now() + every)
        mine = Round.objects.filter(late, name=name).select_for_update(skip_locked=True).first()
        yield mine is not None
        if mine:
            mine.done_at = Now()
            mine.save(update_fields=["done_at"])


def age(name: str) -> float:
    """Seconds since it was last done; without end if it never was."""
    done_at = Round.objects.filter(name=name).values_list("done_at", flat=True).first()
    return max(0.0, (timezone.now() - done_at).total_seconds()) if done_at else inf
