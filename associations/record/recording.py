"""Recording the event of a verb in the customer's chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from associations.record.describing import fingerprints_of
from associations.record.events import Named
from associations.record.models import Association
from por.accounts.models import Actor
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

    With an association, the event describes it and its partner is the party. A subscription gets a new version
    first, so that a caller with the old one is refused. `is_new_version` is false where its page stays as it is.
    """
    if association is not None:
        parties, changes = [association.partner_id], _described(association) | dict(changes or {})
    if isinstance(unit, Subscription):
        if is_new_version:
            bump(unit)
        about, customer = about_subscription(unit), unit.customer_id
    else:
        about, customer = history.ObjectRef("customer", str(unit.tenant_id), unit.organisation.name), unit.pk
    history.record(verb, about, by=by, at=at, chain=customer, parties=parties, changes=changes, reason=reason)


def bump(subscription: Subscription) -> None:
    """Give the subscription a new version."""
    subscription.version += 1
    Subscription.objects.filter(pk=subscription.pk).update(version=subscription.version)


def about_subscription(subscription: Subscription) -> history.ObjectRef:
    """Return the subscription as events store it."""
    return history.ObjectRef("subscription", str(subscription.subscription_id), subscription.name)


def named(partner: Partner) -> Named:
    """Return the partner as events store it."""
    return {"mpn_id": partner.mpn_id, "name": partner.organisation.name}


def _described(association: Association) -> dict[str, Any]:
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
