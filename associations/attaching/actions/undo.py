"""Undoing the customer's last attach, removal, answer or move of a start."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.attaching.actions.moving import moved
from associations.attaching.events import AttachEvent
from associations.attaching.moving_events import MoveEvent
from associations.change_requests import actions as change_requests
from associations.change_requests.queries import last_change
from associations.record import actions as record
from associations.record import describing, locking, recording
from associations.record.models import Association
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.errors import Refused


@transaction.atomic
def undo(subscription_id: uuid.UUID, *, by: Actor, version: int | None = None) -> Association | None:
    """Take back the customer's last change of the record; return the association in force after it.

    An attach is struck and counts for nothing; a removal reopens the same association, and the change request that it
    cancelled; an answer does both, and its change request is open again. Switching to another partner at once is undone
    like an answer, but no change request is open after it, as none was before. A start that was moved is where it was.
    An undo cannot be undone. Raises NotFound, Forbidden, VersionConflict, Locked, `nothing_to_undo`, `undo_too_late`,
    `slot_taken`, `subscription_expired`, `partner_closed` or `partner_is_global`.
    """
    subscription = locking.locked(subscription_id, Right.UNDO, by=by, version=version)
    of_record, requests = locking.all_associations(subscription), change_requests.requests_of(subscription)
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
    if last.request is not None and last.what == "switched":
        change_requests.take_back_switch(last.request, by=by, at=now)
    elif last.request is not None:
        answered = last.association.partner if last.request.chosen_id else None
        change_requests.ask_again(last.request, answered, by=by, at=now)
    elif last.redated is not None:
        _move_start_back(last.redated, of_record, subscription, by=by, at=now)
    elif last.what == "moved" and last.struck is not None and last.ended is not None:
        recording.record_event(
            MoveEvent.MOVE_UNDONE,
            subscription,
            by=by,
            at=now,
            association=last.struck,
            parties=[last.ended.partner_id],
            changes=moved(last.ended, last.struck),
        )
    else:
        verb = AttachEvent.REMOVAL_UNDONE if last.struck is None else AttachEvent.ATTACH_UNDONE
        recording.record_event(verb, subscription, by=by, at=now, association=last.association)
        if last.cancelled is not None:
            change_requests.reopen_cancelled(last.cancelled, by=by, at=now)
    if last.request is not None:
        describing.describe([one.pk for one in (last.struck, last.ended) if one is not None], in_request=True)
    return last.ended or last.kept or last.redated


def _move_start_back(
    redated: Association, of_record: Iterable[Association], subscription: Subscription, *, by: Actor, at: datetime
) -> None:
    """Let the association begin when it did before. Raises Refused if a file has filled that time since."""
    others = (one for one in of_record if one.pk != redated.pk and one.undone_at is None)
    began_at = redated.began_at_before
    if began_at is None or any(one.ended_at is not None and one.ended_at > began_at for one in others):
        raise Refused("slot_taken", _("You cannot undo this because another partner is now the partner of record."))
    before = {"began_at_before": redated.began_at.isoformat()}
    record.move_start_back(redated, at=at)
    recording.record_event(AttachEvent.DATING_UNDONE, subscription, by=by, at=at, association=redated, changes=before)


def _check_can_reopen(ended: Association, others: Iterable[Association], subscription: Subscription) -> None:
    """Raise Refused if the association cannot go on, because of what has happened since it ended."""
    if locking.current(others) is not None:
        raise Refused("slot_taken", _("You cannot undo this because another partner is now the partner of record."))
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("You cannot undo this because the subscription has expired."))
    partner = directory.locked(ended.partner_id)
    if partner.status == Partner.Status.CLOSED:
        raise Refused("partner_closed", _("You cannot undo this because the partner’s account has been closed."))
    if partner.kind == Partner.Kind.GLOBAL:
        raise Refused("partner_is_global", directory.MESSAGES["partner_is_global"])
