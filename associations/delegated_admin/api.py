"""Ending a delegated administrator over the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.delegated_admin import actions
from associations.record.models import Association
from associations.record.rules import NOTE_LENGTH
from associations.record.schemas import ASSOCIATION_EXAMPLE, NOT_FOUND, AssociationShape, association_shape
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, entered
from por.api.schema import described


class EndBody(serializers.Serializer[Any]):
    """The reason, which is optional."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class EndDelegatedAdmin(Endpoint):
    @described(
        "end_association",
        "End a delegated administrator",
        """For an administrator of the customer. Only associations of the kind `delegated_admin` end here. The partner
        is told, and can read the reason. Its roles in the customer’s tenant are not kept here.""",
        answers={200: AssociationShape},
        example=ASSOCIATION_EXAMPLE
        | {
            "kind": "delegated_admin",
            "subscription": None,
            "source": "invitation",
            "ended_on": "2026-03-02",
            "ended_at": "2026-03-02T09:41:07.318402Z",
            "end_reason": "removed",
        },
        body=EndBody,
        body_example={"reason": "The project has ended."},
        problems=NOT_FOUND | {409: ["association_ended", "ends_elsewhere"]},
        writes=True,
    )
    def post(self, request: Request, association_id: int) -> Response:
        actor = actor_of(request)

        def end(_version: int | None) -> Response:
            reason = entered(request, EndBody).get("reason", "")
            actions.end(association_id, by=actor, reason=reason)
            return Response(association_shape(_get_visible(actor, association_id)))

        return write(request, Right.REMOVE, end, Target(lambda: _get_visible(actor, association_id)))


def _get_visible(actor: Actor, association_id: int) -> Association:
    found = Association.objects.not_undone().visible_to(actor).for_listing().filter(pk=association_id).first()
    if found is None:
        raise actions.absent()
    return found
