"""The verbs of a reviewer over the API: start the review of a claim, ask for more, approve, reject."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import reviewing
from associations.claims.api.claims import OVER, write_claim
from associations.claims.models import Claim
from associations.claims.schemas.claims import EXAMPLE, ClaimShape
from associations.claims.schemas.reviews import ApproveBody, ReasonsBody
from associations.record.schemas import NOT_FOUND
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.api.endpoint import Endpoint, NoBody, entered
from por.api.schema import described

#: The statuses in which no reviewer can do anything, and that the reviewer has an interest.
NO_STEP = ["claim_action_required", "claim_approved", "claim_rejected", *OVER, "interest"]
REASONS = ["not_a_list", "reason_missing", "reason_unknown"]
REASONS_EXAMPLE = {"reasons": ["dates"], "note": "The signature on page 2 has no date."}


class StartReview(Endpoint):
    @described(
        "claim_start_review",
        "Start the review of a claim",
        """For a reviewer. Each unit needs a file that the malware scan has released. The claim is assigned to the
        reviewer if nobody has it.""",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "under_review"},
        body=NoBody,
        problems=NOT_FOUND | {409: [*NO_STEP, "claim_under_review", "claim_disputed", "scan_pending"], 412: ["stale"]},
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def start(actor: Actor, version: int | None) -> Claim:
            entered(request, NoBody)
            return reviewing.start_review(claim_id, by=actor, version=version)

        return write_claim(request, claim_id, Right.REVIEW_CLAIMS, start)


class Ask(Endpoint):
    @described(
        "claim_ask",
        "Ask the partner for what is missing",
        "For a reviewer. The claim then waits for the partner: it is rejected if the partner does not answer in time.",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "action_required", "whose_turn": "partner"},
        body=ReasonsBody,
        body_example=REASONS_EXAMPLE,
        problems=NOT_FOUND | {409: [*NO_STEP, "claim_submitted", "claim_disputed"], 412: ["stale"], 422: REASONS},
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def ask(actor: Actor, version: int | None) -> Claim:
            given = entered(request, ReasonsBody)
            return reviewing.ask(claim_id, given["reasons"], by=actor, note=given.get("note", ""), version=version)

        return write_claim(request, claim_id, Right.REVIEW_CLAIMS, ask)


class Approve(Endpoint):
    @described(
        "claim_approve",
        "Approve a claim",
        """For a reviewer. The partner is associated with each unit from now on, and the customer is told and can
        decline. A claim of a customer in the public sector that first lacked the disclosure begins at its first
        submit.""",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "approved", "consent": "pending", "whose_turn": "customer"},
        body=ApproveBody,
        body_example={"note": "Complete."},
        problems=NOT_FOUND
        | {
            409: [
                *NO_STEP,
                "claim_submitted",
                "conflict_open",
                "subscription_expired",
                "partner_closed",
                "partner_suspended",
                "partner_is_global",
            ],
            412: ["stale"],
            422: ["disclosure_missing"],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def approve(actor: Actor, version: int | None) -> Claim:
            given = entered(request, ApproveBody)
            disclosed = given.get("disclosed", False)
            return reviewing.approve(
                claim_id, by=actor, note=given.get("note", ""), disclosed=disclosed, version=version
            )

        return write_claim(request, claim_id, Right.REVIEW_CLAIMS, approve)


class Reject(Endpoint):
    @described(
        "claim_reject",
        "Reject a claim",
        "For a reviewer. The partner can dispute it once, within its term; what was disputed is rejected for good.",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "rejected", "whose_turn": "partner"},
        body=ReasonsBody,
        body_example=REASONS_EXAMPLE,
        problems=NOT_FOUND | {409: [*NO_STEP, "claim_submitted", "conflict_open"], 412: ["stale"], 422: REASONS},
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def reject(actor: Actor, version: int | None) -> Claim:
            given = entered(request, ReasonsBody)
            return reviewing.reject(claim_id, given["reasons"], by=actor, note=given.get("note", ""), version=version)

        return write_claim(request, claim_id, Right.REVIEW_CLAIMS, reject)
