"""What every verb does before and after its own: lock the unit, take the time after the lock, write the event."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db.models import Case, When
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.models import Association, ChangeRequest, subscriptions_visible_to
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer, Partner, Subscription
from por.errors import Absent, Refused, Stale
from por.history import actions as history
from por.statements import Given, Statement
from por.waiting import busy_instead_of_a_lock_timeout

#: The last instant that was used on a unit plus this is the earliest next one.
TICK = timedelta(microseconds=1)


def absent() -> Absent:
    """Nobody can tell whether there is none, or none of theirs."""
    return Absent("not_found", _("This subscription does not exist, or you do not have access to it."))


def locked(subscription_id: uuid.UUID, right: str, *, by: Actor, version: int | None = None) -> Subscription:
    """The subscription, locked until the transaction ends, if it is theirs, they may, and it is as they saw it."""
    if not by.may(right):
        if not subscriptions_visible_to(by).filter(subscription_id=subscription_id).exists():
            raise absent()
        by.require(right)
    with busy_instead_of_a_lock_timeout():
        subscription = _to_change(by.kind).one(organisation=by.organisation_id, subscription=subscription_id)
    if subscription is None:
        raise absent()
    if version is not None and subscription.version != version:
        raise Stale("stale", _("This subscription has changed since you opened it. Check the changes, then try again."))
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


def locked_by_the_house(subscription_pk: int) -> Subscription:
    """The subscription, locked until the transaction ends: for what the clock and the estate do."""
    with busy_instead_of_a_lock_timeout():
        subscriptions = Subscription.objects.select_related("customer__organisation", "sku")
        return subscriptions.select_for_update(of=("self",), no_key=True).get(pk=subscription_pk)


def require_open_to_attach(subscription: Subscription) -> None:
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("You cannot attach a partner because this subscription has expired."))
    if subscription.status in {Subscription.Status.GRACE, Subscription.Status.SUSPENDED}:
        raise Refused(
            "subscription_suspended",
            _("This subscription is not active. Renew it first, then attach a partner."),
        )


# --- The record of a unit -----------------------------------------------------------------------------------------


def record_of(subscription: Subscription) -> list[Association]:
    """All associations of record the subscription ever had, the undone ones too, oldest first."""
    return _on(subscription, _RECORD_OF.all(subscription=subscription.pk))


def ever_of_record(subscription: Subscription) -> bool:
    """Whether somebody is, was, or was until that was undone."""
    return Association.objects.of_record().filter(subscription=subscription).exists()


def latest(subscription: Subscription) -> list[Association]:
    """The open association of record, if there is one, and of the others the one that changed last.

    They hold every instant the clock has to be after, however long the record has grown.
    """
    return _on(subscription, _LATEST.all(subscription=subscription.pk))


def requests_of(subscription: Subscription) -> list[ChangeRequest]:
    """The questions that were ever asked about the subscription, oldest first. Its lock is theirs too."""
    found = _REQUESTS_OF.all(subscription=subscription.pk)
    for request in found:
        request.subscription = subscription
    return found


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
_REQUESTS_OF = Statement(
    lambda: ChangeRequest.objects.filter(subscription=Given("subscription")).order_by("opened_at", "pk")
)
_PARTNER = Statement(lambda: Partner.objects.select_related("organisation").filter(pk=Given("partner")))


def partner_of(association: Association) -> Partner:
    """Its partner with the organisation, for one query where the association came without them."""
    association.partner = _PARTNER.all(partner=association.partner_id)[0]
    return association.partner


def current(record: Iterable[Association]) -> Association | None:
    """Whoever is of record, among these."""
    return next((one for one in record if one.ended_at is None and one.undone_at is None), None)


def clock(record: Iterable[Association], requests: Iterable[ChangeRequest] = ()) -> datetime:
    """Now, but always after every instant used on this unit: clocks differ, and so may two requests' sense of now."""
    used = [
        *(m for one in record for m in (one.began_at, one.ended_at, one.attached_at, one.undone_at, one.reopened_at)),
        *(moment for one in requests for moment in (one.opened_at, one.closed_at, one.reopened_at)),
    ]
    return max([timezone.now(), *(moment + TICK for moment in used if moment is not None)])


# --- The event ----------------------------------------------------------------------------------------------------


def bump(subscription: Subscription) -> None:
    """A new version for whoever holds the old one."""
    Subscription.objects.filter(pk=subscription.pk).update(version=subscription.version + 1)
    subscription.version += 1


def about_subscription(subscription: Subscription) -> history.About:
    """A subscription as events have it."""
    return history.About("subscription", str(subscription.subscription_id), subscription.name)


def named(partner: Partner) -> dict[str, str]:
    """A partner as events have it."""
    return {"mpn_id": partner.mpn_id, "name": partner.organisation.name}


def write(
    verb: str,
    unit: Subscription | Customer,
    *,
    by: Actor,
    at: datetime,
    parties: Iterable[int],
    changes: Mapping[str, Any],
    reason: str = "",
) -> None:
    """The event of a verb, in the customer's chain. What is about a subscription gives it a new version first."""
    if isinstance(unit, Subscription):
        bump(unit)
    note(verb, unit, by=by, at=at, parties=parties, changes=changes, reason=reason)


def note(
    verb: str,
    unit: Subscription | Customer,
    *,
    by: Actor,
    at: datetime,
    parties: Iterable[int],
    changes: Mapping[str, Any],
    reason: str = "",
) -> None:
    """The event of what leaves the record as it is, and so the version too."""
    if isinstance(unit, Subscription):
        about, customer = about_subscription(unit), unit.customer_id
    else:
        about, customer = history.About("customer", str(unit.tenant_id), unit.organisation.name), unit.pk
    history.record(verb, about, by=by, at=at, of=customer, parties=parties, changes=changes, reason=reason)


def write_of(
    verb: str,
    unit: Subscription | Customer,
    association: Association,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    old_start: datetime | None = None,
) -> None:
    """The event of what was done to one association, with its partner as a party to it."""
    changes = {
        "association": association.pk,
        "partner": named(association.partner),
        "source": association.source,
        "began_at": association.began_at.isoformat(),
        "ended_at": association.ended_at and association.ended_at.isoformat(),
    }
    if association.end_reason:
        changes["end_reason"] = association.end_reason
    if old_start is not None:
        changes["began_at_before"] = old_start.isoformat()
    write(verb, unit, by=by, at=at, parties=[association.partner_id], changes=changes, reason=reason)
