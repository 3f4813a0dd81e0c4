"""Receipts over the API: whether a partner is partner of record, for anyone with the link from a message."""

from __future__ import annotations

from typing import TypedDict

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from associations.record import signing
from associations.record.schemas import (
    ASSOCIATION_EXAMPLE,
    PARTNER_EXAMPLE,
    PartnerShape,
    SubscriptionNameShape,
    association_shape,
)
from por.api.endpoint import Endpoint
from por.api.schema import Timestamp, described


class ReceiptShape(TypedDict):
    """The partner of record of a subscription, now or formerly. `until` is null while it is the partner of record."""

    subscription: SubscriptionNameShape
    partner: PartnerShape
    since: Timestamp
    until: Timestamp | None
    of_record: bool


class Receipt(Endpoint):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @described(
        "receipt",
        "A receipt",
        """For anyone who has the link from an email about a partner of record. No sign-in is needed. An undone
        association counts as if it never happened, and has no end.""",
        answers={200: ReceiptShape},
        example={
            "subscription": ASSOCIATION_EXAMPLE["subscription"],
            "partner": PARTNER_EXAMPLE,
            "since": ASSOCIATION_EXAMPLE["began_at"],
            "until": None,
            "of_record": True,
        },
        problems={404: ["not_found"]},
        public=True,
    )
    def get(self, request: Request, signed: str) -> Response:
        one = signing.read(signed)
        shape = association_shape(one)
        assert shape["subscription"] is not None
        receipt: ReceiptShape = {
            "subscription": shape["subscription"],
            "partner": shape["partner"],
            "since": shape["began_at"],
            "until": shape["ended_at"],
            "of_record": one.ended_at is None and one.undone_at is None,
        }
        return Response(receipt, headers={"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex"})
