"""Undoing the customer's last attach, removal or answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.actions import changing
from associations.models import Association, ChangeRequest
from associations.record import actions as record
from associations.record import locking, recording
from associations.rules import ChangeStatus, EndReason, Source, policy_on
from por.accounts.models import Actor
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.errors import Refused


@transaction.atomic
def undo(subscription_id: uuid.UUID, *, by: Actor, version: int | None = None) -> Association | None:
    """Take back the customer's last attach, removal or answer, within the policy's time; return who is of record now.

    An attach is struck and counts for nothing; a removal reopens the same association; an answer does both, and its
    change request is open again. An undo cannot be undone. Raises Absent, Forbidden, Stale, Busy, `nothing_to_undo`,
    `undo_too_late`, `slot_taken`, `subscription_expired` or `partner_closed`.
    """
    subscription = locking.locked(subscription_id, "record.undo", by=by, version=version)
    of_record, requests = locking.all_associations(subscription), changing.requests_of(subscription)
    now = locking.next_instant(of_record, requests)
    last = last_change(of_record, requests)
    if last is None:
        raise Refused("nothing_to_undo", _("There is nothing to undo."))
    if now > last.undo_until:
        raise Refused("undo_too_late", _("It is too late to undo this. You can still attach or remove a partner."))
    if last.struck is not None:
        record.strike(last.struck, at=now)
    if last.ended is not None:
        _check_can_reopen(last.ended, [one for one in of_record if one is not last.struck], subscription)
        record.reopen(last.ended, at=now)
    if last.request is not None:
        answered = last.association.partner if last.request.chosen_id else None
        changing.ask_again(last.request, answered, by=by, at=now)
    else:
        verb = "partner_of_record.removal_undone" if last.struck is None else "partner_of_record.attach_undone"
        recording.record_event(verb, subscription, by=by, at=now, association=last.association)
    return last.ended or last.kept


def _check_can_reopen(ended: Association, others: Iterable[Association], subscription: Subscription) -> None:
    """Raise Refused if something that has happened since keeps the association from going on."""
    if locking.current(others) is not None:
        raise Refused("slot_taken", _("You cannot undo this because another partner is now the partner of record."))
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("You cannot undo this because the subscription has expired."))
    if directory.locked(ended.partner_id).status == Partner.Status.CLOSED:
        raise Refused("partner_closed", _("You cannot undo this because the partner’s account has been closed."))


class LastChange(NamedTuple):
    """The customer's last attach, removal or answer that was not undone, and what it did to the record.

    `struck` is the association it began, `ended` the one it ended, `kept` the one that an answer left of record.
    """

    what: Literal["attached", "removed", "answered"]
    at: datetime
    struck: Association | None = None
    ended: Association | None = None
    kept: Association | None = None
    request: ChangeRequest | None = None

    @property
    def association(self) -> Association:
        """The association it was about; for an answer, that of the partner it named, if it named one."""
        found = self.struck or self.kept or self.ended
        assert found is not None
        return found

    @property
    def undo_until(self) -> datetime:
        return self.at + policy_on(self.at.date()).undo_within


#: How the customer itself attaches a partner, in one step that can be undone.
BY_CUSTOMER = {Source.CUSTOMER, Source.INVITATION}


def last_change(of_record: Sequence[Association], requests: Sequence[ChangeRequest]) -> LastChange | None:
    """Return what undo would take back, given all that a subscription ever had of both, the undone ones too.

    While a change request is open this is None: it can be answered either way.
    """
    if any(request.status == ChangeStatus.OPEN for request in requests):
        return None
    by_key = {one.pk: one for one in of_record}
    answers = [_answer(request, by_key) for request in requests if request.status == ChangeStatus.ANSWERED]
    answered_at = {answer.at for answer in answers}
    changes = [
        *answers,
        *(
            LastChange("attached", one.attached_at, struck=one)
            for one in of_record
            if one.source in BY_CUSTOMER and one.undone_at is None
        ),
        *(
            LastChange("removed", one.ended_at, ended=one)
            for one in of_record
            if one.ended_at
            and one.ended_at not in answered_at
            and one.end_reason == EndReason.REMOVED
            and one.undone_at is None
        ),
    ]
    last = max(changes, key=lambda change: change.at, default=None)
    undone = (
        *(moment for one in of_record for moment in (one.undone_at, one.reopened_at)),
        *(request.reopened_at for request in requests),
    )
    if last is None or any(moment is not None and moment > last.at for moment in undone):
        return None
    open_since = last.struck or last.kept
    if open_since is not None and open_since.ended_at is not None:
        return None  # it has ended since, and not by the customer
    if last.what == "answered" and last.ended is not None and last.ended.ended_at != last.at:
        return None  # a file has changed it since
    return last


def _answer(request: ChangeRequest, by_key: dict[int, Association]) -> LastChange:
    incumbent = by_key[request.incumbent_id]
    made = by_key[request.made_id] if request.made_id else None
    stayed = request.chosen_id == incumbent.partner_id
    assert request.closed_at is not None
    return LastChange(
        "answered",
        request.closed_at,
        struck=made,
        ended=None if stayed else incumbent,
        kept=incumbent if stayed else None,
        request=request,
    )
