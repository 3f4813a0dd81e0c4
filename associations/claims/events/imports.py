"""The events of what `claims.csv` says: a claim that was approved before it came here, and a correction of one.

A customer's first import of claims has none of these: it is the one event `estate.loaded`.
"""

from __future__ import annotations

from typing import NotRequired

from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from associations.record.events import WithFingerprints
from por.history.events import EventType, register


class ClaimFileEvent(EventType):
    IMPORTED = "claim.imported"
    CORRECTED = "claim.corrected"


class Imported(ClaimPayload, WithFingerprints):
    """When it was approved, and until when the customer can decline; None if that time is over."""

    approved_at: str
    consent_due_at: str | None


class Corrected(Imported):
    """What has changed: `name`, `approved_on`, `units`; and when it had been approved before."""

    fields: list[str]
    approved_at_before: NotRequired[str]


register(
    ClaimFileEvent.IMPORTED,
    payload=Imported,
    about=("claim",),
    here=_("A file brought the approved claim of {partner}"),
    elsewhere=_("A file brought the approved claim {object} of {partner}"),
    icon="check",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimFileEvent.CORRECTED,
    payload=Corrected,
    about=("claim",),
    here=_("A file corrected the claim of {partner}"),
    elsewhere=_("A file corrected the claim {object} of {partner}"),
    icon="info",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
