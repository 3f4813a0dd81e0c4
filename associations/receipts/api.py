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
from por.api.schema import Timestamp, described, timestamp


class ReceiptShape(TypedDict):
    """The partner of record of a subscription, now or formerly. `until` is null while it is the partner of record.

    An undone association has neither `since` nor `until`; `undone_at` is null for every other one.
    """

    subscription: SubscriptionNameShape
    partner: PartnerShape
    since: Timestamp | None
    until: Timestamp | None
    of_record: bool
    undone_at: Timestamp | None


class Receipt(Endpoint):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @described(
        "receipt",
        "A receipt",
        """For anyone who has the link from an email about a partner of record. No sign-in is needed. An undone
        association counts as if it never happened, so it has no period.""",
        answers={200: ReceiptShape},
        example={
            "subscription": ASSOCIATION_EXAMPLE["subscription"],
            "partner": PARTNER_EXAMPLE,
            "since": ASSOCIATION_EXAMPLE["began_at"],
            "until": None,
            "of_record": True,
            "undone_at": None,
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
            "since": None if one.undone_at else shape["began_at"],
            "until": None if one.undone_at else shape["ended_at"],
            "of_record": one.is_in_force,
            "undone_at": timestamp(one.undone_at) if one.undone_at else None,
        }
        return Response(receipt, headers={"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex"})
