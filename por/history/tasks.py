"""Doorbells: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

import time

from celery import shared_task

from por.history import actions

_rung_at = 0.0
#: A burst of commits in one process rings once in this many seconds; the relay takes all that is due anyway.
RING_EVERY = 0.05


@shared_task
def relay() -> None:
    """Tells the listeners of what is due: rung after commits, and every few seconds by the clock."""
    actions.relay()


def ring() -> None:
    global _rung_at
    now = time.monotonic()
    if now - _rung_at >= RING_EVERY:
        _rung_at = now
        relay.delay()
