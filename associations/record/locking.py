"""Locking the unit of a verb, reading its associations, and the next instant on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol

from django.db.models import Case, When
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.access import subscriptions_visible_to
from associations.record.models import Association, start_of
from por.accounts.models import Actor, Organisation
from por.db.locks import lock_timeout_as_busy
from por.db.prepared import Param, PreparedQuery
from por.directory.models import HERE_FIRST, Partner, Subscription
from por.errors import NotFound, Refused, VersionConflict

#: The last instant that was used on a unit plus this is the earliest next one.
TICK = timedelta(microseconds=1)


def absent() -> NotFound:
    """Return the refusal for a subscription that does not exist, and the same for one the actor may not see."""
    return NotFound("not_found", _("This subscription does not exist, or you do not have access to it."))


def locked(subscription_id: uuid.UUID, right: str, *, by: Actor, version: int | None = None) -> Subscription:
    """Return the subscription, locked until the transaction ends.

    Raises NotFound if the actor may not see it, Forbidden without the right, VersionConflict or Locked.
    """
    if not by.may(right):
        if not subscriptions_visible_to(by).filter(subscription_id=subscription_id).exists():
            raise absent()
        by.require(right)
    with lock_timeout_as_busy():
        subscription = _to_change(by.kind).one(organisation=by.organisation_id, subscription=subscription_id)
    if subscription is None:
        raise absent()
    if version is not None and subscription.version != version:
        raise VersionConflict(
            "stale", _("This subscription has changed since you opened it. Check the changes, then try again.")
        )
    return subscription


@cache
def _to_change(kind: str) -> PreparedQuery[Subscription]:
    """Return the query that locks one subscription, if those who act for this kind of organisation see it."""
    actor = Actor(user=None, organisation=Organisation(id=Param("organisation"), kind=kind))
    return PreparedQuery(
        lambda: (
            subscriptions_visible_to(actor)
            .filter(subscription_id=Param("subscription"))
            .order_by(HERE_FIRST)
            .select_related("customer__organisation", "sku")
            .select_for_update(of=("self",), no_key=True)[:1]
        )
    )


def locked_by_system(subscription_pk: int) -> Subscription:
    """Return the subscription, locked until the transaction ends: for scheduled work and imports."""
    with lock_timeout_as_busy():
        subscriptions = Subscription.objects.select_related("customer__organisation", "sku")
        return subscriptions.select_for_update(of=("self",), no_key=True).get(pk=subscription_pk)


def require_open_to_attach(subscription: Subscription) -> None:
    """Raise Refused if no partner can be attached to a subscription of this status."""
    if subscription.status == Subscription.Status.EXPIRED:
        raise Refused("subscription_expired", _("You cannot attach a partner because this subscription has expired."))
    if subscription.status in {Subscription.Status.GRACE, Subscription.Status.SUSPENDED}:
        raise Refused(
            "subscription_suspended",
            _("This subscription is not active. Renew it first, then attach a partner."),
        )


# --- The associations of a unit ------------------------------------------------------------------------------------


def all_associations(subscription: Subscription) -> list[Association]:
    """Return all associations with a partner of record, the undone ones too, oldest first."""
    return _on(subscription, _ALL.all(subscription=subscription.pk))


def ever_of_record(subscription: Subscription) -> bool:
    """Return whether the subscription has or had a partner of record, even if that was undone."""
    return Association.objects.of_record().filter(subscription=subscription).exists()


def latest(subscription: Subscription) -> list[Association]:
    """Return the association of the partner of record, if there is one, and of the others the one that changed last.

    However many associations there are, the last instant used on the unit is one of these two.
    """
    return _on(subscription, _LATEST.all(subscription=subscription.pk))


def _on(subscription: Subscription, found: list[Association]) -> list[Association]:
    """Return the same associations with their subscription and customer set, so that no query asks for them."""
    for association in found:
        association.subscription, association.customer = subscription, subscription.customer
    return found


_ALL = PreparedQuery(
    lambda: (
        Association.objects.of_record()
        .filter(subscription=Param("subscription"))
        .select_related("partner__organisation")
        .order_by("attached_at", "pk")
    )
)
_LATEST = PreparedQuery(
    lambda: (
        Association.objects.of_record()
        .filter(subscription=Param("subscription"))
        .order_by(
            Case(When(ended_at=None, undone_at=None, then=0), default=1),
            Greatest("began_at", "ended_at", "attached_at", "undone_at", "reopened_at", "redated_at").desc(),
        )[:2]
    )
)
_PARTNER = PreparedQuery(lambda: Partner.objects.select_related("organisation").filter(pk=Param("partner")))


def partner_of(association: Association) -> Partner:
    """Return the partner of the association, with its organisation; takes one query."""
    association.partner = _PARTNER.all(partner=association.partner_id)[0]
    return association.partner


def current(associations: Iterable[Association]) -> Association | None:
    """Return the open one of these, None if there is none."""
    return next((one for one in associations if one.ended_at is None and one.undone_at is None), None)


# --- The instant of a verb -----------------------------------------------------------------------------------------


class Dated(Protocol):
    """A row that has used instants on its unit."""

    @property
    def instants(self) -> Iterable[datetime | None]: ...


def next_instant(*used: Iterable[Dated], after: datetime | None = None) -> datetime:
    """Return now, or the first instant after all instants of these rows, if that is later.

    Clocks of two servers differ, and a verb may have waited for a lock: without this a period could end before it
    begins. The first instant of a UTC day stands for a day that somebody gave, so no verb uses it.
    """
    instants = [after, *(instant for rows in used for row in rows for instant in row.instants)]
    instant = max([timezone.now(), *(instant + TICK for instant in instants if instant is not None)])
    return instant if instant != start_of(instant.date()) else instant + TICK
