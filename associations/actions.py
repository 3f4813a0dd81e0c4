"""Becoming and ceasing to be of record: the only writers of associations.

Each verb goes down the same spine: lock the subscription, take the time, check, write, record.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from functools import cache
from typing import Literal, NamedTuple

from django.db import transaction
from django.db.models import Case, When
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.models import Association, start_of, subscriptions_visible_to
from associations.rules import EndReason, Kind, Source, months_before, policy_on
from por.accounts.models import NOBODY, Actor, Organisation
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription
from por.errors import Absent, Refused, Stale
from por.history import actions as history
from por.statements import Given, Statement
from por.waiting import busy_instead_of_a_lock_timeout

#: The last instant that was used on a unit plus this is the earliest next one.
TICK = timedelta(microseconds=1)


class Attached(NamedTuple):
    """What attaching came to: a new association, the one that stood already, or its start moved back."""

    association: Association
    outcome: Literal["attached", "unchanged", "moved_back"]


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

    Attaching the partner that is of record already changes nothing, or moves its start back. `version`, if
    given, is the subscription's as the caller last saw it. Raises Absent, Forbidden, Stale, Busy or Refused.
    """
    try:
        return _attach(subscription_id, mpn_id, by=by, began_on=began_on, note=note, version=version)
    except Refused as refused:
        if refused.code == "partner_not_found":
            directory.note_unknown(mpn_id, by=by)
        raise


@transaction.atomic
def _attach(
    subscription_id: uuid.UUID, mpn_id: str, *, by: Actor, began_on: date | None, note: str, version: int | None
) -> Attached:
    subscription = _locked(subscription_id, "record.attach", by=by, version=version)
    partner = directory.attachable(mpn_id, by=by)
    latest = _latest(subscription)
    now = _clock(latest)
    current = _current(latest)
    if current is not None and current.partner_id != partner.pk:
        raise Refused(
            "held_by_another",
            _("%(partner)s is partner of record. Remove them first, then attach the new partner.")
            % {"partner": current.partner.organisation.name},
        )
    if current is not None:
        current.partner = partner
        if began_on is None or start_of(began_on) >= current.began_at:
            return Attached(current, "unchanged")
    _require_open_to_attach(subscription)
    began_at = now if began_on is None else _back_dated(began_on, subscription, now)
    if current is not None:
        old = current.began_at
        current.began_at = began_at
        current.save(update_fields=["began_at"])
        _record("partner_of_record.dated_back", subscription, current, by=by, at=now, old_start=old)
        return Attached(current, "moved_back")
    association = Association.objects.create(
        kind=Kind.DPOR,
        customer=subscription.customer,
        subscription=subscription,
        partner=partner,
        began_at=began_at,
        attached_at=now,
        source=Source.CUSTOMER,
        note=note.strip(),
    )
    _record("partner_of_record.attached", subscription, association, by=by, at=now, reason=association.note)
    return Attached(association, "attached")


@transaction.atomic
def remove(subscription_id: uuid.UUID, *, by: Actor, reason: str = "", version: int | None = None) -> Association:
    """Ends the record of whoever holds it, now. Raises Absent, Forbidden, Stale, Busy or `no_partner_of_record`."""
    subscription = _locked(subscription_id, "record.remove", by=by, version=version)
    latest = _latest(subscription)
    now = _clock(latest)
    current = _current(latest)
    if current is None:
        raise Refused("no_partner_of_record", _("No partner is of record for this subscription."))
    current.partner = _PARTNER.all(partner=current.partner_id)[0]
    current.ended_at = now
    current.end_reason = EndReason.REMOVED
    current.end_note = reason.strip()
    current.save(update_fields=["ended_at", "end_reason", "end_note"])
    _record("partner_of_record.removed", subscription, current, by=by, at=now, reason=current.end_note)
    return current


@transaction.atomic
def undo(subscription_id: uuid.UUID, *, by: Actor, version: int | None = None) -> Association | None:
    """Takes back the customer's last attach or removal, within the policy's time; returns who is of record then.

    An attach is struck out and counts for nothing; a removal reopens the same association. An undo is not
    itself undone. Raises Absent, Forbidden, Stale, Busy, `nothing_to_undo`, `undo_too_late` or `slot_taken`.
    """
    subscription = _locked(subscription_id, "record.undo", by=by, version=version)
    record = record_of(subscription)
    now = _clock(record)
    last = last_change(record)
    if last is None:
        raise Refused("nothing_to_undo", _("There is nothing to undo."))
    if now > last.undo_until:
        raise Refused("undo_too_late", _("It is too late to undo this. You can still attach or remove a partner."))
    association = last.association
    if last.what == "attached":
        association.undone_at = now
        association.save(update_fields=["undone_at"])
        _record("partner_of_record.attach_undone", subscription, association, by=by, at=now)
        return None
    if _current(record) is not None:
        raise Refused("slot_taken", _("Another partner has become of record since, so this cannot be undone."))
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("This subscription has expired since, so this cannot be undone."))
    if directory.locked(association.partner_id).status == Partner.Status.CLOSED:
        raise Refused("partner_closed", _("The partner's account has been closed since, so this cannot be undone."))
    association.ended_at = None
    association.end_reason = ""
    association.end_note = ""
    association.reopened_at = now
    association.save(update_fields=["ended_at", "end_reason", "end_note", "reopened_at"])
    _record("partner_of_record.removal_undone", subscription, association, by=by, at=now)
    return association


class LastChange(NamedTuple):
    """The customer's last attach or removal that still stands."""

    what: Literal["attached", "removed"]
    association: Association
    at: datetime

    @property
    def undo_until(self) -> datetime:
        return self.at + policy_on(self.at.date()).undo_within


def last_change(record: list[Association]) -> LastChange | None:
    """What undo would take back, from all associations of record a subscription ever had, the undone ones too."""
    changes = [
        LastChange("attached", association, association.attached_at)
        for association in record
        if association.source == Source.CUSTOMER and association.undone_at is None
    ] + [
        LastChange("removed", association, association.ended_at)
        for association in record
        if association.ended_at and association.end_reason == EndReason.REMOVED and association.undone_at is None
    ]
    last = max(changes, key=lambda change: change.at, default=None)
    undone = (moment for association in record for moment in (association.undone_at, association.reopened_at))
    if last is None or any(moment is not None and moment > last.at for moment in undone):
        return None
    if last.what == "attached" and last.association.ended_at is not None:
        return None  # something other than the customer has ended it since
    return last


def record_of(subscription: Subscription) -> list[Association]:
    """All associations of record the subscription ever had, the undone ones too, oldest first."""
    return _on(subscription, _RECORD_OF.all(subscription=subscription.pk))


def _on(subscription: Subscription, found: list[Association]) -> list[Association]:
    """The same associations, knowing their subscription and customer without asking for them."""
    for association in found:
        association.subscription, association.customer = subscription, subscription.customer
    return found


_RECORD_OF = Statement(
    lambda: (
        Association.objects.of_record()
        .filter(subscription=Given("subscription"))
        .select_related("partner__organisation")
        .order_by("attached_at", "pk")
    )
)


def _latest(subscription: Subscription) -> list[Association]:
    """The open association of record, if there is one, and of the others the one that changed last.

    They hold every instant the clock has to be after, however long the record has grown.
    """
    return _on(subscription, _LATEST.all(subscription=subscription.pk))


_LATEST = Statement(
    lambda: (
        Association.objects.of_record()
        .filter(subscription=Given("subscription"))
        .order_by(
            Case(When(ended_at=None, undone_at=None, then=0), default=1),
            Greatest("began_at", "ended_at", "attached_at", "undone_at", "reopened_at").desc(),
        )[:2]
    )
)
_PARTNER = Statement(lambda: Partner.objects.select_related("organisation").filter(pk=Given("partner")))


def _locked(subscription_id: uuid.UUID, right: str, *, by: Actor, version: int | None) -> Subscription:
    """The subscription, locked until the transaction ends, if it is theirs, they may, and it is as they saw it."""
    absent = Absent("not_found", _("There is no such subscription, or it is not yours to see."))
    if not by.may(right):
        if not subscriptions_visible_to(by).filter(subscription_id=subscription_id).exists():
            raise absent
        by.require(right)
    with busy_instead_of_a_lock_timeout():
        subscription = _to_change(by.kind).one(organisation=by.organisation_id, subscription=subscription_id)
    if subscription is None:
        raise absent
    if version is not None and subscription.version != version:
        raise Stale("stale", _("This subscription has changed since you opened it. Look at it again, then decide."))
    return subscription


@cache
def _to_change(kind: str) -> Statement[Subscription]:
    """One subscription, locked, if it is visible to those who act for an organisation of this kind."""
    anybody = Actor(user=None, organisation=Organisation(id=Given("organisation"), kind=kind))
    return Statement(
        lambda: (
            subscriptions_visible_to(anybody)
            .filter(subscription_id=Given("subscription"))
            .select_related("customer__organisation", "sku")
            .select_for_update(of=("self",), no_key=True)
        )
    )


def _current(record: list[Association]) -> Association | None:
    return next((one for one in record if one.ended_at is None and one.undone_at is None), None)


def _clock(record: list[Association]) -> datetime:
    """Now, but always after every instant used on this unit: clocks differ, and so may two requests' sense of now."""
    used = [
        moment
        for one in record
        for moment in (one.began_at, one.ended_at, one.attached_at, one.undone_at, one.reopened_at)
        if moment is not None
    ]
    return max([timezone.now(), *(moment + TICK for moment in used)])


def _require_open_to_attach(subscription: Subscription) -> None:
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("This subscription has expired, so no partner can be attached to it."))
    if subscription.status in {Subscription.Status.GRACE, Subscription.Status.SUSPENDED}:
        raise Refused(
            "subscription_suspended",
            _("This subscription is not active. Renew it first, then attach a partner."),
        )


def _back_dated(began_on: date, subscription: Subscription, now: datetime) -> datetime:
    """The start of that UTC day, or of the subscription on its first; refuses what may not be dated back so far."""
    today = now.date()
    if began_on > today:
        raise Refused("began_on_in_future", _("The start cannot lie in the future."), field="began_on")
    months = policy_on(today).back_dating_months
    earliest = max(subscription.started_on, months_before(today, months))
    if began_on < earliest:
        raise Refused(
            "began_on_too_early",
            _("The start can be at most %(months)s months back, and not before the subscription: %(day)s or later.")
            % {"months": months, "day": earliest.isoformat()},
            field="began_on",
        )
    began_at = start_of(began_on)
    record = Association.objects.standing().of_record().filter(subscription=subscription)
    if record.filter(ended_at__gt=began_at).exists():
        raise Refused(
            "overlaps_another_period",
            _("Another period of record lies after that day. Choose a later start."),
            field="began_on",
        )
    return began_at


def _record(
    verb: str,
    unit: Subscription | Customer,
    association: Association,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    old_start: datetime | None = None,
) -> None:
    """Bumps the subscription's version, if it is about one, and writes the event with the partner as a party to it."""
    if isinstance(unit, Subscription):
        Subscription.objects.filter(pk=unit.pk).update(version=unit.version + 1)
        unit.version += 1
        about = history.About("subscription", str(unit.subscription_id), unit.name)
    else:
        about = history.About("customer", str(unit.tenant_id), unit.organisation.name)
    partner: Partner = association.partner
    changes = {
        "association": association.pk,
        "partner": {"mpn_id": partner.mpn_id, "name": partner.organisation.name},
        "began_at": association.began_at.isoformat(),
        "ended_at": association.ended_at and association.ended_at.isoformat(),
    }
    if association.end_reason:
        changes["end_reason"] = association.end_reason
    if old_start is not None:
        changes["began_at_before"] = old_start.isoformat()
    history.record(
        verb,
        about,
        by=by,
        at=at,
        of=association.customer_id,
        parties=[partner.pk],
        changes=changes,
        reason=reason,
    )


@transaction.atomic
def end_from_outside(association_id: int) -> bool:
    """Ends an association whose subscription has expired or whose partner's account is closed; says whether it did.

    Nobody's decision: the estate said so. Any other association, and one that has ended by itself, stays as it is.
    """
    association = Association.objects.select_related("customer__organisation").get(pk=association_id)
    unit: Subscription | Customer = association.customer
    with busy_instead_of_a_lock_timeout():
        if association.subscription_id is None:
            Customer.objects.select_for_update(no_key=True).get(pk=association.customer_id)
        else:
            locked = Subscription.objects.select_related("customer__organisation", "sku")
            unit = locked.select_for_update(of=("self",), no_key=True).get(pk=association.subscription_id)
        partner = directory.locked(association.partner_id)
    association.refresh_from_db(from_queryset=Association.objects.select_related("partner__organisation"))
    reason = end_reason_from_outside(association.kind, unit, partner)
    if reason is None or association.ended_at is not None or association.undone_at is not None:
        return False
    latest = _latest(unit) if isinstance(unit, Subscription) and association.kind == Kind.DPOR else [association]
    association.ended_at = _clock(latest)
    association.end_reason = reason
    association.save(update_fields=["ended_at", "end_reason"])
    verb = "partner_of_record.ended" if association.kind == Kind.DPOR else "association.ended"
    _record(verb, unit, association, by=NOBODY, at=association.ended_at)
    return True


def end_reason_from_outside(kind: str, unit: Subscription | Customer, partner: Partner) -> EndReason | None:
    """Why an association of this kind cannot be in force now, whoever wants it to be; None if it can."""
    if partner.status == Partner.Status.CLOSED:
        return EndReason.PARTNER_CLOSED
    expired = isinstance(unit, Subscription) and unit.status == Subscription.Status.EXPIRED
    return EndReason.SUBSCRIPTION_EXPIRED if expired and kind == Kind.DPOR else None
