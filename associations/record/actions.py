"""The only functions that write one association; bulk.py has their twins for imports.

The caller has locked the unit and checked the rights, and records the event.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from associations.record.models import KEPT, REDATED, Association
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
    end_reason: str = "",
    end_inferred: bool = False,
    ends_on: date | None = None,
    attached_at: datetime,
    note: str = "",
) -> Association:
    """Return a new association that is not saved yet. `end_inferred` says that no one has given the day of its end."""
    subscription = of if isinstance(of, Subscription) else None
    return Association(
        kind=kind,
        customer_id=of.pk if subscription is None else subscription.customer_id,
        subscription=subscription,
        partner=partner,
        began_at=began_at,
        ended_at=ended_at,
        end_reason=end_reason,
        end_inferred=end_inferred,
        ends_on=ends_on,
        attached_at=attached_at,
        source=source,
        note=note.strip(),
    )


class Claimed(NamedTuple):
    """The claim that an association comes from: `workload` is empty where it is of a subscription."""

    program: str
    role: str
    number: str
    workload: str = ""


def begin_claimed(
    of: Subscription | Customer, partner: Partner, claimed: Claimed, *, at: datetime, began_at: datetime | None = None
) -> Association:
    """Insert the association of one unit of a claim that is approved now; return it. It begins now unless told."""
    association = draft(
        of, partner, kind=AssociationKind.CPOR, source=Source.CLAIM, began_at=began_at or at, attached_at=at
    )
    association.program, association.role, association.workload = claimed.program, claimed.role, claimed.workload
    association.claim_number = claimed.number
    return begin(association)


def begin(association: Association) -> Association:
    """Insert a draft; return it."""
    if association.subscription is not None:
        association.customer = association.subscription.customer  # its lock has read both
    association.save(force_insert=True)
    return association


def end(association: Association, *, at: datetime, reason: EndReason, note: str = "") -> None:
    """End an open association, or give another end to one that an import has ended."""
    if association.ended_at is None:
        _keep_subscription(association)
    association.ended_at, association.end_reason, association.end_note = at, reason, note.strip()
    association.end_inferred = False
    association.save(update_fields=["ended_at", "end_reason", "end_note", "end_inferred", *KEPT])


def reopen(association: Association, *, at: datetime | None) -> None:
    """Let an ended association go on as if it had never ended.

    `at` is when a person undid the end; from then on a file leaves the association alone. It is None for an import.
    """
    association.ended_at, association.end_reason, association.end_note = None, "", ""
    association.end_inferred = False
    association.reopened_at = at or association.reopened_at
    _forget_subscription(association)
    association.save(update_fields=["ended_at", "end_reason", "end_note", "end_inferred", "reopened_at", *KEPT])


def move_start(association: Association, *, began_at: datetime, at: datetime) -> None:
    """Let an open association begin at another instant, and keep the one before for undo."""
    association.began_at_before, association.redated_at = association.began_at, at
    association.began_at = began_at
    association.save(update_fields=["began_at", *REDATED])


def move_start_back(association: Association, *, at: datetime) -> None:
    """Let an association begin when it did before its start was moved."""
    assert association.began_at_before is not None
    association.began_at, association.reopened_at = association.began_at_before, at
    association.began_at_before = association.redated_at = None
    association.save(update_fields=["began_at", "reopened_at", *REDATED])


def strike(association: Association, *, at: datetime) -> None:
    """Take an association out of the record; from now on it counts for nothing."""
    association.undone_at = at
    association.save(update_fields=["undone_at"])


def redate(
    association: Association,
    *,
    began_at: datetime,
    ended_at: datetime | None,
    end_reason: str = "",
    end_inferred: bool = False,
) -> None:
    """Correct the period of an association, as a file says."""
    ends, opens = association.ended_at is None and ended_at is not None, ended_at is None
    association.began_at, association.ended_at = began_at, ended_at
    association.end_reason, association.end_inferred = end_reason, end_inferred
    if ends:
        _keep_subscription(association)
    elif opens:
        _forget_subscription(association)
    association.save(update_fields=["began_at", "ended_at", "end_reason", "end_inferred", *KEPT])


def _keep_subscription(association: Association) -> None:
    """Keep what the partner still sees of the subscription. The event of the end gives it the next version."""
    subscription = association.subscription
    if subscription is not None:
        association.seats_at_end, association.status_at_end = subscription.seats, subscription.status
        association.renews_on_at_end, association.version_at_end = subscription.renews_on, subscription.version + 1


def _forget_subscription(association: Association) -> None:
    association.seats_at_end = association.renews_on_at_end = association.version_at_end = None
    association.status_at_end = ""
