"""Attaching a partner of record, removing it, and resigning."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.attaching.actions import moving
from associations.attaching.events import AttachEvent
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import Cancellation
from associations.record import actions as record
from associations.record import locking, recording
from associations.record.models import Association, start_of
from associations.record.policies import months_before, policy_on
from associations.record.rules import EndReason, Source
from por.accounts import zones
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.errors import Refused

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class Attached(NamedTuple):
    """The outcome of attaching: a new association, the same one, the same one with another start, a change request.

    It is "moved" if the record went to another location of the same company. `association` is that of the partner of
    record. If a change was requested, it is the other partner's, which stays until the customer answers. If the
    customer switched, `request` is the change request that this answered.
    """

    association: Association
    outcome: Literal["attached", "unchanged", "moved_back", "moved_forward", "moved", "change_requested", "switched"]
    request: ChangeRequest | None = None


def attach(
    subscription_id: uuid.UUID,
    mpn_id: str,
    *,
    by: Actor,
    began_on: date | None = None,
    note: str = "",
    version: int | None = None,
    switch: bool = False,
) -> Attached:
    """Attach the partner with this MPN ID, from now or from the start of a day up to 12 months back.

    The actor's today is now. An earlier day is that day for every reader: it begins with the UTC day of that name.

    Attaching the current partner of record changes nothing, or moves its start to another day. Where it is another one,
    a change request is opened or joined; with `switch`, the partner replaces the other one at once. To another location
    of the same company the record moves at once, and nobody is asked. `version`, if given, is the subscription's as the
    caller last saw it. Raises NotFound, Forbidden, VersionConflict, Locked or Refused.
    """
    try:
        return attach_once(subscription_id, mpn_id, by=by, began_on=began_on, note=note, version=version, switch=switch)
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
    switch: bool = False,
) -> Attached:
    """Attach the partner, for a caller that counts unknown MPN IDs itself."""
    subscription = locking.locked(subscription_id, Right.ATTACH, by=by, version=version)
    partner = directory.attachable(mpn_id, by=by)
    return attach_locked(
        subscription, partner, by=by, source=Source.CUSTOMER, began_on=began_on, note=note, switch=switch
    )


def attach_locked(
    subscription: Subscription,
    partner: Partner,
    *,
    by: Actor,
    source: Source,
    began_on: date | None = None,
    note: str = "",
    switch: bool = False,
) -> Attached:
    """Attach the partner; every way to attach ends here.

    The caller has locked both, and has checked that the partner may be attached. Raises Refused.
    """
    latest = locking.latest(subscription)
    current = locking.current(latest)
    if current is not None and current.partner_id != partner.pk:
        locking.require_open_to_attach(subscription)
        if began_on == by.today:  # that is now
            began_on = None
        if began_on is not None:
            _check_back_dating(began_on, subscription, by.today)
        requests = change_requests.requests_of(subscription)
        asked = moving.open_request(requests)
        if partner.is_of_same_company_as(locking.partner_of(current)) and not moving.names(asked, partner):
            _refuse_a_past_start(began_on, _("Another location was the partner of record on that date."))
            at = locking.next_instant(latest, requests)
            moved = moving.move_locked(
                subscription, current, partner, by=by, source=source, at=at, note=note, request=asked
            )
            return Attached(moved, "moved")
        return _contest(subscription, current, partner, by=by, began_on=began_on, note=note, switch=switch)
    now = locking.next_instant(latest)
    if current is not None:
        current.partner = partner
        if began_on is None or began_on in _days_of(current.began_at, by):
            return Attached(current, "unchanged")
    locking.require_open_to_attach(subscription)
    began_at = now if began_on in {None, by.today} else _back_dated(began_on, subscription, by.today)
    if current is not None:
        is_earlier = began_at < current.began_at
        _move_start(current, began_at, subscription, by=by, at=now)
        return Attached(current, "moved_back" if is_earlier else "moved_forward")
    draft = record.draft(subscription, partner, source=source, began_at=began_at, attached_at=now, note=note)
    association = record.begin(draft)
    recording.record_event(
        AttachEvent.ATTACHED, subscription, by=by, at=now, association=association, reason=association.note
    )
    return Attached(association, "attached")


def _move_start(
    current: Association, began_at: datetime, subscription: Subscription, *, by: Actor, at: datetime
) -> None:
    verb = AttachEvent.DATED_BACK if began_at < current.began_at else AttachEvent.DATED_FORWARD
    before = {"began_at_before": current.began_at.isoformat()}
    record.move_start(current, began_at=began_at, at=at)
    recording.record_event(verb, subscription, by=by, at=at, association=current, changes=before)


def _contest(
    subscription: Subscription,
    current: Association,
    partner: Partner,
    *,
    by: Actor,
    began_on: date | None,
    note: str,
    switch: bool,
) -> Attached:
    """Open or join a change request, or replace the current partner at once. The new one cannot start in the past."""
    _refuse_a_past_start(
        began_on,
        _(
            "Another partner was the partner of record on that date. Leave the start date empty, and choose whether "
            "to switch now or to ask both partners first."
        ),
    )
    if switch:
        request = change_requests.switch(subscription, current, partner, by=by, note=note)
        assert request.made is not None
        return Attached(request.made, "switched", request)
    request = change_requests.open_or_join(subscription, current, partner, by=by, note=note)
    return Attached(current, "change_requested", request)


def _refuse_a_past_start(began_on: date | None, message: LazyText) -> None:
    if began_on is not None:
        raise Refused("overlaps_another_period", message, field="began_on")


@transaction.atomic
def remove(subscription_id: uuid.UUID, *, by: Actor, reason: str = "", version: int | None = None) -> Association:
    """Remove the partner of record now, and cancel the open change request; return the ended association.

    Raises NotFound, Forbidden, VersionConflict, Locked or `no_partner_of_record`.
    """
    subscription = locking.locked(subscription_id, Right.REMOVE, by=by, version=version)
    latest = locking.latest(subscription)
    current = locking.current(latest)
    if current is None:
        raise Refused("no_partner_of_record", _("This subscription has no partner of record."))
    _end(subscription, latest, current, EndReason.REMOVED, by=by, reason=reason)
    return current


@transaction.atomic
def resign(subscription_id: uuid.UUID, *, by: Actor, reason: str = "", version: int | None = None) -> Association:
    """End the record of the actor's own company now, and cancel the open change request; return the association.

    Raises NotFound, Forbidden, VersionConflict, Locked or `no_partner_of_record`: whether another partner is the
    partner of record is not told.
    """
    subscription = locking.locked(subscription_id, Right.RESIGN, by=by, version=version)
    latest = locking.latest(subscription)
    current = locking.current(latest)
    if current is None or not Association.objects.visible_to(by).filter(pk=current.pk).exists():
        raise Refused("no_partner_of_record", _("You are not the partner of record for this subscription."))
    _end(subscription, latest, current, EndReason.RESIGNED, by=by, reason=reason)
    return current


#: The event of each of these ends, and what becomes of an open change request.
_ENDS: dict[EndReason, tuple[AttachEvent, Cancellation]] = {
    EndReason.REMOVED: (AttachEvent.REMOVED, Cancellation.REMOVED),
    EndReason.RESIGNED: (AttachEvent.RESIGNED, Cancellation.RESIGNED),
}


def _end(
    subscription: Subscription,
    latest: Sequence[Association],
    current: Association,
    why: EndReason,
    *,
    by: Actor,
    reason: str,
) -> None:
    event, cancellation = _ENDS[why]
    requests = change_requests.requests_of(subscription)
    now = locking.next_instant(latest, requests)
    locking.partner_of(current)
    record.end(current, at=now, reason=why, note=reason)
    recording.record_event(event, subscription, by=by, at=now, association=current, reason=current.end_note)
    change_requests.cancel_open(requests, cancellation, by=by, at=now)


def _days_of(moment: datetime, by: Actor) -> set[date]:
    """Return the days that a start has: the actor's and that of the API. A start given as a day has that one only."""
    day = moment.date()
    return {day} if moment == start_of(day) else {day, zones.day_in(by.time_zone, moment)}


def _check_back_dating(began_on: date, subscription: Subscription, today: date) -> None:
    if began_on > today:
        raise Refused("began_on_in_future", _("The start date cannot be in the future."), field="began_on")
    months = policy_on(today).back_dating_months
    earliest = max(subscription.here_since, months_before(today, months))
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


def _back_dated(began_on: date, subscription: Subscription, today: date) -> datetime:
    """Return the start of that UTC day. Raises Refused if an association may not begin there."""
    _check_back_dating(began_on, subscription, today)
    began_at = start_of(began_on)
    of_record = Association.objects.not_undone().of_record().filter(subscription=subscription)
    if of_record.filter(ended_at__gt=began_at).exists():
        raise Refused(
            "overlaps_another_period",
            _("The subscription already had a partner of record after that date. Choose a later start date."),
            field="began_on",
        )
    return began_at
