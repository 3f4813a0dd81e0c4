"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from por.db import outages
from por.history.actions import relaying, sealing
from por.queue.rules import LOADS_FOR


@shared_task
def relay() -> None:
    """Call the handlers of the events that are due: woken after commits, and every few seconds by the clock."""
    with outages.tolerate_outage():
        relaying.relay(LOADS_FOR)


@shared_task
def seal() -> None:
    """Sign the heads of the chains: asked every minute, done every hour."""
    sealing.seal()
