"""Recording the event of a verb in the customer's chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F

from associations.record.describing import drafts, fingerprints_of
from associations.record.events import Named
from associations.record.models import Association
from por.accounts.models import SYSTEM, Actor
from por.db.prepared import Statement
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import recording as history


def record_event(
    verb: str,
    unit: Subscription | Customer,
    *,
    by: Actor,
    at: datetime,
    association: Association | None = None,
    parties: Iterable[int] = (),
    changes: Mapping[str, Any] | None = None,
    reason: str = "",
    is_new_version: bool = True,
) -> None:
    """Record what a verb has done to a subscription or a tenant.

    With an association, the event describes it and its partner is a party too. A subscription gets a new version
    first, so that a caller with the old one is refused. `is_new_version` is false where its page stays as it is.
    """
    if association is not None:
        parties, changes = [association.partner_id, *parties], facts_of(association) | dict(changes or {})
    if is_new_version and isinstance(unit, Subscription):
        bump(unit)
    about, customer = _about(unit), unit.customer_id if isinstance(unit, Subscription) else unit.pk
    history.record(verb, about, by=by, at=at, chain=customer, parties=parties, changes=changes, reason=reason)


class Change(NamedTuple):
    """What an import has done to one of many associations."""

    verb: str
    association: Association
    changes: Mapping[str, Any] = {}


def record_together(
    done: Sequence[Change], *, at: datetime, is_new_version: bool = True, described: Sequence[int] = ()
) -> None:
    """Record what an import has done, as `record_event` does for each, with one statement for all events.

    Each subscription gets one new version. The associations have their subscription or customer, and their partner,
    with its names. Those with the keys `described` were changed without an event of their own: their state is recorded.
    """
    if is_new_version:
        bump_all(one.association.subscription_id for one in done)
    events = [
        history.EventDraft(
            one.association.customer_id,
            facts_of(one.association) | dict(one.changes),
            _about(one.association.subscription or one.association.customer),
            [one.association.partner_id],
            one.verb,
        )
        for one in done
    ]
    if described:
        events += drafts(described)
    history.record_each(by=SYSTEM, at=at, events=events)


def bump_all(subscriptions: Iterable[int | None]) -> None:
    """Give each of the subscriptions with these keys a new version; None is no subscription."""
    pks = {pk for pk in subscriptions if pk is not None}
    Subscription.objects.filter(pk__in=pks).update(version=F("version") + 1)


def bump(subscription: Subscription) -> None:
    """Give the subscription a new version."""
    subscription.version += 1
    _BUMP.rows({"version": subscription.version, "subscription": subscription.pk})


_BUMP = Statement.named("UPDATE directory_subscription SET version = %(version)s WHERE id = %(subscription)s")


def _about(unit: Subscription | Customer) -> history.ObjectRef:
    if isinstance(unit, Subscription):
        return about_subscription(unit)
    return history.ObjectRef("customer", str(unit.tenant_id), unit.organisation.name)


def about_subscription(subscription: Subscription) -> history.ObjectRef:
    """Return the subscription as events store it."""
    return history.ObjectRef("subscription", str(subscription.subscription_id), subscription.name)


def named(partner: Partner) -> Named:
    """Return the partner as events store it."""
    return {"mpn_id": partner.mpn_id, "name": partner.organisation.name}


def facts_of(association: Association) -> dict[str, Any]:
    """Return the association as events store it."""
    described = {
        "association": association.pk,
        "partner": named(association.partner),
        "source": association.source,
        "began_at": association.began_at.isoformat(),
        "ended_at": association.ended_at and association.ended_at.isoformat(),
        "fingerprints": fingerprints_of(association),
    }
    return described | ({"end_reason": association.end_reason} if association.end_reason else {})
