"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from celery import shared_task

from competencies import actions
from por.db import outages

#: Seconds. On a machine that is very busy, one batch takes longer than the limit of other tasks, and would never end.
LONGEST = 1800


@shared_task(soft_time_limit=LONGEST, time_limit=LONGEST + 60, acks_late=False)
def recompute() -> None:
    """Compute the competencies of the companies that wait: woken when there are some, and by the clock.

    The message is acknowledged at once, because brokers send a long one again. The rows wait anyway.
    """
    with outages.tolerate_outage():
        actions.run()


@shared_task
def recompute_all() -> None:
    """Begin the rounds that are due: asked every minute, done every day and after new rules."""
    with outages.tolerate_outage():
        actions.run_after_new_rules()
        actions.run_nightly()
