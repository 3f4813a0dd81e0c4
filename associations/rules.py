"""What kinds of association there are, what ends one, and the dated policies that govern them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

POLICIES = Path(__file__).parent / "policies.yaml"


class Kind(TextChoices):
    DPOR = "dpor", _("Partner of record")
    CPOR = "cpor", _("Claimed partner of record")
    PAL = "pal", _("Partner admin link")
    DELEGATED_ADMIN = "delegated_admin", _("Delegated administrator")
    TRANSACTING = "transacting", _("Transacting partner")
    CSP = "csp", _("Cloud solution provider")
    OSA_FORM = "osa_form", _("Legacy form")
    FASTTRACK = "fasttrack", _("FastTrack")


#: Kinds that are of a whole tenant; the others are of one subscription.
TENANT_KINDS = frozenset({Kind.DELEGATED_ADMIN, Kind.PAL, Kind.FASTTRACK})


class Source(TextChoices):
    CUSTOMER = "customer", _("Attached by the customer")
    CHANGE = "change", _("Chosen by the customer in a change")
    INVITATION = "invitation", _("Accepted invitation")
    ACTIVATION = "activation", _("Activated by the partner")
    AUTOMATIC = "automatic", _("Automatic, sold by the partner")
    CLAIM = "claim", _("Approved claim")
    ESTATE = "estate", _("Loaded from files")


class EndReason(TextChoices):
    REMOVED = "removed", _("Removed by the customer")
    CHANGED = "changed", _("Replaced by another partner")
    DISASSOCIATED = "disassociated", _("Ended by the partner")
    CUSTOMER_DECLINED = "customer_declined", _("Declined by the customer")
    CONFLICT_LOST = "conflict_lost", _("Another claim was decided for")
    SUBSCRIPTION_EXPIRED = "subscription_expired", _("The subscription expired")
    SUBSCRIPTION_REPLACED = "subscription_replaced", _("The subscription was replaced")
    PARTNER_CLOSED = "partner_closed", _("The partner's account was closed")


@dataclass(frozen=True)
class Policy:
    """The figures in force from a day on."""

    undo_within: timedelta
    back_dating_months: int


@cache
def _policies() -> dict[date, Policy]:
    """The dated policies; a wrong file stops the start with its name and key."""
    loaded: list[dict[str, Any]] = yaml.safe_load(POLICIES.read_text(encoding="utf-8"))
    policies: dict[date, Policy] = {}
    for number, entry in enumerate(loaded, 1):
        try:
            policies[entry["valid_from"]] = Policy(
                undo_within=timedelta(minutes=entry["undo_within_minutes"]),
                back_dating_months=entry["back_dating_months"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{POLICIES.name}: policy {number}: {error} is missing or of the wrong type") from error
    return policies


def policy_on(day: date) -> Policy:
    """The policy in force on a day."""
    policies = _policies()
    return policies[max(start for start in policies if start <= day)]


def months_before(day: date, months: int) -> date:
    """The same day so many calendar months earlier, or the last day of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    month += 1
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
