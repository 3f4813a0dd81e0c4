"""One thing done to many subscriptions: one request creates a job, and a worker carries out row by row."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from math import inf

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from associations.jobs.actions.rows import MOST, Pair, too_many_rows
from associations.jobs.actions.running import RIGHTS, Run
from associations.jobs.events import JobEvent
from associations.jobs.models import Job, JobRow
from associations.record.rules import NOTE_LENGTH
from por.accounts.models import Actor
from por.db.locks import Held, advisory_lock
from por.errors import NotFound, Refused
from por.history.actions import recording as history
from por.ops.logs import Cause, request_id
from por.queue.wake import Wake
from por.queue.work import Queue

logger = logging.getLogger(__name__)

#: Wakes the worker that runs jobs after a commit.
wake = Wake()


@transaction.atomic
def request(pairs: Sequence[Pair], *, dry_run: bool, by: Actor, action: str = Job.Action.ATTACH) -> Job:
    """Create a job with these rows for a worker; return it. Raises Forbidden, or Refused on `rows`."""
    by.require(RIGHTS[Job.Action(action)])
    if not pairs:
        raise Refused("no_rows", _("There are no rows to send. Add at least one row."), field="rows")
    if len(pairs) > MOST:
        raise too_many_rows()
    if long := next((number for number, pair in enumerate(pairs, 1) if len(pair.reason) > NOTE_LENGTH), None):
        message = _("The reason in row %(row)s is too long. It can have up to %(most)s characters.")
        raise Refused("reason_too_long", message % {"row": long, "most": NOTE_LENGTH}, field="rows")
    assert by.organisation is not None
    assert by.user is not None
    job = Job.objects.create(
        organisation=by.organisation,
        asked_by=by.user,
        action=action,
        dry_run=dry_run,
        total=len(pairs),
        request_id=request_id.get(),
    )
    JobRow.objects.bulk_create(
        JobRow(
            job=job,
            row=number,
            subscription_id=pair.subscription_id[:64],
            mpn_id=pair.mpn_id[:64],
            tenant_id=pair.tenant_id[:64],
            reason=pair.reason,
        )
        for number, pair in enumerate(pairs, 1)
    )
    wake.after_commit()
    about = history.ObjectRef("job", str(job.pk), "")
    changes = {"rows": job.total, "dry_run": dry_run, "action": str(job.action)}
    history.record(JobEvent.REQUESTED, about, by=by, at=timezone.now(), chain=by.organisation_id, changes=changes)
    return job


@transaction.atomic
def apply_tried(job_id: int, *, by: Actor) -> Job:
    """Create a job that carries out the rows of a completed dry run; return it. Raises Forbidden or Refused."""
    tried = Job.objects.visible_to(by).filter(pk=job_id, dry_run=True, status=Job.Status.DONE).first()
    if tried is None:
        raise Refused("not_tried", _("You can only carry out the rows of a completed dry run."))
    rows = tried.rows.order_by("row").values_list(*Pair._fields)
    return request([Pair(*row) for row in rows], dry_run=False, by=by, action=tried.action)


def absent() -> NotFound:
    """Return the refusal for a job that does not exist, and the same for one the actor may not see."""
    return NotFound("not_found", _("This job does not exist, or you do not have access to it."))


# --- In the worker --------------------------------------------------------------------------------------------------


class Jobs(Queue[Job]):
    """The jobs whose rows are not all done. A job takes minutes, so its worker holds a lock instead of a lease.

    Each row is done in its own transaction, so a job whose worker died goes on where it stopped, and a try needs no
    count.
    """

    run_for = inf

    def __init__(self) -> None:
        self.rows = 0
        self.held: Held | None = None

    def take(self) -> Generator[list[Job], None, None]:
        for job in Job.objects.unfinished().order_by("pk").select_related("organisation", "asked_by"):
            with advisory_lock("job", [job.pk]) as self.held:
                job.refresh_from_db(fields=["status"])
                if self.held and not job.is_over:
                    started_at = job.started_at or timezone.now()
                    Job.objects.filter(pk=job.pk).update(status=Job.Status.RUNNING, started_at=started_at)
                    yield [job]

    def cause_of(self, row: Job) -> Cause:
        return Cause(row.request_id, row.asked_by_id, row.organisation_id)

    def work(self, row: Job) -> None:
        with translation.override(row.asked_by.language):
            self.rows += Run(row).through(self._check_held)
        _end(row, Job.Status.DONE)

    def _check_held(self) -> None:
        """Stop before a row that another worker may do by now."""
        if self.held:
            self.held.check()

    def give_back(self, row: Job) -> None:
        """Do nothing: the rows that are left wait."""

    def fail(self, row: Job, error: Exception) -> None:
        logger.exception("Job %s failed.", row.pk)
        _end(row, Job.Status.FAILED)


def run_jobs() -> int:
    """Do what is left of every job that no other worker does; return how many rows were done."""
    jobs = Jobs()
    jobs.run()
    return jobs.rows


def _end(job: Job, status: Job.Status) -> None:
    Job.objects.filter(pk=job.pk).update(status=status, ended_at=timezone.now())
