"""A doorbell: takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from por import faults
from por.notifications import actions


@shared_task
def deliver() -> None:
    """Sends the mail that is due: rung when there is some, and every few seconds by the clock."""
    with faults.passing():
        actions.deliver()
