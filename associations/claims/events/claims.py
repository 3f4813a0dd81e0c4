"""The events of a claim until its decision. Those of its end are in `endings`, those of its files in `proofs`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.claims.events.mails import notify_claimant, to_customer, to_partner, units_text
from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload, Unit
from associations.record.events import WithFingerprints, notify_customer
from por.accounts.rules import OrganisationKind, Right
from por.history.actions.recording import organisation_of
from por.history.events import Choice, EventType, Link, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_actor, notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic


class ClaimEvent(EventType):
    SUBMITTED = "claim.submitted"
    CHANGED = "claim.changed"
    WITHDRAWN = "claim.withdrawn"
    REVIEW_STARTED = "claim.review_started"
    ASKED = "claim.asked"
    APPROVED = "claim.approved"
    OTHER_APPROVED = "claim.other_approved"
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


class OtherApproved(TypedDict):
    """What another partner has an approved claim for. It is in the chain of the partner that is told of it."""

    program: str
    units: list[Unit]


SUBMITTED_RECEIPT = to_partner(
    "claim_submitted_receipt",
    Topic.CLAIM,
    title=_("Confirmation: claim submitted"),
    subject=_("You submitted the claim %(claim)s for %(customer)s"),
    paragraphs=(
        _("You submitted the claim for %(units)s at %(customer)s. A reviewer checks its proof."),
        _("Quote the number of the claim if you contact support. We tell you when the claim is decided."),
    ),
    inbox=_("You submitted the claim for %(units)s."),
)
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
    mails=(SUBMITTED_RECEIPT,),
    notify=lambda event: notify_actor(event, SUBMITTED_RECEIPT),
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
ASKED_MAIL = to_partner(
    "claim_asked",
    Topic.CLAIM,
    title=_("The reviewer asks for more"),
    subject=Choice(
        "due",
        {"": _("The reviewer asks for more about your claim %(claim)s for %(customer)s")},
        _("Answer until %(due)s: the reviewer asks for more about your claim %(claim)s"),
    ),
    paragraphs=(
        _("The reviewer needs more before your claim for %(units)s at %(customer)s can be decided."),
        Choice(
            "due",
            {"": _("Add what is missing, and submit the claim again.")},
            _(
                "Add what is missing, and submit the claim again until %(due)s. If you do not, it is rejected, which "
                "you can dispute once."
            ),
        ),
    ),
    inbox=_("The reviewer asks for more about the claim for %(units)s."),
    may=Right.WRITE_CLAIMS,
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
    mails=(ASKED_MAIL,),
    notify=lambda event: notify_claimant(event, ASKED_MAIL),
)

# --- Approved -------------------------------------------------------------------------------------------------------

#: The customer could not be told, so that its silence says nothing.
NOT_ASKED = Choice(
    "unreached",
    {"": ()},
    _("We could not ask anyone at %(unreached)s, which has no people here and no contact address. Tell them yourself."),
)
APPROVED_MAIL = to_partner(
    "claim_approved",
    Topic.CLAIM,
    title=_("A claim was approved"),
    subject=_("Your claim %(claim)s for %(customer)s was approved"),
    paragraphs=(
        _("You are associated with %(units)s at %(customer)s, and can see the seats and the usage."),
        Choice(
            "due",
            {"": _("The association counts from now on.")},
            _("The customer can decline until %(due)s. If it does, the association counts for nothing."),
        ),
        NOT_ASKED,
        _("Whether the association earns incentives is decided by the rules of the programme."),
    ),
    inbox=_("The claim for %(units)s was approved."),
)
#: It has no topic: no one at the customer turns off the question whether the claim is right.
CONSENT_MAIL = to_customer(
    "claim_consent",
    None,
    title=_("A partner’s claim was approved"),
    subject=Choice(
        "due",
        {"": _("The claim of %(partner)s for %(units)s was approved")},
        _("Is this right? %(partner)s is associated with %(units)s. You can decline until %(due)s"),
    ),
    paragraphs=(
        _(
            "%(partner)s says that it does the work for %(units)s at your organisation. A reviewer has checked its "
            "proof and approved the claim."
        ),
        _("The partner can now see the seats and the usage of %(units)s. It cannot change anything."),
        Choice(
            "due",
            {"": _("If this is not right, ask the partner or support to end the association.")},
            _(
                "If this is right, you do not need to do anything. If it is not, decline the claim until %(due)s. Then "
                "it counts for nothing, as if it had never been."
            ),
        ),
        Choice(
            "can_decline_later",
            {True: _("After that you can still decline. The association then ends from that moment on.")},
            (),
        ),
    ),
    inbox=_("The claim of %(partner)s for %(units)s was approved. If it is not right, decline it."),
    may=Right.DECLINE_CLAIM,
)


def _approved(event: Event) -> None:
    notify_claimant(event, APPROVED_MAIL)
    notify_customer(event, CONSENT_MAIL)


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
    mails=(APPROVED_MAIL, CONSENT_MAIL),
    notify=_approved,
)


class OtherContext(MailContext):
    """The values for a partner of record that may not know which other partner has the claim."""

    customer: str
    units: str


class OtherValues(TypedDict):
    units: str


def _other_context(event: Event) -> OtherContext:
    units = units_text(event.changes["units"])
    rows = [(gettext("Customer"), event.object_name), (gettext("Claimed"), units)]
    return {"customer": event.object_name, "units": units, "rows": rows}


def _other_values(payload: OtherApproved) -> OtherValues:
    return {"units": units_text(payload["units"])}


def _customer_for_partner(event: Event) -> str:
    return reverse("portal:partner_customer_detail", args=[event.object_id])


OTHER_MAIL = mail(
    "claim_other_approved",
    Topic.CLAIM,
    to=(OrganisationKind.PARTNER,),
    title=_("Another partner has an approved claim"),
    subject=_("Another partner has an approved claim for %(units)s (%(customer)s)"),
    paragraphs=(
        _("Another partner has an approved claim for %(units)s at %(customer)s, where you are the partner of record."),
        _(
            "You stay the partner of record. For the incentives of the programme, the claim counts. If you do this "
            "work, you can claim it too: then a reviewer decides by the proof."
        ),
    ),
    context=_other_context,
    action=_("Open the customer"),
    url=_customer_for_partner,
    inbox=_("Another partner has an approved claim for %(units)s."),
    values=_other_values,
)


def _other_approved(event: Event) -> None:
    partner = organisation_of(event.chain)
    assert partner is not None
    notify_organisation(event, OTHER_MAIL, organisation_id=partner)


register(
    ClaimEvent.OTHER_APPROVED,
    payload=OtherApproved,
    about=("customer",),
    here=_("Another partner has an approved claim"),
    elsewhere=_("Another partner has an approved claim for {object}"),
    icon="people",
    tone="info",
    groups=(CLAIMS,),
    link=Link("customer", partner="portal:partner_customer_detail", staff="portal:staff_customer_detail"),
    mails=(OTHER_MAIL,),
    notify=_other_approved,
)

# --- Rejected -------------------------------------------------------------------------------------------------------

REJECTED_MAIL = to_partner(
    "claim_rejected",
    Topic.CLAIM,
    title=_("A claim was rejected"),
    subject=_("Your claim %(claim)s for %(customer)s was rejected"),
    paragraphs=(
        _("Your claim for %(units)s at %(customer)s was rejected."),
        Choice(
            "due",
            {"": _("This cannot be disputed. With other proof, you can make a new claim.")},
            _(
                "You can dispute this once, until %(due)s: say why the claim should be approved, and add better proof. "
                "After that, you can only make a new claim."
            ),
        ),
    ),
    inbox=_("The claim for %(units)s was rejected."),
    may=Right.WRITE_CLAIMS,
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
    mails=(REJECTED_MAIL,),
    notify=lambda event: notify_claimant(event, REJECTED_MAIL),
)
