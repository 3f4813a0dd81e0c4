"""Tasks: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from celery import shared_task

from associations.claims.actions import examining
from por.db import outages
from por.errors import Unavailable
from por.queue.periodic import due

#: Seconds. A scanner may be silent for a minute, and a batch has twenty files.
LONGEST = 1800


@shared_task(soft_time_limit=LONGEST, time_limit=LONGEST + 60, acks_late=False)
def examine_proofs() -> None:
    """Scan uploaded files and draw their pages: woken when there are some, and started every few seconds."""
    with outages.tolerate_outage():
        examining.examine()


@shared_task
def remove_unnamed_files() -> None:
    """Remove files of proofs that no row names: started every minute, done every hour."""
    with suppress(Unavailable), outages.tolerate_outage(), due("remove-unnamed-files", timedelta(hours=1)) as mine:
        if mine:
            examining.remove_unnamed()
