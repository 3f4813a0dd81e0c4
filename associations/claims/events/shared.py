"""What the events of claims and conflicts share."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.utils.translation import gettext_lazy as _

from associations.record.events import WithPartner
from por.history.events import Link, event_group


class Unit(TypedDict):
    """A workload, or a subscription with its name at the time."""

    workload: NotRequired[str]
    subscription: NotRequired[str]
    name: NotRequired[str]


class ClaimPayload(WithPartner):
    """A claim with those of its units that the event is about."""

    claim: int
    number: str
    program: str
    role: str
    units: list[Unit]


class AboutConflict(TypedDict):
    """A conflict. `sides` is how many partners claim the unit."""

    conflict: int
    program: str
    role: str
    unit: Unit
    sides: int


class ConflictPayload(AboutConflict, WithPartner):
    """A conflict, and the partner whose step it was."""


CLAIMS = event_group("claims", _("Claims"))
CONFLICTS = event_group("conflicts", _("Conflicting claims"))
CLAIM = Link("claim", customer="claims:customer_claim", partner="claims:claim", staff="claims:review_claim")
CONFLICT = Link(
    "conflict", customer="claims:customer_conflict", partner="claims:conflict", staff="claims:review_conflict"
)
