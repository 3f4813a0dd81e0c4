"""The events of a claim after its decision: the customer's answer, a dispute, the end, and reminders."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from associations.claims.events.mails import (
    EndedValues,
    claim_values,
    is_of_files,
    notify_claimant,
    receipt_context,
    to_customer,
    to_partner,
    why_text,
)
from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from associations.record.events import TOLD_CUSTOMER, TOLD_PARTNER, WithFingerprints, notify_customer
from por.accounts.rules import Right
from por.history.events import Choice, EventType, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_actor
from por.notifications.models import Topic


class EndingEvent(EventType):
    DECLINED = "claim.declined"
    CONSENT_LAPSED = "claim.consent_lapsed"
    ENDED = "claim.ended"
    UNIT_ENDED = "claim.unit_ended"
    UNIT_LOST = "claim.unit_lost"
    DROPPED = "claim.dropped"
    GOES_ON = "claim.goes_on"
    DISPUTED = "claim.disputed"
    DISPUTE_LAPSED = "claim.dispute_lapsed"
    REMINDED = "claim.reminded"
    RENEWAL_DUE = "claim.renewal_due"


class Declined(ClaimPayload, WithFingerprints):
    """`struck` says that the associations count for nothing, because the customer declined in time."""

    struck: bool


class Ended(ClaimPayload, WithFingerprints):
    """Why it ended. Without fingerprints, its associations have events of their own."""

    end_reason: str


class UnitEnded(ClaimPayload, WithFingerprints):
    """Units that ended, of a claim that goes on; or all of one that had not been approved."""

    end_reason: str


class UnitLost(ClaimPayload, WithFingerprints):
    """Units that another claim has now, of a claim that goes on."""


class Reminded(ClaimPayload):
    """Until when the partner can answer, and the number of the reminder."""

    due_at: str
    reminder: int


class RenewalDue(ClaimPayload):
    """On which day the subscription renews or ends, and in how many days that is."""

    renews_on: str
    days: int


def _ended_values(payload: UnitEnded) -> EndedValues:
    return {**claim_values(payload), "why": why_text(payload)}


def _why(event: Event) -> str:
    return why_text(event.changes)


#: What a partner can do once a claim or a unit is over.
CLAIM_AGAIN = _(
    "If you still do the work, claim again: a new draft is filled in as this claim was, and needs proof of its own."
)

# --- The customer declines, or its silence is consent ---------------------------------------------------------------

DECLINED_MAIL = to_partner(
    "claim_declined",
    Topic.CLAIM,
    title=_("The customer declined a claim"),
    subject=_("%(customer)s declined your claim %(claim)s"),
    paragraphs=(
        Choice(
            "struck",
            {
                True: _(
                    "%(customer)s declined your claim for %(units)s in time. The association counts for nothing, as "
                    "if it had never been."
                )
            },
            _(
                "%(customer)s declined your claim for %(units)s. The association has ended. What was counted until "
                "now stays."
            ),
        ),
        _("You no longer see the usage that the claim showed you. Talk to the customer before you claim again."),
    ),
    inbox=_("The customer declined the claim for %(units)s."),
)
DECLINED_RECEIPT = to_customer(
    "claim_declined_receipt",
    Topic.CLAIM,
    title=_("Confirmation: claim declined"),
    subject=_("You declined the claim of %(partner)s"),
    paragraphs=(
        (
            Choice(
                "struck",
                {
                    True: _(
                        "%(partner)s is not associated with %(units)s. The claim counts for nothing, as if it had "
                        "never been."
                    )
                },
                _("%(partner)s is no longer associated with %(units)s."),
            ),
            TOLD_PARTNER,
        ),
        _("They can claim again, with new proof. Then you can decline again."),
    ),
    context=receipt_context,
    inbox=_("You declined the claim of %(partner)s for %(units)s."),
)


def _declined(event: Event) -> None:
    notify_claimant(event, DECLINED_MAIL)
    notify_actor(event, DECLINED_RECEIPT)


register(
    EndingEvent.DECLINED,
    payload=Declined,
    about=("claim",),
    here=_("The customer declined the claim of {partner}"),
    elsewhere=_("The customer declined the claim {object} of {partner}"),
    icon="x",
    tone="bad",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(DECLINED_MAIL, DECLINED_RECEIPT),
    notify=_declined,
)

LAPSED_MAIL = to_partner(
    "claim_consent_lapsed",
    Topic.CLAIM,
    title=_("The customer did not decline a claim"),
    subject=_("%(customer)s did not decline your claim %(claim)s"),
    paragraphs=(
        _("The time in which %(customer)s could decline your claim for %(units)s is over. Silence is consent."),
        Choice("can_decline_later", {True: _("The customer can still end the association at any time.")}, ()),
    ),
    inbox=_("The customer did not decline the claim for %(units)s in time."),
)
LAPSED_CUSTOMER_MAIL = to_customer(
    "claim_consent_lapsed_customer",
    Topic.CLAIM,
    title=_("The time to decline a claim is over"),
    subject=_("%(partner)s is associated with %(units)s: the time to decline is over"),
    paragraphs=(
        _("No one at your organisation declined the claim of %(partner)s for %(units)s in time, so it counts."),
        Choice(
            "can_decline_later",
            {True: _("You can still decline it. The association then ends from that moment on.")},
            _("If the partner no longer does the work, ask it or support to end the association."),
        ),
    ),
    inbox=_("The time to decline the claim of %(partner)s for %(units)s is over."),
    may=Right.DECLINE_CLAIM,
)


def _lapsed(event: Event) -> None:
    notify_claimant(event, LAPSED_MAIL)
    notify_customer(event, LAPSED_CUSTOMER_MAIL)


register(
    EndingEvent.CONSENT_LAPSED,
    payload=ClaimPayload,
    about=("claim",),
    here=_("The customer did not decline the claim of {partner} in time"),
    elsewhere=_("The customer did not decline the claim {object} of {partner} in time"),
    icon="clock",
    tone="ok",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(LAPSED_MAIL, LAPSED_CUSTOMER_MAIL),
    notify=_lapsed,
)

# --- The end --------------------------------------------------------------------------------------------------------

ENDED_MAIL = to_partner(
    "claim_ended",
    Topic.CLAIM,
    title=_("A claim has ended"),
    subject=_("Your claim %(claim)s for %(customer)s has ended"),
    paragraphs=(
        Choice(
            "ended_by",
            {
                "partner": (_("You ended your association with %(units)s at %(customer)s."), TOLD_CUSTOMER),
                "support": _(
                    "Support ended your association with %(units)s at %(customer)s by the number of the claim."
                ),
            },
            _("Your association with %(units)s at %(customer)s has ended. %(why)s."),
        ),
        _("What was counted until now stays. You see the usage of these months only."),
        CLAIM_AGAIN,
    ),
    inbox=_("The claim for %(units)s has ended. %(why)s."),
    values=_ended_values,
    may=Right.WRITE_CLAIMS,
)
ENDED_CUSTOMER_MAIL = to_customer(
    "claim_ended_customer",
    Topic.CLAIM,
    title=_("The claim of a partner has ended"),
    subject=_("%(partner)s is no longer associated with %(units)s"),
    paragraphs=(
        Choice(
            "ended_by",
            {
                "partner": _("%(partner)s ended its association with %(units)s."),
                "support": _("Support ended the association of %(partner)s with %(units)s."),
            },
            _("The association of %(partner)s with %(units)s has ended. %(why)s."),
        ),
        _("From now on, they see its usage only for the months of the association."),
    ),
    inbox=_("The claim of %(partner)s for %(units)s has ended. %(why)s."),
    values=_ended_values,
)


def _ended(event: Event) -> None:
    notify_claimant(event, ENDED_MAIL, held=is_of_files(event))
    notify_customer(event, ENDED_CUSTOMER_MAIL, held=is_of_files(event))


register(
    EndingEvent.ENDED,
    payload=Ended,
    about=("claim",),
    here=_("The claim of {partner} ended"),
    elsewhere=_("The claim {object} of {partner} ended"),
    icon="x",
    tone="bad",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(ENDED_MAIL, ENDED_CUSTOMER_MAIL),
    notify=_ended,
    detail=_why,
)

UNIT_ENDED_MAIL = to_partner(
    "claim_unit_ended",
    Topic.CLAIM,
    title=_("A part of a claim has ended"),
    subject=_("%(units)s has ended in your claim %(claim)s for %(customer)s"),
    paragraphs=(
        _("Your claim no longer has: %(units)s. %(why)s. What else you claimed there stays as it is."),
        CLAIM_AGAIN,
    ),
    inbox=_("The claim no longer has: %(units)s. %(why)s."),
    values=_ended_values,
    may=Right.WRITE_CLAIMS,
)
register(
    EndingEvent.UNIT_ENDED,
    payload=UnitEnded,
    about=("claim",),
    here=_("A part of the claim of {partner} ended"),
    elsewhere=_("A part of the claim {object} of {partner} ended"),
    icon="x",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(UNIT_ENDED_MAIL,),
    notify=lambda event: notify_claimant(event, UNIT_ENDED_MAIL, held=is_of_files(event)),
    detail=_why,
)

UNIT_LOST_MAIL = to_partner(
    "claim_unit_lost",
    Topic.CLAIM,
    title=_("A part of a claim went to another claim"),
    subject=_("%(units)s went to another claim: your claim %(claim)s for %(customer)s"),
    paragraphs=(
        _("Another claim has %(units)s now, so yours no longer has it. What else you claimed there stays as it is."),
    ),
    inbox=_("Another claim has this now: %(units)s."),
    may=Right.WRITE_CLAIMS,
)
register(
    EndingEvent.UNIT_LOST,
    payload=UnitLost,
    about=("claim",),
    here=_("A part of the claim of {partner} went to another claim"),
    elsewhere=_("A part of the claim {object} of {partner} went to another claim"),
    icon="x",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(UNIT_LOST_MAIL,),
    notify=lambda event: notify_claimant(event, UNIT_LOST_MAIL, held=is_of_files(event)),
)

DROPPED_MAIL = to_partner(
    "claim_dropped",
    Topic.CLAIM,
    title=_("A claim was withdrawn by an import"),
    subject=_("Your claim %(claim)s for %(customer)s was withdrawn"),
    paragraphs=(
        _("Nothing is left to claim of %(units)s, so your claim was withdrawn before it was decided. %(why)s."),
        CLAIM_AGAIN,
    ),
    inbox=_("The claim for %(units)s was withdrawn. %(why)s."),
    values=_ended_values,
    may=Right.WRITE_CLAIMS,
)
register(
    EndingEvent.DROPPED,
    payload=UnitEnded,
    about=("claim",),
    here=_("The claim of {partner} was withdrawn, because nothing was left to claim"),
    elsewhere=_("The claim {object} of {partner} was withdrawn, because nothing was left to claim"),
    icon="x",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(DROPPED_MAIL,),
    notify=lambda event: notify_claimant(event, DROPPED_MAIL, held=is_of_files(event)),
    detail=_why,
)

GOES_ON_MAIL = to_partner(
    "claim_goes_on",
    Topic.CLAIM,
    title=_("A claim goes on"),
    subject=_("Your claim %(claim)s for %(customer)s goes on"),
    paragraphs=(
        _("An import had ended your association with %(units)s, and a later one takes the reason back."),
        _("The claim goes on as if it had never ended. You do not need to do anything."),
    ),
    inbox=_("The claim for %(units)s goes on."),
)
GOES_ON_CUSTOMER_MAIL = to_customer(
    "claim_goes_on_customer",
    Topic.CLAIM,
    title=_("The claim of a partner goes on"),
    subject=_("%(partner)s is associated with %(units)s again"),
    paragraphs=(
        _("An import had ended the association of %(partner)s with %(units)s. A later one takes the reason back."),
        _("The association goes on as if it had never ended."),
    ),
    inbox=_("The claim of %(partner)s for %(units)s goes on."),
)


def _goes_on(event: Event) -> None:
    notify_claimant(event, GOES_ON_MAIL, held=True)
    notify_customer(event, GOES_ON_CUSTOMER_MAIL, held=True)


register(
    EndingEvent.GOES_ON,
    payload=ClaimPayload,
    about=("claim",),
    here=_("The claim of {partner} goes on, as if it had never ended"),
    elsewhere=_("The claim {object} of {partner} goes on, as if it had never ended"),
    icon="undo",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(GOES_ON_MAIL, GOES_ON_CUSTOMER_MAIL),
    notify=_goes_on,
)

# --- A dispute ------------------------------------------------------------------------------------------------------

register(
    EndingEvent.DISPUTED,
    payload=ClaimPayload,
    about=("claim",),
    here=_("{partner} disputed the rejection of its claim"),
    elsewhere=_("{partner} disputed the rejection of its claim {object}"),
    icon="flag",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    EndingEvent.DISPUTE_LAPSED,
    payload=ClaimPayload,
    about=("claim",),
    here=_("{partner} did not dispute the rejection of its claim in time"),
    elsewhere=_("{partner} did not dispute the rejection of its claim {object} in time"),
    icon="clock",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)

# --- Reminders ------------------------------------------------------------------------------------------------------

REMINDED_MAIL = to_partner(
    "claim_reminded",
    Topic.CLAIM,
    title=_("Reminder: the reviewer waits for your answer"),
    subject=_("Reminder: answer the reviewer about your claim %(claim)s until %(due)s"),
    paragraphs=(
        _(
            "The reviewer has asked for more about your claim for %(units)s at %(customer)s. Answer, and submit it "
            "again until %(due)s."
        ),
        _("If you do not, the claim is rejected. You can dispute that once."),
    ),
    inbox=_("Reminder: the reviewer waits for your answer about %(units)s."),
    may=Right.WRITE_CLAIMS,
)
register(
    EndingEvent.REMINDED,
    payload=Reminded,
    about=("claim",),
    here=_("{partner} was reminded to answer the reviewer"),
    elsewhere=_("{partner} was reminded to answer the reviewer about the claim {object}"),
    icon="bell",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(REMINDED_MAIL,),
    notify=lambda event: notify_claimant(event, REMINDED_MAIL),
)

RENEWAL_MAIL = to_partner(
    "claim_renewal_due",
    Topic.CLAIM,
    title=_("A claimed subscription renews soon"),
    subject=_("%(units)s (%(customer)s) renews or ends on %(renews_on)s"),
    paragraphs=(
        _(
            "Your claim %(claim)s is for the subscription %(units)s of %(customer)s, which renews or ends on "
            "%(renews_on)s."
        ),
        _(
            "If the subscription goes on, so does the claim. If it expires, or another one takes its place, the claim "
            "ends with it, and you need a new claim for the other one."
        ),
    ),
    inbox=_("%(units)s renews or ends soon. The claim ends with the subscription."),
    may=Right.WRITE_CLAIMS,
)
register(
    EndingEvent.RENEWAL_DUE,
    payload=RenewalDue,
    about=("claim",),
    here=_("{partner} was told that the claimed subscription renews soon"),
    elsewhere=_("{partner} was told that a subscription in the claim {object} renews soon"),
    icon="calendar",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(RENEWAL_MAIL,),
    notify=lambda event: notify_claimant(event, RENEWAL_MAIL),
)
