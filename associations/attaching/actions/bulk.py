"""Attaching, removing and answering many: one request creates a job, and a worker carries out row by row."""

from __future__ import annotations

import csv
import io
import logging
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from associations.attaching.actions.attach import attach_once, remove
from associations.attaching.events import AttachEvent
from associations.attaching.models import Job, JobRow
from associations.change_requests.actions import answer
from associations.change_requests.models import ChangeRequest
from associations.record.rules import NOTE_LENGTH
from por.accounts.models import Actor, Membership
from por.accounts.rules import Right
from por.db.locks import Held, advisory_lock
from por.db.storing import is_unstorable
from por.directory import actions as directory
from por.directory.rules import normal_mpn_id
from por.errors import Locked, NotFound, RateLimited, Refused
from por.history.actions import recording as history
from por.ops.logs import Cause, request_id
from por.queue.wake import Wake
from por.queue.work import Queue

logger = logging.getLogger(__name__)

#: The most rows of a job, and the most different MPN IDs in it that no partner has. Each of these is a Check ID.
MOST, UNKNOWN = 1000, 20
#: The columns that the rows of each action need. A reason may stand beside them, but for attaching.
COLUMNS = {
    Job.Action.ATTACH: ("subscription_id", "mpn_id"),
    Job.Action.REMOVE: ("subscription_id",),
    Job.Action.ANSWER: ("subscription_id", "mpn_id"),
}
#: What stands in place of an MPN ID for the answer that neither partner does the work.
NEITHER = "neither"
#: The most lines of its file, blank ones and those of long cells included, and the most columns.
LINES, WIDEST = 10 * MOST, 100
#: How often a row is tried whose subscription is locked by someone else.
TRIES = 3

#: Wakes the worker that runs jobs after a commit.
wake = Wake()


class Pair(NamedTuple):
    """A row as it was sent."""

    subscription_id: str
    mpn_id: str = ""
    reason: str = ""


def pairs_from(text: str, action: str = Job.Action.ATTACH) -> list[Pair]:
    """Return the rows of a CSV with a header, separated by commas or semicolons. Raises Refused on `rows`."""
    lines = text.removeprefix("\ufeff").strip("\r\n").splitlines()
    header = lines[0] if lines else ""
    if len(lines) > LINES or header.count(",") + header.count(";") >= WIDEST:
        raise too_many_rows()
    reader = csv.DictReader(io.StringIO("\n".join(lines)), delimiter=";" if ";" in header else ",")
    try:
        names = {(name or "").strip().casefold(): name for name in reader.fieldnames or []}
        columns = COLUMNS[Job.Action(action)]
        if missing := [one for one in columns if one not in names]:
            message = _("The first line must contain the column names %(names)s. The column %(name)s is missing.")
            given = {"names": ", ".join(columns), "name": missing[0]}
            raise Refused("column_missing", message % given, field="rows")
        taken = [one for one in Pair._fields if one in columns or (one == "reason" and one in names)]
        pairs = [Pair(**{one: (row[names[one]] or "").strip() for one in taken}) for row in reader if any(row.values())]
    except csv.Error as error:
        raise Refused(
            "malformed_csv", _("We cannot read the rows as CSV. Check the format and try again."), field="rows"
        ) from error
    for number, pair in enumerate(pairs):
        for column, text in pair._asdict().items():
            if is_unstorable(text):
                message = _("Row %(row)s has a character in %(name)s that we cannot save. Remove it.")
                place = f"rows.{number}.{column}"
                raise Refused("not_storable", message % {"row": number + 1, "name": column}, field=place)
    return pairs


@transaction.atomic
def request(pairs: Sequence[Pair], *, dry_run: bool, by: Actor, action: str = Job.Action.ATTACH) -> Job:
    """Create a job with these rows for a worker; return it. Raises Forbidden, or Refused on `rows`."""
    by.require(Right.ATTACH_MANY)
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
            reason=pair.reason,
        )
        for number, pair in enumerate(pairs, 1)
    )
    wake.after_commit()
    about = history.ObjectRef("job", str(job.pk), "")
    changes = {"rows": job.total, "dry_run": dry_run, "action": str(job.action)}
    history.record(
        AttachEvent.BULK_REQUESTED, about, by=by, at=timezone.now(), chain=by.organisation_id, changes=changes
    )
    return job


@transaction.atomic
def apply_tried(job_id: int, *, by: Actor) -> Job:
    """Create a job that carries out the rows of a completed dry run; return it. Raises Forbidden or Refused."""
    by.require(Right.ATTACH_MANY)
    tried = Job.objects.visible_to(by).filter(pk=job_id, dry_run=True, status=Job.Status.DONE).first()
    if tried is None:
        raise Refused("not_tried", _("You can only carry out the rows of a completed dry run."))
    rows = tried.rows.order_by("row").values_list(*Pair._fields)
    return request([Pair(*row) for row in rows], dry_run=False, by=by, action=tried.action)


def too_many_rows() -> Refused:
    """Return the refusal for more rows than a job may have."""
    message = _("You can send up to %(most)s rows at a time. Split the file into smaller files.") % {"most": MOST}
    return Refused("too_many_rows", message, field="rows")


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
            self.rows += _Run(row).through(self._rows_of(row))
        _end(row, Job.Status.DONE)

    def _rows_of(self, job: Job) -> Iterator[JobRow]:
        """Yield the rows that are left, as long as no other worker can do them."""
        for row in job.rows.filter(outcome="").order_by("row"):
            if self.held:
                self.held.check()
            yield row

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


class _Undone(Exception):
    """Rolls back a row of a dry run."""


#: The codes of rows that were refused before their partner was looked for.
_NOT_LOOKED_FOR = frozenset(
    {
        *("no_right", "subscription_id_malformed", "subscription_twice", "not_found", "busy", "too_many_unknown"),
        *("mpn_id_malformed", "partner_not_found"),
    }
)


class _Run:
    """One worker's run through a job, on behalf of the person who asked for it, with the role they have now.

    What it remembers of the rows before follows from their outcomes alone, so a run that goes on after a crash ends
    like one without.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        member = Membership.objects.usable().filter(user=job.asked_by_id, organisation=job.organisation_id).first()
        role = member.role if member else ""
        self.actor = Actor(user=job.asked_by, organisation=job.organisation, role=role or "none")
        self.seen: set[uuid.UUID] = set()
        self.found: set[str] = set()
        self.unknown: set[str] = set()
        self.is_probing = False
        for row in job.rows.exclude(outcome="").order_by("row"):
            self._remember(row)

    def through(self, rows: Iterable[JobRow]) -> int:
        """Do these rows; return how many there were."""
        count = 0
        for row in rows:
            try:
                self._try(row)
            except Refused as refused:
                self._refuse(row, refused)
            self._remember(row)
            count += 1
        return count

    def _refuse(self, row: JobRow, refused: Refused) -> None:
        """Save why a row was refused and, in the same transaction, the Check IDs that it counts as."""
        mpn_id = _normal(row)
        with transaction.atomic():
            if refused.code == "partner_not_found" and mpn_id not in self.unknown:
                refused = self._note_unknown(mpn_id) or refused
            row.outcome, row.code, row.detail = "refused", refused.code, str(refused.message)
            self._note_found(row)
            row.save(update_fields=["outcome", "code", "detail"])

    def _remember(self, row: JobRow) -> None:
        """Take the outcome of a row into account for those that follow."""
        if (subscription_id := _guid(row)) is not None:
            self.seen.add(subscription_id)
        if row.code == "partner_not_found":
            self.unknown.add(_normal(row))
        elif row.code == "too_many_unknown":
            self.is_probing = True
        elif row.code not in _NOT_LOOKED_FOR:
            self.found.add(_normal(row))

    def _try(self, row: JobRow) -> None:
        """Carry out a row, and try a few times if its subscription is locked. Raises Refused."""
        self.actor.require(Right.ATTACH_MANY)
        subscription_id = _guid(row)
        if subscription_id is None:
            raise Refused("subscription_id_malformed", _("This is not a valid subscription ID."))
        if subscription_id in self.seen:
            raise Refused(
                "subscription_twice",
                _("An earlier row already has this subscription. Include each subscription only once."),
            )
        for _try in range(TRIES - 1):
            try:
                return self._carry_out(row, subscription_id)
            except Locked:
                continue
        return self._carry_out(row, subscription_id)

    def _carry_out(self, row: JobRow, subscription_id: uuid.UUID) -> None:
        """Carry out a row, and save its outcome in the same transaction. Raises Refused."""
        if self.job.action == Job.Action.ATTACH:
            if self.is_probing:
                raise _too_many()
            if _normal(row) in self.unknown:
                raise directory.refusal("partner_not_found")
        try:
            with transaction.atomic():
                row.outcome = self._outcome(row, subscription_id)
                if self.job.dry_run:
                    raise _Undone
                row.save(update_fields=["outcome"])
        except _Undone:
            with transaction.atomic():
                self._note_found(row)
                row.save(update_fields=["outcome"])

    def _outcome(self, row: JobRow, subscription_id: uuid.UUID) -> str:
        """Do what a row says; return its outcome. Raises Refused."""
        match self.job.action:
            case Job.Action.REMOVE:
                return self._remove(row, subscription_id)
            case Job.Action.ANSWER:
                return self._answer(row, subscription_id)
        return str(attach_once(subscription_id, _normal(row), by=self.actor).outcome)

    def _remove(self, row: JobRow, subscription_id: uuid.UUID) -> str:
        try:
            remove(subscription_id, by=self.actor, reason=row.reason)
        except Refused as refused:
            if refused.code != "no_partner_of_record":
                raise
            return "unchanged"
        return "removed"

    def _answer(self, row: JobRow, subscription_id: uuid.UUID) -> str:
        if not row.mpn_id:
            text = _("Enter the MPN ID of the partner who is doing the work, or “%(neither)s”.")
            raise Refused("answer_missing", text % {"neither": NEITHER})
        open_one = ChangeRequest.objects.visible_to(self.actor).open()
        request_id = open_one.filter(subscription__subscription_id=subscription_id).values_list("pk", flat=True).first()
        if request_id is None:
            raise Refused("no_change_request", _("No change request is open for this subscription."))
        chosen = None if row.mpn_id.casefold() == NEITHER else _normal(row)
        answer(request_id, chosen, by=self.actor, statement=row.reason)
        return "answered"

    def _note_unknown(self, mpn_id: str) -> Refused | None:
        """Count an unknown MPN ID as a Check ID: a job is no way around it. Return a refusal past its limits."""
        if len(self.unknown) >= UNKNOWN:
            return _too_many()
        try:
            directory.note_unknown(mpn_id, by=self.actor, of_job=True)
        except RateLimited:
            return _too_many()
        return None

    def _note_found(self, row: JobRow) -> None:
        """Count a partner that a dry run has found for the first time as a Check ID."""
        mpn_id = _normal(row)
        is_tried = self.job.dry_run and self.job.action == Job.Action.ATTACH
        if is_tried and row.code not in _NOT_LOOKED_FOR and mpn_id not in self.found:
            directory.note_found(mpn_id, by=self.actor)


def _guid(row: JobRow) -> uuid.UUID | None:
    """Return the ID of the subscription, however it is written; None if it is no GUID."""
    try:
        return uuid.UUID(row.subscription_id)
    except ValueError:
        return None


def _normal(row: JobRow) -> str:
    return normal_mpn_id(row.mpn_id) or row.mpn_id


def _too_many() -> Refused:
    return Refused(
        "too_many_unknown",
        _(
            "Too many MPN IDs in this file do not belong to any partner. Check them, then send the remaining "
            "rows again."
        ),
    )
