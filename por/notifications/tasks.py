"""Doorbells: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

import time

from celery import shared_task

from por.history.tasks import RING_EVERY
from por.notifications import actions

_rung_at = 0.0


@shared_task
def deliver() -> None:
    """Sends the mail that is due: rung when there is some, and every few seconds by the clock."""
    actions.deliver()


def ring() -> None:
    global _rung_at
    now = time.monotonic()
    if now - _rung_at >= RING_EVERY:
        _rung_at = now
        deliver.delay()
