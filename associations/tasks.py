"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from associations import actions
from por import faults


@shared_task
def keep_time() -> None:
    """Close what is due and send reminders: asked every minute."""
    with faults.tolerate_outage():
        actions.run_scheduled()


@shared_task
def run_jobs() -> None:
    """Do the rows that wait: woken when there are some, and every few seconds by the clock."""
    with faults.tolerate_outage():
        actions.run_jobs()
