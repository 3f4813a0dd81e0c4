"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from competencies import actions
from por.db import outages


@shared_task
def recompute() -> None:
    """Compute the competencies of the companies that wait: woken when there are some, and by the clock."""
    with outages.tolerate_outage():
        actions.run()


@shared_task
def recompute_all() -> None:
    """Begin the rounds that are due: asked every minute, done every day and after new rules."""
    with outages.tolerate_outage():
        actions.run_after_new_rules()
        actions.run_nightly()
