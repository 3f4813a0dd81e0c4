"""Doorbells: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from por.history import actions

#: A burst of commits in one process rings once in this many seconds; whoever comes takes all that is due anyway.
RING_EVERY = 0.5


class Bell:
    """Rings a task after a commit. What falls into the pause after a ring is found by the clock's next round."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.rung_at = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self.rung_at >= RING_EVERY:
            self.rung_at = now
            self.task.delay()


@shared_task
def relay() -> None:
    """Tells the listeners of what is due: rung after commits, and every few seconds by the clock."""
    actions.relay()
