"""The events of what `claims.csv` says: a claim that was approved before it came here, and a correction of one.

Of a customer's first import of claims only those have an event of their own that it can still decline; the others are
the one event `estate.loaded`.
"""

from __future__ import annotations

from typing import NotRequired

from django.utils.translation import gettext_lazy as _

from associations.claims.events.mails import notify_claimant, to_customer, to_partner
from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from associations.record.events import WithFingerprints, notify_customer
from por.accounts.rules import Right
from por.history.events import Choice, EventType, register
from por.history.models import Event
from por.notifications.models import Topic


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


IMPORTED_MAIL = to_partner(
    "claim_imported",
    Topic.CLAIM,
    title=_("An import added a claim of yours"),
    subject=_("An import added your claim %(claim)s for %(customer)s"),
    paragraphs=(
        _("Imported files say that your claim for %(units)s at %(customer)s was approved. It counts from that day."),
        Choice(
            "due",
            {"": ()},
            _("The customer can decline until %(due)s. If it does, the association counts for nothing."),
        ),
        _("It has no proof of execution here. Add one while you still work for the customer."),
    ),
    inbox=_("Imported files added your claim for %(units)s."),
)
IMPORTED_CUSTOMER_MAIL = to_customer(
    "claim_imported_customer",
    None,
    title=_("An import added a partner’s claim"),
    subject=_("An import added the claim of %(partner)s for %(units)s"),
    paragraphs=(
        _("Imported files say that %(partner)s was approved for the work on %(units)s at your organisation."),
        _("The partner can now see the seats and the usage of %(units)s. It cannot change anything."),
        Choice(
            "due",
            {"": _("If this is not right, ask the partner or support to end the association.")},
            _(
                "If this is right, you do not need to do anything. If it is not, decline the claim until %(due)s. Then "
                "it counts for nothing, as if it had never been."
            ),
        ),
    ),
    inbox=_("Imported files added the claim of %(partner)s for %(units)s. If it is not right, say so."),
    may=Right.DECLINE_CLAIM,
)
CORRECTED_MAIL = to_partner(
    "claim_corrected",
    Topic.CLAIM,
    title=_("An import corrected a claim of yours"),
    subject=_("An import corrected your claim %(claim)s for %(customer)s"),
    paragraphs=(
        _("Imported files now say something else about your claim at %(customer)s. Its units are %(units)s."),
        _("What was corrected is on the page of the claim. If it is not right, ask support."),
    ),
    inbox=_("Imported files corrected your claim for %(units)s."),
)
CORRECTED_CUSTOMER_MAIL = to_customer(
    "claim_corrected_customer",
    Topic.CLAIM,
    title=_("An import corrected a partner’s claim"),
    subject=_("An import corrected the claim of %(partner)s for %(units)s"),
    paragraphs=(
        _("Imported files now say something else about the claim of %(partner)s. Its units are %(units)s."),
        _("If it is not right, ask the partner or support to end the association."),
    ),
    inbox=_("Imported files corrected the claim of %(partner)s for %(units)s."),
)


def _imported(event: Event) -> None:
    """Tell both sides, in one mail about the whole import."""
    notify_claimant(event, IMPORTED_MAIL, held=True)
    notify_customer(event, IMPORTED_CUSTOMER_MAIL, held=True)


def _corrected(event: Event) -> None:
    """Tell both sides, in one mail about the whole import; a customer knows no name of a claim, so nothing of that."""
    notify_claimant(event, CORRECTED_MAIL, held=True)
    if event.changes["fields"] != ["name"]:
        notify_customer(event, CORRECTED_CUSTOMER_MAIL, held=True)


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
    mails=(IMPORTED_MAIL, IMPORTED_CUSTOMER_MAIL),
    notify=_imported,
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
    mails=(CORRECTED_MAIL, CORRECTED_CUSTOMER_MAIL),
    notify=_corrected,
)
