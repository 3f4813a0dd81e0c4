"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from por.db import outages
from por.notifications.actions import delivering, digests


@shared_task
def deliver() -> None:
    """Send the mail that is due: woken when there is some, and started every few seconds by the clock."""
    with outages.tolerate_outage():
        delivering.deliver()


@shared_task
def put_digests_together() -> None:
    """Make the digests that are due: started every minute; the notifications have the time at which one is due."""
    with outages.tolerate_outage():
        digests.put_together()
