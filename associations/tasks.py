"""Scheduled work, run every minute, and the jobs."""

from __future__ import annotations

from collections.abc import Callable

from celery import shared_task

from associations.attaching.actions.ending import end_due
from associations.change_requests.actions import expire_and_remind
from associations.invitations.actions import expire_invitations
from associations.jobs.actions import bulk
from associations.legacy_forms.actions import remind_of_forms
from associations.record import checking, sums
from associations.renewals.actions import give_notice_of_renewals
from por.db import outages
from por.db.locks import advisory_lock

#: What is due in the rooms above this one. Each returns how many things it has done.
also_due: list[Callable[[], int]] = []


def run_scheduled() -> int:
    """Do everything that is due, once, however late or often this is called; return how many things were done."""
    with advisory_lock("keep time") as mine:
        if not mine:
            return 0
        done = end_due() + expire_and_remind() + expire_invitations() + give_notice_of_renewals() + remind_of_forms()
        return done + sum(act() for act in also_due)


@shared_task
def keep_time() -> None:
    """Close what is due and send reminders."""
    with outages.tolerate_outage():
        run_scheduled()


@shared_task
def run_jobs() -> None:
    """Do the rows that wait. A new job wakes this task, and the schedule runs it every few seconds."""
    with outages.tolerate_outage():
        bulk.run_jobs()


@shared_task
def keep_sums() -> None:
    """Count the sums of usage anew that are old. Without them, pages show the same figures but take longer."""
    with outages.tolerate_outage():
        sums.keep_sums()


@shared_task
def check_associations() -> None:
    """Compare associations with their events: asked every minute, done every hour."""
    with outages.tolerate_outage():
        checking.check()
