"""Attaching a partner of record, removing it, and taking either back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.actions import changing, unit
from associations.models import Association, ChangeRequest, start_of
from associations.rules import Cancellation, ChangeStatus, EndReason, Kind, Source, months_before, policy_on
from por.accounts.models import Actor
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.errors import Refused


class Attached(NamedTuple):
    """What attaching came to: a new association, the one that stood already, its start moved back, or a question.

    The association is that of whoever is of record now: where another partner is, it stays, and the customer is
    asked which of them is actually doing the work.
    """

    association: Association
    outcome: Literal["attached", "unchanged", "moved_back", "change_requested"]
    request: ChangeRequest | None = None


def attach(
    subscription_id: uuid.UUID,
    mpn_id: str,
    *,
    by: Actor,
    began_on: date | None = None,
    note: str = "",
    version: int | None = None,
) -> Attached:
    """Makes the partner with this MPN ID of record, from now or from the start of a UTC day up to 12 months back.

    Attaching the partner that is of record already changes nothing, or moves its start back. Where another one is,
    a change request is opened, or joined. `version`, if given, is the subscription's as the caller last saw it.
    Raises Absent, Forbidden, Stale, Busy or Refused.
    """
    try:
        return attach_once(subscription_id, mpn_id, by=by, began_on=began_on, note=note, version=version)
    except Refused as refused:
        if refused.code == "partner_not_found":
            directory.note_unknown(mpn_id, by=by)
        raise


@transaction.atomic
def attach_once(
    subscription_id: uuid.UUID,
    mpn_id: str,
    *,
    by: Actor,
    began_on: date | None = None,
    note: str = "",
    version: int | None = None,
) -> Attached:
    """The same for a caller that counts unknown IDs itself."""
    subscription = unit.locked(subscription_id, "record.attach", by=by, version=version)
    partner = directory.attachable(mpn_id, by=by)
    return place(subscription, partner, by=by, source=Source.CUSTOMER, began_on=began_on, note=note)


def place(
    subscription: Subscription,
    partner: Partner,
    *,
    by: Actor,
    source: Source,
    began_on: date | None = None,
    note: str = "",
) -> Attached:
    """The heart of every way to be attached; both are locked by the caller, and the partner may be attached."""
    latest = unit.latest(subscription)
    current = unit.current(latest)
    if current is not None and current.partner_id != partner.pk:
        return _contest(subscription, current, partner, by=by, began_on=began_on, note=note)
    now = unit.clock(latest)
    if current is not None:
        current.partner = partner
        if began_on is None or start_of(began_on) >= current.began_at:
            return Attached(current, "unchanged")
    unit.require_open_to_attach(subscription)
    began_at = now if began_on is None else _back_dated(began_on, subscription, now)
    if current is not None:
        old = current.began_at
        current.began_at = began_at
        current.save(update_fields=["began_at"])
        unit.write_of("partner_of_record.dated_back", subscription, current, by=by, at=now, old_start=old)
        return Attached(current, "moved_back")
    association = Association.objects.create(
        kind=Kind.DPOR,
        customer=subscription.customer,
        subscription=subscription,
        partner=partner,
        began_at=began_at,
        attached_at=now,
        source=source,
        note=note.strip(),
    )
    unit.write_of("partner_of_record.attached", subscription, association, by=by, at=now, reason=association.note)
    return Attached(association, "attached")


def _contest(
    subscription: Subscription,
    current: Association,
    partner: Partner,
    *,
    by: Actor,
    began_on: date | None,
    note: str,
) -> Attached:
    """Whoever is of record stays, and the question is opened or joined. Nothing of it can lie in the past."""
    unit.require_open_to_attach(subscription)
    if began_on is not None:
        _check_back_dating(began_on, subscription, unit.clock([current]).date())
        raise Refused(
            "overlaps_another_period",
            _(
                "Another partner was the partner of record on that date. Leave the start date empty, and we "
                "will ask you which partner is doing the work."
            ),
            field="began_on",
        )
    request = changing.name(subscription, current, partner, by=by, note=note)
    return Attached(current, "change_requested", request)


@transaction.atomic
def remove(subscription_id: uuid.UUID, *, by: Actor, reason: str = "", version: int | None = None) -> Association:
    """Ends the record of whoever holds it, now, and cancels the question whether it should.

    Raises Absent, Forbidden, Stale, Busy or `no_partner_of_record`.
    """
    subscription = unit.locked(subscription_id, "record.remove", by=by, version=version)
    latest = unit.latest(subscription)
    current = unit.current(latest)
    if current is None:
        raise Refused("no_partner_of_record", _("This subscription has no partner of record."))
    requests = unit.requests_of(subscription)
    now = unit.clock(latest, requests)
    unit.partner_of(current)
    current.ended_at = now
    current.end_reason = EndReason.REMOVED
    current.end_note = reason.strip()
    current.save(update_fields=["ended_at", "end_reason", "end_note"])
    unit.write_of("partner_of_record.removed", subscription, current, by=by, at=now, reason=current.end_note)
    changing.cancel_open(requests, Cancellation.REMOVED, by=by, at=now)
    return current


@transaction.atomic
def undo(subscription_id: uuid.UUID, *, by: Actor, version: int | None = None) -> Association | None:
    """Takes back the customer's last attach, removal or answer, within the policy's time; returns who is of record.

    An attach is struck out and counts for nothing; a removal reopens the same association; an answer does both, and
    is asked for again. An undo is not itself undone. Raises Absent, Forbidden, Stale, Busy, `nothing_to_undo`,
    `undo_too_late`, `slot_taken`, `subscription_expired` or `partner_closed`.
    """
    subscription = unit.locked(subscription_id, "record.undo", by=by, version=version)
    record, requests = unit.record_of(subscription), unit.requests_of(subscription)
    now = unit.clock(record, requests)
    last = last_change(record, requests)
    if last is None:
        raise Refused("nothing_to_undo", _("There is nothing to undo."))
    if now > last.undo_until:
        raise Refused("undo_too_late", _("It is too late to undo this. You can still attach or remove a partner."))
    if last.struck is not None:
        last.struck.undone_at = now
        last.struck.save(update_fields=["undone_at"])
    if last.ended is not None:
        _reopen(last.ended, [one for one in record if one is not last.struck], subscription, now)
    if last.request is not None:
        changing.ask_again(last.request, last, by=by, at=now)
    elif last.struck is not None:
        unit.write_of("partner_of_record.attach_undone", subscription, last.struck, by=by, at=now)
    elif last.ended is not None:
        unit.write_of("partner_of_record.removal_undone", subscription, last.ended, by=by, at=now)
    return last.ended or last.kept


def _reopen(ended: Association, record: Iterable[Association], subscription: Subscription, now: datetime) -> None:
    """The same association goes on, if nothing that has happened since stands in its way."""
    if unit.current(record) is not None:
        raise Refused("slot_taken", _("You cannot undo this because another partner is now the partner of record."))
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("You cannot undo this because the subscription has expired."))
    if directory.locked(ended.partner_id).status == Partner.Status.CLOSED:
        raise Refused("partner_closed", _("You cannot undo this because the partner’s account has been closed."))
    ended.ended_at = None
    ended.end_reason = ended.end_note = ""
    ended.reopened_at = now
    ended.save(update_fields=["ended_at", "end_reason", "end_note", "reopened_at"])


class LastChange(NamedTuple):
    """The customer's last attach, removal or answer that still stands, and what it has done to the record.

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
        """The one it was about: what an answer was given for, where it was given for one."""
        found = self.struck or self.kept or self.ended
        assert found is not None
        return found

    @property
    def undo_until(self) -> datetime:
        return self.at + policy_on(self.at.date()).undo_within


#: How the customer itself makes a partner of record, in one step that can be taken back.
BY_CUSTOMER = {Source.CUSTOMER, Source.INVITATION}


def last_change(record: Sequence[Association], requests: Sequence[ChangeRequest]) -> LastChange | None:
    """What undo would take back, from all a subscription ever had of either, the undone ones too.

    While a question is open there is nothing: it can be answered either way.
    """
    if any(request.status == ChangeStatus.OPEN for request in requests):
        return None
    by_key = {one.pk: one for one in record}
    answers = [_answer(request, by_key) for request in requests if request.status == ChangeStatus.ANSWERED]
    answered_at = {answer.at for answer in answers}
    changes = [
        *answers,
        *(
            LastChange("attached", one.attached_at, struck=one)
            for one in record
            if one.source in BY_CUSTOMER and one.undone_at is None
        ),
        *(
            LastChange("removed", one.ended_at, ended=one)
            for one in record
            if one.ended_at
            and one.ended_at not in answered_at
            and one.end_reason == EndReason.REMOVED
            and one.undone_at is None
        ),
    ]
    last = max(changes, key=lambda change: change.at, default=None)
    undone = (
        *(moment for one in record for moment in (one.undone_at, one.reopened_at)),
        *(request.reopened_at for request in requests),
    )
    if last is None or any(moment is not None and moment > last.at for moment in undone):
        return None
    open_since = last.struck or last.kept
    if open_since is not None and open_since.ended_at is not None:
        return None  # something other than the customer has ended it since
    if last.what == "answered" and last.ended is not None and last.ended.ended_at != last.at:
        return None  # the estate says otherwise since
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


def _check_back_dating(began_on: date, subscription: Subscription, today: date) -> None:
    if began_on > today:
        raise Refused("began_on_in_future", _("The start date cannot be in the future."), field="began_on")
    months = policy_on(today).back_dating_months
    earliest = max(subscription.started_on, months_before(today, months))
    if began_on < earliest:
        raise Refused(
            "began_on_too_early",
            _(
                "The start date must be %(day)s or later. It can be up to %(months)s months ago, but not "
                "before the subscription started."
            )
            % {"months": months, "day": earliest.isoformat()},
            field="began_on",
        )


def _back_dated(began_on: date, subscription: Subscription, now: datetime) -> datetime:
    """The start of that UTC day, or of the subscription on its first; refuses what may not be dated back so far."""
    _check_back_dating(began_on, subscription, now.date())
    began_at = start_of(began_on)
    record = Association.objects.standing().of_record().filter(subscription=subscription)
    if record.filter(ended_at__gt=began_at).exists():
        raise Refused(
            "overlaps_another_period",
            _("The subscription already had a partner of record after that date. Choose a later start date."),
            field="began_on",
        )
    return began_at
