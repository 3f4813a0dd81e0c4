"""Moving subscriptions between the locations of a company."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.attaching.actions import moving
from associations.record.schemas import PARTNER_EXAMPLE, PartnerShape, partner_shape
from por.accounts.authentication import actor_of
from por.accounts.rules import Right
from por.accounts.writes import write
from por.api.endpoint import DigitsField, Endpoint, entered
from por.api.schema import Guid, Is, described


class MoveBody(serializers.Serializer[Any]):
    """Two locations of the caller's company, and the subscriptions to move: all of the first one without a list."""

    from_mpn_id = DigitsField()
    to_mpn_id = DigitsField()
    subscription_ids = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        help_text="Up to 1,000; without it, all of the first location.",
    )


class MoveResultShape(TypedDict):
    """The outcome of one subscription. `code` and `detail` give the reason if it was refused."""

    subscription_id: Guid
    outcome: Annotated[str, Is(enum=["moved", "unchanged", "refused"])]
    code: Annotated[str, Is(enum=["not_found", "no_partner_of_record", "change_request_open"])] | None
    detail: str | None


# `from` is a word of Python, so the type is written as a call.
MovesShape = TypedDict(
    "MovesShape",
    {"from": PartnerShape, "to": PartnerShape, "results": list[MoveResultShape], "left": int},
)
MovesShape.__doc__ = "One outcome for each subscription, and how many of the first location are left for another call."


class Move(Endpoint):
    @described(
        "move",
        "Move subscriptions between locations",
        """For an administrator of the company. The record of the chosen subscriptions, or of up to 1,000 of all, moves
        from one location to another at once. Nobody is asked. Each customer and both locations get one email. An open
        change request goes on with the new location. A subscription that cannot be moved keeps its record:
        `no_partner_of_record` if it is not the first location's, `change_request_open` if the second one is proposed in
        an open change request, `not_found` if you cannot see it. `left` is how many another call would move.""",
        answers={200: MovesShape},
        example={
            "from": PARTNER_EXAMPLE,
            "to": {"mpn_id": "4471913", "name": "Nordvik Cloud AB, Malmö"},
            "results": [
                {
                    "subscription_id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21",
                    "outcome": "moved",
                    "code": None,
                    "detail": None,
                }
            ],
            "left": 0,
        },
        body=MoveBody,
        body_example={
            "from_mpn_id": "4471902",
            "to_mpn_id": "4471913",
            "subscription_ids": ["0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21"],
        },
        problems={
            409: ["partner_suspended", "partner_closed"],
            422: [
                *("not_your_mpn_id", "mpn_id_malformed", "partner_is_global", "same_location", "too_many_rows"),
                *("blank", "not_a_list"),
            ],
        },
        writes=True,
    )
    def post(self, request: Request) -> Response:
        actor = actor_of(request)

        def move(_version: int | None) -> Response:
            given = entered(request, MoveBody)
            moves = moving.move(given["from_mpn_id"], given["to_mpn_id"], given.get("subscription_ids"), by=actor)
            return Response(_shape(moves))

        return write(request, Right.MOVE, move)


def _shape(moves: moving.Moves) -> MovesShape:
    results: list[MoveResultShape] = [
        {
            "subscription_id": str(one.subscription_id),
            "outcome": one.code,
            "code": one.refused.code if one.refused else None,
            "detail": str(one.refused.message) if one.refused else None,
        }
        for one in moves.outcomes
    ]
    return {
        "from": partner_shape(moves.former),
        "to": partner_shape(moves.to),
        "results": results,
        "left": moves.left,
    }
