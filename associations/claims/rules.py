"""The programmes, roles and statuses of claims, and which verb can follow which."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from associations.record.state_machines import StateMachine

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

NAME_LENGTH = 200
NOTE_LENGTH = 2000
NUMBER_LENGTH = 40
#: A claim whose name contains this was migrated without proof of execution. The notice of June 2020 says so.
MIGRATED = "FRP Migrated FRP"
#: Of Microsoft 365 workloads, those with fewer paid units, or with a larger share of them in use when they are claimed,
#: earn nothing: facts of 2021. The limits of other programmes are not published.
LEAST_PAID_UNITS = 150
MOST_ACTIVE_PERCENT = 40


class Program(TextChoices):
    OSU_M365 = "osu_m365", _("Online Services Usage: Microsoft 365")
    OSU_BIZAPPS = "osu_bizapps", _("Online Services Usage: Business Applications")
    OSA_SELL = "osa_sell", _("Online Services Advisor: Sell")


class Role(TextChoices):
    USAGE = "usage", _("Usage")
    PRESALES = "presales", _("Pre-sales advisor")
    REVENUE = "revenue", _("Revenue association")


class LeadsTo(TextChoices):
    INCENTIVE = "incentive", _("Can earn incentives")
    RECOGNITION = "recognition", _("Gives recognition, and earns nothing")


class ClaimStatus(TextChoices):
    DRAFT = "draft", pgettext_lazy("claim", "Draft")
    SUBMITTED = "submitted", pgettext_lazy("claim", "Submitted")
    UNDER_REVIEW = "under_review", pgettext_lazy("claim", "Under review")
    ACTION_REQUIRED = "action_required", pgettext_lazy("claim", "Action required")
    APPROVED = "approved", pgettext_lazy("claim", "Approved")
    REJECTED = "rejected", pgettext_lazy("claim", "Rejected")
    DISPUTED = "disputed", pgettext_lazy("claim", "Disputed")
    REJECTED_FINAL = "rejected_final", pgettext_lazy("claim", "Rejected after dispute")
    WITHDRAWN = "withdrawn", pgettext_lazy("claim", "Withdrawn")
    ENDED = "ended", pgettext_lazy("claim", "Ended")


#: The statuses in which a claim waits for a decision of the reviewer or an answer of the partner.
PENDING = frozenset(
    {ClaimStatus.SUBMITTED, ClaimStatus.UNDER_REVIEW, ClaimStatus.ACTION_REQUIRED, ClaimStatus.DISPUTED}
)
#: The statuses in which the units of a claim are live: nobody else can have them without a decision.
LIVE = PENDING | {ClaimStatus.APPROVED}

CLAIM = StateMachine(
    name="claim",
    begins=ClaimStatus.DRAFT,
    steps={
        ClaimStatus.DRAFT: {
            "change": ClaimStatus.DRAFT,
            "submit": ClaimStatus.SUBMITTED,
            "withdraw": ClaimStatus.WITHDRAWN,
            "[nothing left]": ClaimStatus.WITHDRAWN,
        },
        ClaimStatus.SUBMITTED: {
            "start review": ClaimStatus.UNDER_REVIEW,
            "change": ClaimStatus.SUBMITTED,
            "withdraw": ClaimStatus.WITHDRAWN,
            "[lost]": ClaimStatus.REJECTED,
            "[nothing left]": ClaimStatus.WITHDRAWN,
        },
        ClaimStatus.UNDER_REVIEW: {
            "ask": ClaimStatus.ACTION_REQUIRED,
            "approve": ClaimStatus.APPROVED,
            "reject": ClaimStatus.REJECTED,
            "withdraw": ClaimStatus.WITHDRAWN,
            "[won]": ClaimStatus.APPROVED,
            "[lost]": ClaimStatus.REJECTED,
            "[nothing left]": ClaimStatus.WITHDRAWN,
        },
        ClaimStatus.ACTION_REQUIRED: {
            "change": ClaimStatus.ACTION_REQUIRED,
            "submit": ClaimStatus.SUBMITTED,
            "withdraw": ClaimStatus.WITHDRAWN,
            "[no answer]": ClaimStatus.REJECTED,
            "[won]": ClaimStatus.APPROVED,
            "[lost]": ClaimStatus.REJECTED,
            "[nothing left]": ClaimStatus.WITHDRAWN,
        },
        ClaimStatus.APPROVED: {
            "decline": ClaimStatus.ENDED,
            "disassociate": ClaimStatus.ENDED,
            "end by number": ClaimStatus.ENDED,
            "[lost]": ClaimStatus.ENDED,
            "[nothing left]": ClaimStatus.ENDED,
        },
        ClaimStatus.REJECTED: {
            "dispute": ClaimStatus.DISPUTED,
            "[no dispute]": ClaimStatus.REJECTED_FINAL,
            "[nothing left]": ClaimStatus.WITHDRAWN,
        },
        ClaimStatus.DISPUTED: {
            "approve": ClaimStatus.APPROVED,
            "reject": ClaimStatus.REJECTED_FINAL,
            "withdraw": ClaimStatus.WITHDRAWN,
            "[won]": ClaimStatus.APPROVED,
            "[lost]": ClaimStatus.REJECTED_FINAL,
            "[nothing left]": ClaimStatus.WITHDRAWN,
        },
        ClaimStatus.ENDED: {"[goes on]": ClaimStatus.APPROVED},
    },
    refusals={
        ClaimStatus.DRAFT: ("claim_is_draft", _("This claim is a draft. Submit it first.")),
        ClaimStatus.SUBMITTED: ("claim_submitted", _("This claim has been submitted, and its review has not started.")),
        ClaimStatus.UNDER_REVIEW: ("claim_under_review", _("This claim is under review.")),
        ClaimStatus.ACTION_REQUIRED: (
            "claim_action_required",
            _("This claim waits for the partner, who must answer the reviewer and submit it again."),
        ),
        ClaimStatus.APPROVED: ("claim_approved", _("This claim has been approved.")),
        ClaimStatus.REJECTED: ("claim_rejected", _("This claim has been rejected. The partner can dispute that once.")),
        ClaimStatus.DISPUTED: ("claim_disputed", _("The partner disputes the rejection of this claim.")),
        ClaimStatus.REJECTED_FINAL: (
            "claim_rejected_final",
            _("This claim has been rejected for good. The partner can make a new claim with other proof."),
        ),
        ClaimStatus.WITHDRAWN: ("claim_withdrawn", _("This claim has been withdrawn.")),
        ClaimStatus.ENDED: ("claim_ended", _("This claim has ended.")),
    },
)


#: The verbs of steps that an import makes. They are no part of the state machine: a file says what was so already.
IMPORTED, CORRECTED = "[imported]", "[corrected by a file]"


class Consent(TextChoices):
    """What the customer says to an approved claim. Silence until the end of the term is consent."""

    PENDING = "pending", _("The customer can decline")
    DECLINED = "declined", _("Declined by the customer")
    LAPSED = "lapsed", _("Accepted: the customer did not decline in time")


CONSENT = StateMachine(
    name="consent",
    begins=Consent.PENDING,
    steps={
        Consent.PENDING: {"decline": Consent.DECLINED, "[term]": Consent.LAPSED},
        Consent.LAPSED: {"decline, where the policy allows it": Consent.DECLINED},
    },
    refusals={
        Consent.PENDING: ("consent_pending", _("The customer can still decline this claim.")),
        Consent.DECLINED: ("consent_declined", _("The customer has declined this claim.")),
        Consent.LAPSED: (
            "decline_too_late",
            _(
                "The time to decline this claim is over. If the partner no longer works for you, ask them or support "
                "to end the association."
            ),
        ),
    },
)


class ConflictStatus(TextChoices):
    OPEN = "open", _("Waiting for a decision")
    DECIDED = "decided", _("Decided")
    CLOSED = "closed", _("Closed: nothing is left to decide")


CONFLICT = StateMachine(
    name="conflict",
    begins=ConflictStatus.OPEN,
    steps={
        ConflictStatus.OPEN: {
            "ask the customer": ConflictStatus.OPEN,
            "ask for proof": ConflictStatus.OPEN,
            "[another claim]": ConflictStatus.OPEN,
            "[the customer answers]": ConflictStatus.OPEN,
            "decide": ConflictStatus.DECIDED,
            "[one claim is left]": ConflictStatus.CLOSED,
        },
        ConflictStatus.DECIDED: {
            "[carried out]": ConflictStatus.DECIDED,
            "[the winner leaves]": ConflictStatus.CLOSED,
        },
    },
    refusals={
        ConflictStatus.OPEN: ("conflict_open", _("A reviewer must decide the conflict about this claim first.")),
        ConflictStatus.DECIDED: ("conflict_decided", _("This conflict has been decided.")),
        ConflictStatus.CLOSED: ("conflict_closed", _("This conflict is closed, because nothing is left to decide.")),
    },
)


class Outcome(TextChoices):
    """What has become of one unit of a claim."""

    HELD = "held", _("Held")
    LOST = "lost", _("Another claim was approved")
    ENDED = "ended", _("Ended")


class Reason(TextChoices):
    """Why a reviewer asks for more or rejects a claim. The first five are the checklist that the partner sees too.

    Partner Center, incentives-manage-customer-associations: "More information needed", and the reasons of a rejection.
    """

    NO_PROOF = "no_proof", _("Proof of execution is missing")
    NO_ACKNOWLEDGEMENT = "no_acknowledgement", _("The customer’s signed acknowledgement is missing")
    DATES = "dates", _("Dates are missing or too old")
    NO_DESCRIPTION = "no_description", _("The description of the partner’s solution or service is missing")
    NO_PRODUCTS = "no_products", _("The products or workloads are missing")
    INSUFFICIENT = "insufficient", _("The proof does not show the partner’s work")
    CUSTOMER_DECLINED = "customer_declined", _("The customer does not agree")
    PARTNER_REQUEST = "partner_request", _("The partner asked for it")
    NO_ANSWER = "no_answer", _("The partner did not answer in time")
    CONFLICT_LOST = "conflict_lost", _("Another partner’s claim was approved")
    NO_DISCLOSURE = "no_disclosure", _("The disclosure for the public sector is missing")


#: What the partner checks before it submits, and the reviewer looks for.
CHECKLIST = (
    Reason.NO_PROOF,
    Reason.NO_ACKNOWLEDGEMENT,
    Reason.DATES,
    Reason.NO_DESCRIPTION,
    Reason.NO_PRODUCTS,
)


def checklist(found: Collection[str]) -> list[tuple[Reason, bool]]:
    """Return each point of the checklist with whether it is among those that were found."""
    return [(one, one in found) for one in CHECKLIST]


#: The reasons that a reviewer may give; the others follow from what has happened.
GIVEN_BY_REVIEWER = (
    *CHECKLIST,
    Reason.INSUFFICIENT,
    Reason.CUSTOMER_DECLINED,
    Reason.PARTNER_REQUEST,
    Reason.NO_DISCLOSURE,
)


class Origin(TextChoices):
    """Where a claim comes from."""

    WIZARD = "wizard", _("Entered by the partner")
    API = "api", _("Sent by a program of the partner")
    ESTATE = "estate", _("Imported from files")
    AGAIN = "again", _("Claimed again from an earlier claim")


class Turn(TextChoices):
    """Whose turn it is."""

    PARTNER = "partner", _("Waiting for the partner")
    REVIEWER = "reviewer", _("Waiting for the reviewer")
    CUSTOMER = "customer", _("The customer can decline")
    NOBODY = "nobody", _("Nobody needs to act")


#: Whose turn it is in each status; an approved claim is the customer's turn while it can decline.
TURNS: dict[str, Turn] = {
    ClaimStatus.DRAFT: Turn.PARTNER,
    ClaimStatus.SUBMITTED: Turn.REVIEWER,
    ClaimStatus.UNDER_REVIEW: Turn.REVIEWER,
    ClaimStatus.ACTION_REQUIRED: Turn.PARTNER,
    ClaimStatus.DISPUTED: Turn.REVIEWER,
    ClaimStatus.REJECTED: Turn.PARTNER,
}
#: The statuses in which a claim waits for the reviewer.
TO_REVIEW = tuple(status for status, turn in TURNS.items() if turn == Turn.REVIEWER)


class Scan(TextChoices):
    """What the malware scan says of a file. Nobody opens one that is pending, infected or failed."""

    PENDING = "pending", _("Being scanned")
    CLEAN = "clean", _("No malware found")
    INFECTED = "infected", _("Malware found")
    FAILED = "failed", _("The scan failed and is repeated")
    NOT_SCANNED = "not_scanned", _("Not scanned")


#: What a file must be for anybody to open it, and for a review to start.
READABLE = (Scan.CLEAN, Scan.NOT_SCANNED)


class Preview(TextChoices):
    PENDING = "pending", _("Being drawn")
    DRAWN = "drawn", _("Drawn")
    NONE = "none", _("No preview")


def own_fields(program: str, role: str) -> dict[str, LazyText]:
    """Return the fields that only claims of this programme and role have, with their labels. All must be filled in.

    OSA Sell: within 90 days of the transaction (Partner Center, submit-osa-claim 2019-04). Revenue association: the
    seller and the solution (the same page, 2023-10).
    """
    if program == Program.OSA_SELL:
        return {"transaction_on": _("Date of the transaction")}
    if role == Role.REVENUE:
        return {"seller": _("Seller of the solution"), "solution": _("Name of the product or solution")}
    return {}


# --- Proofs -----------------------------------------------------------------------------------------------------------

#: The statuses in which files can be added, whatever the policy of the day. Others depend on it: see actions.proofs.
TAKES_PROOF = frozenset({ClaimStatus.DRAFT, ClaimStatus.SUBMITTED, ClaimStatus.ACTION_REQUIRED, ClaimStatus.DISPUTED})
DESCRIPTION_LENGTH = 2000
#: The most files of one upload and of one claim, and the most bytes of one upload and of all files of a company.
MOST_FILES_AT_ONCE = 10
MOST_PROOFS = 100
MOST_BYTES_AT_ONCE = 100 * 1024**2
MOST_BYTES_OF_A_COMPANY = 20 * 1024**3
#: The most claims that get the same files at once, as many as a page of the list has, and the most bytes of the copies.
MOST_CLAIMS_AT_ONCE = 50
MOST_BYTES_OF_COPIES = 500 * 1024**2
