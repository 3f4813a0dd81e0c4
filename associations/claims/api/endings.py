"""What ends a claim over the API: its customer declines it, or its partner disassociates; and the partner disputes."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import again, ending
from associations.claims.api.claims import DECIDED, write_claim
from associations.claims.schemas.claims import EXAMPLE, ClaimShape, WordsBody, words_of
from associations.record.schemas import NOT_FOUND
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.api.endpoint import Endpoint, entered
from por.api.schema import described

PENDING = ["claim_is_draft", "claim_submitted", "claim_under_review", "claim_action_required", "claim_disputed"]
#: The statuses in which a claim has nothing to end.
NOT_APPROVED = [*PENDING, *(one for one in DECIDED if one != "claim_approved")]
ENDED = EXAMPLE | {"status": "ended", "due_at": None, "whose_turn": "nobody", "version": 6}


class Decline(Endpoint):
    @described(
        "claim_decline",
        "Decline a claim",
        """For an administrator of the customer. Within the term after the approval, the association counts for nothing,
        as if it had never been. After it, it ends now, if the claim was approved on a day whose policy lets the
        customer decline then. The partner reads why.""",
        answers={200: ClaimShape},
        example=ENDED | {"consent": "declined", "end_reason": "customer_declined"},
        body=WordsBody,
        body_example={"reason": "They do no work for us."},
        problems=NOT_FOUND
        | {
            409: [*(one for one in NOT_APPROVED if one != "claim_is_draft"), "decline_too_late"],
            412: ["stale"],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def decline(actor: Actor, version: int | None) -> None:
            note = words_of(entered(request, WordsBody))
            ending.decline(claim_id, by=actor, note=note, version=version)

        return write_claim(request, claim_id, Right.DECLINE_CLAIM, decline)


class Disassociate(Endpoint):
    @described(
        "claim_disassociate",
        "End a claim",
        """For the partner, which must say why. Its associations end now, and what was counted until now stays. This
        cannot be undone. Platform staff read why.""",
        answers={200: ClaimShape},
        example=ENDED | {"consent": "lapsed", "end_reason": "disassociated"},
        body=WordsBody,
        body_example={"reason": "Our contract has ended."},
        problems=NOT_FOUND | {409: NOT_APPROVED, 412: ["stale"], 422: ["reason_missing"]},
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def disassociate(actor: Actor, version: int | None) -> None:
            ending.disassociate(claim_id, words_of(entered(request, WordsBody)), by=actor, version=version)

        return write_claim(request, claim_id, Right.DISASSOCIATE, disassociate)


class Dispute(Endpoint):
    @described(
        "claim_dispute",
        "Dispute a rejection",
        """For the partner, once, until `due_at` of the rejected claim. Its units are claimed again: where another
        company has one by now, a conflict opens. Say why the claim should be approved: the reviewer reads it.""",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "disputed", "version": 6},
        body=WordsBody,
        body_example={"text": "Page 3 shows our work."},
        problems=NOT_FOUND
        | {
            409: [
                *PENDING,
                *(one for one in DECIDED if one != "claim_rejected"),
                "claim_disputed_already",
                "dispute_too_late",
                "nothing_to_claim",
                "own_company_holds",
            ],
            412: ["stale"],
            422: ["text_missing"],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def dispute(actor: Actor, version: int | None) -> None:
            again.dispute(claim_id, words_of(entered(request, WordsBody)), by=actor, version=version)

        return write_claim(request, claim_id, Right.WRITE_CLAIMS, dispute)
