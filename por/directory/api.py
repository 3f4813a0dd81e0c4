"""Check ID over the API."""

from __future__ import annotations

from typing import Any, TypedDict

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from por.accounts.authentication import actor_of
from por.accounts.rules import Right
from por.api.endpoint import Endpoint, asked
from por.api.schema import described
from por.directory import actions


class CheckQuery(serializers.Serializer[Any]):
    mpn_id = serializers.CharField(allow_blank=True, help_text="4 to 10 digits; spaces and hyphens are ignored.")


class PartnerFoundShape(TypedDict):
    """What one learns of a partner by its MPN ID."""

    mpn_id: str
    name: str
    city: str
    country: str


class PartnerCheck(Endpoint):
    @described(
        "partner_check",
        "Check ID",
        """Finds the partner with exactly this MPN ID. Each check is recorded. An organisation has 20 checks a minute
        and 200 a day.""",
        answers={200: PartnerFoundShape},
        example={"mpn_id": "4471902", "name": "Nordvik Cloud AB", "city": "Göteborg", "country": "SE"},
        query=CheckQuery,
        problems={
            403: ["no_right"],
            404: ["partner_not_found"],
            409: ["partner_is_global", "partner_suspended"],
            422: ["mpn_id_malformed", "required", "null_characters_not_allowed"],
            429: ["too_many_checks"],
        },
    )
    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        actor.require(Right.CHECK_PARTNER)  # before the query is validated
        partner = actions.check(asked(request, CheckQuery)["mpn_id"], by=actor)
        found: PartnerFoundShape = {
            "mpn_id": partner.mpn_id,
            "name": partner.organisation.name,
            "city": partner.city,
            "country": partner.country,
        }
        return Response(found)
