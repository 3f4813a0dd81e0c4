"""The verbs of a reviewer over the API: start the review of a claim, ask for more, approve, reject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import reviewing
from associations.claims.actions.shared import absent
from associations.claims.api.claims import OVER, STALE
from associations.claims.models import Claim
from associations.claims.queries.claims import claims_with_all
from associations.claims.schemas.claims import EXAMPLE, ClaimShape, NoBody, claim_shape
from associations.claims.schemas.reviews import ApproveBody, ReasonsBody
from associations.record.schemas import NOT_FOUND
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, entered, etag
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

        return _write(request, claim_id, start)


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

        return _write(request, claim_id, ask)


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

        return _write(request, claim_id, approve)


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

        return _write(request, claim_id, reject)


def _write(request: Request, claim_id: int, verb: Callable[[Actor, int | None], Claim]) -> Response:
    """Return the claim after the verb."""

    def find() -> Any:
        found = Claim.objects.visible_to(actor_of(request)).filter(pk=claim_id).first()
        if found is None:
            raise absent()
        return found

    def work(version: int | None) -> Response:
        actor = actor_of(request)
        verb(actor, version)
        claim = claims_with_all(actor).get(pk=claim_id)
        return Response(claim_shape(actor, claim), headers={"ETag": etag(claim.version)})

    return write(request, Right.REVIEW_CLAIMS, work, Target(find, STALE))
