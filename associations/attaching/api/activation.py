"""Activating a subscription from Open licensing."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.attaching.actions import activation
from associations.change_requests.api import EXAMPLE as CHANGE_REQUEST_EXAMPLE
from associations.change_requests.api import RequestedShape, requested
from associations.record.schemas import (
    ASSOCIATION_EXAMPLE,
    NOT_FOUND,
    RecordShape,
    association_shape,
)
from por.accounts.authentication import actor_of
from por.accounts.rules import Right
from por.accounts.writes import write
from por.api.endpoint import DigitsField, Endpoint, entered, etag
from por.api.schema import described


class ConsentBody(serializers.Serializer[Any]):
    """The person at the customer who agreed, and the day."""

    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(max_length=254)
    given_on = serializers.DateField()


class ActivateBody(serializers.Serializer[Any]):
    """One of the partner's own locations, and the customer's consent, which is stored."""

    mpn_id = DigitsField()
    consent = ConsentBody()


class Activate(Endpoint):
    @described(
        "activate",
        "Activate a subscription from Open licensing",
        """For an administrator of the partner, with the customer’s consent, also for a subscription that started long
        ago. The customer is told and can remove the partner. If there is another partner of record, the answer is 202,
        and the customer is asked which partner is doing the work.""",
        answers={201: RecordShape, 200: RecordShape, 202: RequestedShape},
        example={"association": ASSOCIATION_EXAMPLE | {"source": "activation"}},
        examples={202: {"change_request": CHANGE_REQUEST_EXAMPLE}},
        body=ActivateBody,
        body_example={
            "mpn_id": "4471902",
            "consent": {"name": "Elin Sandberg", "email": "elin.sandberg@vasterhamn.example", "given_on": "2026-03-01"},
        },
        problems=NOT_FOUND
        | {
            409: [
                "not_open_licensing",
                "subscription_expired",
                "subscription_suspended",
                "partner_suspended",
                "partner_is_global",
            ],
            422: [
                "mpn_id_malformed",
                "partner_not_found",
                "not_your_mpn_id",
                "consent_in_future",
                "direction_mark",
                "consent_too_early",
                "blank",
            ],
        },
        writes=True,
    )
    def post(self, request: Request, subscription_id: uuid.UUID) -> Response:
        actor = actor_of(request)

        def activate(_version: int | None) -> Response:
            given = entered(request, ActivateBody)
            consent = given["consent"]
            attached = activation.activate(
                subscription_id,
                given["mpn_id"],
                activation.StatedConsent(consent["name"], consent["email"], consent["given_on"]),
                by=actor,
            )
            if attached.request is not None:
                return Response(requested(actor, attached.request), status=202)
            status = 201 if attached.outcome == "attached" else 200
            subscription = attached.association.subscription
            assert subscription is not None
            return Response(
                {"association": association_shape(attached.association)},
                status=status,
                headers={"ETag": etag(subscription.version)},
            )

        return write(request, Right.ACTIVATE, activate)
