"""How a worker carries out the rows of a job."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from associations.attaching.actions.attach import attach_once, remove
from associations.change_requests.actions import answer
from associations.change_requests.models import ChangeRequest
from associations.jobs.actions.ids import Ids
from associations.jobs.actions.inviting import Inviting
from associations.jobs.actions.rows import NEITHER
from associations.jobs.models import Job, JobRow
from por.accounts.models import Actor, Membership
from por.accounts.rules import Right
from por.directory import actions as directory
from por.directory.rules import normal_mpn_id
from por.errors import Locked, RateLimited, Refused
from por.web.filters import several_begin

#: The most different MPN IDs in a job that no partner has, and subscriptions to invite for that are not the customer's.
#: Each of these MPN IDs is a Check ID.
UNKNOWN = 20
#: How often a row is tried whose subscription is locked by someone else.
TRIES = 3
#: What the person who asks for a job must be allowed to do, by its action.
RIGHTS = {
    Job.Action.ATTACH: Right.ATTACH_MANY,
    Job.Action.REMOVE: Right.ATTACH_MANY,
    Job.Action.ANSWER: Right.ATTACH_MANY,
    Job.Action.INVITE: Right.INVITE,
}


class _Undone(Exception):
    """Rolls back a row of a dry run."""


#: The codes of rows that were refused before their partner was looked for.
_NOT_LOOKED_FOR = frozenset(
    {
        *("no_right", "subscription_id_malformed", "subscription_id_ambiguous", "subscription_twice", "not_found"),
        *("busy", "too_many_unknown", "mpn_id_malformed", "partner_not_found"),
    }
)


class Run:
    """One worker's run through a job, on behalf of the person who asked for it, with the role they have now.

    What it remembers of the rows before follows from the rows and their outcomes alone, so a run that goes on after a
    crash ends like one without.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        member = Membership.objects.usable().filter(user=job.asked_by_id, organisation=job.organisation_id).first()
        role = member.role if member else ""
        self.actor = Actor(user=job.asked_by, organisation=job.organisation, role=role or "none")
        self.rows = list(job.rows.order_by("row"))
        self.ids = Ids(self.actor, self.rows)
        self.first: dict[uuid.UUID, int] = {}
        for row in self.rows:
            if len(meant := self.ids.subscription(row)) == 1:
                self.first.setdefault(meant[0], row.row)
        self.found: set[str] = set()
        self.unknown: set[str] = set()
        self.is_probing = False
        for row in self.rows:
            if row.outcome:
                self._remember(row)
        self.inviting = Inviting(self.actor, self.rows, self.ids, self.first)

    def through(self, before_each: Callable[[], None]) -> int:
        """Do the rows that are left; return how many there were. `before_each` may stop it."""
        count = 0
        for row in self.rows:
            if row.outcome:
                continue
            before_each()
            try:
                done = self._try(row)
            except Refused as refused:
                done = [row]
                self._refuse(row, refused)
            for one in done:
                self._remember(one)
            count += len(done)
        return count

    def _refuse(self, row: JobRow, refused: Refused) -> None:
        """Save why a row was refused and, in the same transaction, the Check IDs that it counts as."""
        mpn_id = _normal(row)
        with transaction.atomic():
            if refused.code == "partner_not_found" and mpn_id not in self.unknown:
                refused = self._note_unknown(mpn_id) or refused
            elif refused.code == "subscription_not_found" and len(self.unknown) >= UNKNOWN:
                refused = _too_many(self.job)
            row.outcome, row.code, row.detail = "refused", refused.code, str(refused.message)
            self._note_found(row)
            row.save(update_fields=["outcome", "code", "detail"])

    def _remember(self, row: JobRow) -> None:
        """Take the outcome of a row into account for those that follow."""
        if row.code == "partner_not_found":
            self.unknown.add(_normal(row))
        elif row.code == "subscription_not_found":
            self.unknown.add(row.subscription_id)
        elif row.code == "too_many_unknown":
            self.is_probing = True
        elif row.code not in _NOT_LOOKED_FOR:
            self.found.add(_normal(row))

    def _try(self, row: JobRow) -> list[JobRow]:
        """Carry out a row, and try a few times if its subscription is locked; return what is done. Raises Refused."""
        self.actor.require(RIGHTS[Job.Action(self.job.action)])
        meant = self.ids.subscription(row)
        if len(meant) > 1:
            raise Refused("subscription_id_ambiguous", several_begin(row.subscription_id))
        if not meant:
            raise Refused("subscription_id_malformed", _("This is not a valid subscription ID."))
        if self.first[meant[0]] != row.row:
            raise Refused(
                "subscription_twice",
                _("An earlier row already has this subscription. Include each subscription only once."),
            )
        for _try in range(TRIES - 1):
            try:
                return self._carry_out(row, meant[0])
            except Locked:
                continue
        return self._carry_out(row, meant[0])

    def _carry_out(self, row: JobRow, subscription_id: uuid.UUID) -> list[JobRow]:
        """Carry out a row, and save its outcome in the same transaction; return what is done. Raises Refused."""
        if self.job.action in {Job.Action.ATTACH, Job.Action.INVITE} and self.is_probing:
            raise _too_many(self.job)
        if self.job.action == Job.Action.ATTACH and _normal(row) in self.unknown:
            raise directory.refusal("partner_not_found")
        done: list[JobRow] = []
        try:
            with transaction.atomic():
                done = self._do(row, subscription_id)
                if self.job.dry_run:
                    raise _Undone
                _save(done)
        except _Undone:
            with transaction.atomic():
                self._note_found(row)
                _save(done)
        return done

    def _do(self, row: JobRow, subscription_id: uuid.UUID) -> list[JobRow]:
        """Do what a row says, and set its outcome; return it, with those that were done together. Raises Refused."""
        match self.job.action:
            case Job.Action.INVITE:
                return self.inviting.invite(row, is_trial=self.job.dry_run)
            case Job.Action.REMOVE:
                row.outcome = self._remove(row, subscription_id)
            case Job.Action.ANSWER:
                row.outcome = self._answer(row, subscription_id)
            case _:
                row.outcome = str(attach_once(subscription_id, _normal(row), by=self.actor).outcome)
        return [row]

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
            return _too_many(self.job)
        try:
            directory.note_unknown(mpn_id, by=self.actor, of_job=True)
        except RateLimited:
            return _too_many(self.job)
        return None

    def _note_found(self, row: JobRow) -> None:
        """Count a partner that a dry run has found for the first time as a Check ID."""
        mpn_id = _normal(row)
        is_tried = self.job.dry_run and self.job.action == Job.Action.ATTACH
        if is_tried and row.code not in _NOT_LOOKED_FOR and mpn_id not in self.found:
            directory.note_found(mpn_id, by=self.actor)


def _normal(row: JobRow) -> str:
    return normal_mpn_id(row.mpn_id) or row.mpn_id


def _save(rows: Iterable[JobRow]) -> None:
    for row in rows:
        row.save(update_fields=["outcome", "invitation"])


def _too_many(job: Job) -> Refused:
    """Return the refusal for the rows after too many that name what is unknown."""
    if job.action == Job.Action.INVITE:
        message = _(
            "Too many IDs in this file do not belong to their customers. Check them, then send the remaining rows "
            "again."
        )
    else:
        message = _(
            "Too many MPN IDs in this file do not belong to any partner. Check them, then send the remaining "
            "rows again."
        )
    return Refused("too_many_unknown", message)
