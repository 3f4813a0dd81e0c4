"""Doorbells: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from por import faults
from por.notifications import actions
from por.notifications.actions import digests


@shared_task
def deliver() -> None:
    """Sends the mail that is due: rung when there is some, and every few seconds by the clock."""
    with faults.passing():
        actions.deliver()


@shared_task
def put_digests_together() -> None:
    """Makes the digests that are due: rung every minute; when one is due stands in its lines."""
    with faults.passing():
        digests.put_together()
