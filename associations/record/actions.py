"""The only functions that write one association; bulk.py has their twins for imports.

The caller has locked the unit and checked the rights, and records the event.
"""

from __future__ import annotations

from datetime import datetime

from associations.record.models import KEPT, Association
from associations.record.rules import AssociationKind, EndReason, Source
from por.directory.models import Customer, Partner, Subscription


def draft(
    of: Subscription | Customer,
    partner: Partner,
    *,
    kind: str = AssociationKind.DPOR,
    source: Source,
    began_at: datetime,
    ended_at: datetime | None = None,
    attached_at: datetime,
    note: str = "",
) -> Association:
    """Return a new association that is not saved yet."""
    subscription = of if isinstance(of, Subscription) else None
    return Association(
        kind=kind,
        customer_id=of.pk if subscription is None else subscription.customer_id,
        subscription=subscription,
        partner=partner,
        began_at=began_at,
        ended_at=ended_at,
        attached_at=attached_at,
        source=source,
        note=note.strip(),
    )


def begin(association: Association) -> Association:
    """Insert a draft; return it."""
    if association.subscription is not None:
        association.customer = association.subscription.customer  # its lock has read both
    association.save(force_insert=True)
    return association


def end(association: Association, *, at: datetime, reason: EndReason, note: str = "") -> None:
    """End an open association."""
    association.ended_at, association.end_reason, association.end_note = at, reason, note.strip()
    _keep_subscription(association)
    association.save(update_fields=["ended_at", "end_reason", "end_note", *KEPT])


def reopen(association: Association, *, at: datetime) -> None:
    """Let an ended association go on as if it had never ended."""
    association.ended_at, association.end_reason, association.end_note = None, "", ""
    association.reopened_at = at
    _forget_subscription(association)
    association.save(update_fields=["ended_at", "end_reason", "end_note", "reopened_at", *KEPT])


def strike(association: Association, *, at: datetime) -> None:
    """Take an association out of the record; from now on it counts for nothing."""
    association.undone_at = at
    association.save(update_fields=["undone_at"])


def redate(association: Association, *, began_at: datetime, ended_at: datetime | None) -> None:
    """Correct the period of an association: it begins earlier, or a file gives another end."""
    ends, opens = association.ended_at is None and ended_at is not None, ended_at is None
    association.began_at, association.ended_at = began_at, ended_at
    if ends:
        _keep_subscription(association)
    elif opens:
        _forget_subscription(association)
    association.save(update_fields=["began_at", "ended_at", *KEPT])


def _keep_subscription(association: Association) -> None:
    """Keep what the partner still sees of the subscription. The event of the end gives it the next version."""
    subscription = association.subscription
    if subscription is not None:
        association.seats_at_end, association.status_at_end = subscription.seats, subscription.status
        association.renews_on_at_end, association.version_at_end = subscription.renews_on, subscription.version + 1


def _forget_subscription(association: Association) -> None:
    association.seats_at_end = association.renews_on_at_end = association.version_at_end = None
    association.status_at_end = ""
