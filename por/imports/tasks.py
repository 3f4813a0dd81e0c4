"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task

from por.db import outages
from por.imports.actions import running
from por.queue.periodic import due

#: Seconds. A large estate takes longer than the limit of other tasks. An import that is cut off is run again.
LONGEST = 12 * 3600


@shared_task(soft_time_limit=LONGEST, time_limit=LONGEST + 60, acks_late=False)
def run() -> None:
    """Run the waiting imports: woken when there is one, and started every few seconds by the clock.

    The message is acknowledged at once: brokers send one again, or end the connection, that takes longer than minutes.
    """
    with outages.tolerate_outage():
        running.run()


@shared_task
def forget() -> None:
    """Delete uploads that no import needs: started every minute, done every hour."""
    with outages.tolerate_outage(), due("forget-uploads", timedelta(hours=1)) as mine:
        if mine:
            running.forget_unneeded()
            running.forget_rejected()
