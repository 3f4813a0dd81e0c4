"""What ends a claim over the API: its customer declines it, or its partner disassociates; and the partner disputes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import again, ending
from associations.claims.actions.shared import absent
from associations.claims.api.claims import DECIDED, STALE
from associations.claims.models import Claim
from associations.claims.queries.claims import claims_with_all
from associations.claims.rules import NOTE_LENGTH
from associations.claims.schemas.claims import EXAMPLE, ClaimShape, claim_shape
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


class DeclineBody(serializers.Serializer[Any]):
    """Why the customer declines, which is optional. The partner reads it."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class DisassociateBody(serializers.Serializer[Any]):
    """Why the partner ends the claim. Platform staff read it."""

    reason = serializers.CharField(max_length=NOTE_LENGTH)


class DisputeBody(serializers.Serializer[Any]):
    """Why the claim should be approved. The reviewer reads it."""

    text = serializers.CharField(max_length=NOTE_LENGTH)


ENDED = EXAMPLE | {"status": "ended", "due_at": None, "whose_turn": "nobody", "version": 6}


class Decline(Endpoint):
    @described(
        "claim_decline",
        "Decline a claim",
        """For an administrator of the customer. Within the term after the approval, the association counts for nothing,
        as if it had never been. After it, it ends now, if the claim was approved on a day whose policy lets the
        customer decline then.""",
        answers={200: ClaimShape},
        example=ENDED | {"consent": "declined", "end_reason": "customer_declined"},
        body=DeclineBody,
        body_example={"reason": "They do no work for us."},
        problems=NOT_FOUND | {409: [*(one for one in NOT_APPROVED if one != "claim_is_draft"), "decline_too_late"]},
        writes=True,
        versioned=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def decline(version: int | None) -> Response:
            actor = actor_of(request)
            note = entered(request, DeclineBody).get("reason", "")
            ending.decline(claim_id, by=actor, note=note, version=version)
            return _answered(actor, claim_id)

        return write(request, Right.DECLINE_CLAIM, decline, _target(request, claim_id, must_match=True))


class Disassociate(Endpoint):
    @described(
        "claim_disassociate",
        "End a claim",
        "For the partner. Its associations end now, and what was counted until now stays. This cannot be undone.",
        answers={200: ClaimShape},
        example=ENDED | {"consent": "lapsed", "end_reason": "disassociated"},
        body=DisassociateBody,
        body_example={"reason": "Our contract has ended."},
        problems=NOT_FOUND | {409: NOT_APPROVED, 422: ["blank", "reason_missing"]},
        writes=True,
        versioned=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def disassociate(version: int | None) -> Response:
            actor = actor_of(request)
            ending.disassociate(claim_id, entered(request, DisassociateBody)["reason"], by=actor, version=version)
            return _answered(actor, claim_id)

        return write(request, Right.DISASSOCIATE, disassociate, _target(request, claim_id, must_match=True))


class Dispute(Endpoint):
    @described(
        "claim_dispute",
        "Dispute a rejection",
        """For the partner, once, until `due_at` of the rejected claim. Its units are claimed again: where another
        company has one by now, a conflict opens.""",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "disputed", "version": 6},
        body=DisputeBody,
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
            422: ["blank", "text_missing"],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def dispute(version: int | None) -> Response:
            actor = actor_of(request)
            again.dispute(claim_id, entered(request, DisputeBody)["text"], by=actor, version=version)
            return _answered(actor, claim_id)

        return write(request, Right.WRITE_CLAIMS, dispute, _target(request, claim_id))


def _target(request: Request, claim_id: int, *, must_match: bool = False) -> Target:
    return Target(lambda: _get(actor_of(request), claim_id), STALE, must_match)


def _get(actor: Actor, claim_id: int) -> Claim:
    found = claims_with_all(actor).filter(pk=claim_id).first()
    if found is None:
        raise absent()
    return found


def _answered(actor: Actor, claim_id: int) -> Response:
    claim = _get(actor, claim_id)
    return Response(claim_shape(actor, claim), headers={"ETag": etag(claim.version)})
