"""The events of a claim until its decision. Those of its end are in `endings`, those of its files in `proofs`."""

from __future__ import annotations

from typing import NotRequired

from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from associations.record.events import WithFingerprints
from por.history.events import EventType, register


class ClaimEvent(EventType):
    SUBMITTED = "claim.submitted"
    CHANGED = "claim.changed"
    WITHDRAWN = "claim.withdrawn"
    REVIEW_STARTED = "claim.review_started"
    ASKED = "claim.asked"
    APPROVED = "claim.approved"
    REJECTED = "claim.rejected"


class Submitted(ClaimPayload):
    """`again` says that it was submitted before."""

    again: bool


class Changed(ClaimPayload):
    """The names of the fields that have changed."""

    fields: list[str]


class Asked(ClaimPayload):
    """When the answer is due; the reasons and the note are kept with the step of the claim."""

    due_at: str | None


class Approved(ClaimPayload, WithFingerprints):
    """Until when the customer can decline; None where its silence is not waited for."""

    consent_due_at: str | None


class Rejected(ClaimPayload):
    """Whether the claim can no longer be disputed, and until when it can."""

    final: bool
    due_at: NotRequired[str | None]


register(
    ClaimEvent.SUBMITTED,
    payload=Submitted,
    about=("claim",),
    here=_("{partner} submitted the claim"),
    elsewhere=_("{partner} submitted the claim {object}"),
    icon="send",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimEvent.CHANGED,
    payload=Changed,
    about=("claim",),
    here=_("{partner} changed the claim"),
    elsewhere=_("{partner} changed the claim {object}"),
    icon="info",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimEvent.WITHDRAWN,
    payload=ClaimPayload,
    about=("claim",),
    here=_("{partner} withdrew the claim"),
    elsewhere=_("{partner} withdrew the claim {object}"),
    icon="x",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimEvent.REVIEW_STARTED,
    payload=ClaimPayload,
    about=("claim",),
    here=_("The review of the claim started"),
    elsewhere=_("The review of the claim {object} started"),
    icon="clock",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimEvent.ASKED,
    payload=Asked,
    about=("claim",),
    here=_("The reviewer asked for more information"),
    elsewhere=_("The reviewer asked for more information about the claim {object}"),
    icon="info",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimEvent.APPROVED,
    payload=Approved,
    about=("claim",),
    here=_("The claim of {partner} was approved"),
    elsewhere=_("The claim {object} of {partner} was approved"),
    icon="check",
    tone="ok",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ClaimEvent.REJECTED,
    payload=Rejected,
    about=("claim",),
    here=_("The claim of {partner} was rejected"),
    elsewhere=_("The claim {object} of {partner} was rejected"),
    icon="x",
    tone="bad",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
