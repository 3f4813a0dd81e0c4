"""What ends a claim over the API: its customer declines it, or its partner disassociates; and the partner disputes."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import again, ending
from associations.claims.actions.shared import absent
from associations.claims.api.claims import DECIDED, STALE
from associations.claims.models import Claim
from associations.claims.queries.claims import claims_with_all
from associations.claims.schemas.claims import EXAMPLE, ClaimShape, WordsBody, claim_shape, words_of
from associations.record.schemas import NOT_FOUND
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, entered, etag
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
        def decline(version: int | None) -> Response:
            actor = actor_of(request)
            note = words_of(entered(request, WordsBody))
            ending.decline(claim_id, by=actor, note=note, version=version)
            return _answered(actor, claim_id)

        return write(request, Right.DECLINE_CLAIM, decline, _target(request, claim_id))


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
        def disassociate(version: int | None) -> Response:
            actor = actor_of(request)
            ending.disassociate(claim_id, words_of(entered(request, WordsBody)), by=actor, version=version)
            return _answered(actor, claim_id)

        return write(request, Right.DISASSOCIATE, disassociate, _target(request, claim_id))


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
        def dispute(version: int | None) -> Response:
            actor = actor_of(request)
            again.dispute(claim_id, words_of(entered(request, WordsBody)), by=actor, version=version)
            return _answered(actor, claim_id)

        return write(request, Right.WRITE_CLAIMS, dispute, _target(request, claim_id))


def _target(request: Request, claim_id: int) -> Target:
    return Target(lambda: _get(actor_of(request), claim_id), STALE)


def _get(actor: Actor, claim_id: int) -> Claim:
    found = claims_with_all(actor).filter(pk=claim_id).first()
    if found is None:
        raise absent()
    return found


def _answered(actor: Actor, claim_id: int) -> Response:
    claim = _get(actor, claim_id)
    return Response(claim_shape(actor, claim), headers={"ETag": etag(claim.version)})
