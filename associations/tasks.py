"""Doorbells: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from associations import actions
from por import faults


@shared_task
def keep_time() -> None:
    """Closes and reminds of what is due: rung every minute."""
    with faults.passing():
        actions.run_scheduled()


@shared_task
def run_jobs() -> None:
    """Goes through the rows that wait: rung when there are some, and every few seconds by the clock."""
    with faults.passing():
        actions.run_jobs()
