"""Attaching, removing and undoing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NotRequired

from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo as undoing
from associations.change_requests.api import EXAMPLE as CHANGE_REQUEST_EXAMPLE
from associations.change_requests.api import ChangeRequestShape, RequestedShape, requested
from associations.record.models import Association
from associations.record.rules import NOTE_LENGTH
from associations.record.schemas import ASSOCIATION_EXAMPLE, NOT_FOUND, RecordShape, association_shape, get_visible
from por.accounts.authentication import actor_of
from por.accounts.rules import OrganisationKind, Right
from por.accounts.writes import Target, write
from por.api.endpoint import DigitsField, Endpoint, TrueOrFalseField, entered, etag
from por.api.schema import described


class AttachBody(serializers.Serializer[Any]):
    """The partner to attach, and the day from which it counts; from now on without one, or with the caller’s today.

    `switch` decides what happens if another partner is the partner of record.
    """

    mpn_id = DigitsField(allow_blank=True, help_text="4 to 10 digits; spaces and hyphens are ignored.")
    began_on = serializers.DateField(
        required=False, allow_null=True, help_text="Up to 12 months back, not before the subscription."
    )
    note = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=NOTE_LENGTH,
        help_text="Kept in the history; the partner can read it.",
    )
    switch = TrueOrFalseField(
        required=False,
        help_text="Replace another partner of record at once, instead of asking which partner is doing the work.",
    )


class AttachedShape(RecordShape):
    """The association that the attach led to. After a switch, the change request that it answered too."""

    change_request: NotRequired[ChangeRequestShape]


class RemoveBody(serializers.Serializer[Any]):
    """The customer's reason, if it wants to give one."""

    reason = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=NOTE_LENGTH,
        help_text="Kept in the history; the partner can read it.",
    )


class UndoBody(serializers.Serializer[Any]):
    """Nothing."""


class PartnerOfRecord(Endpoint):
    @described(
        "attach",
        "Attach a partner of record",
        """201: the partner with this MPN ID becomes the partner of record. 200: it already was the partner of record;
        nothing changes, or another `began_on` moves its start date, earlier or later. Or the record moved at once from
        another location of the same company. 202: another partner is the partner of record and stays, and the customer
        is asked which partner is doing the work. With `"switch": true` nobody is asked: the partner replaces the other
        one at once, and the answer is 200 with the change request that this answered. The partners get an email.""",
        answers={201: RecordShape, 200: AttachedShape, 202: RequestedShape},
        example={"association": ASSOCIATION_EXAMPLE},
        examples={202: {"change_request": CHANGE_REQUEST_EXAMPLE}},
        body=AttachBody,
        body_example={"mpn_id": "4471902", "note": "They migrate our mail."},
        problems=NOT_FOUND
        | {
            409: [
                "subscription_expired",
                "subscription_suspended",
                "partner_suspended",
                "partner_is_global",
            ],
            422: [
                "mpn_id_malformed",
                "partner_not_found",
                "began_on_too_early",
                "began_on_in_future",
                "overlaps_another_period",
            ],
            429: ["too_many_checks"],
        },
        writes=True,
        versioned=True,
    )
    def put(self, request: Request, subscription_id: uuid.UUID) -> Response:
        def attach(version: int | None) -> Response:
            given = entered(request, AttachBody)
            attached = attaching.attach(
                subscription_id,
                given["mpn_id"],
                by=actor_of(request),
                began_on=given.get("began_on"),
                note=given.get("note", ""),
                version=version,
                switch=given.get("switch", False),
            )
            body: Any = _body(attached.association)
            status = 201 if attached.outcome == "attached" else 200
            if attached.request is not None:
                change = requested(actor_of(request), attached.request)
                body, status = (body | change, 200) if attached.outcome == "switched" else (change, 202)
            return Response(body, status=status, headers=_etag(attached.association))

        return _write(request, subscription_id, Right.ATTACH, attach)

    @described(
        "remove",
        "Remove the partner of record",
        """By the customer, or by the partner of record itself, which so resigns. Takes effect immediately. The other
        side is not asked and gets an email. An open change request is cancelled; if the customer undoes its removal, it
        is open again.""",
        answers={204: None},
        body=RemoveBody,
        body_example={"reason": "The project has ended."},
        problems=NOT_FOUND | {409: ["no_partner_of_record"]},
        writes=True,
        versioned=True,
    )
    def delete(self, request: Request, subscription_id: uuid.UUID) -> Response:
        def remove(version: int | None) -> Response:
            reason = entered(request, RemoveBody).get("reason", "")
            end = attaching.resign if resigns else attaching.remove
            ended = end(subscription_id, by=actor_of(request), reason=reason, version=version)
            return Response(status=204, headers=_etag(ended))

        resigns = actor_of(request).kind == OrganisationKind.PARTNER
        return _write(request, subscription_id, Right.RESIGN if resigns else Right.REMOVE, remove)


class Undo(Endpoint):
    @described(
        "undo",
        "Undo the last attach, removal or answer",
        """For any administrator of the customer, within 30 minutes. A start date that was moved is moved back. Answers
        with the partner of record afterwards. If an answer is undone, its change request opens again, and so does one
        that the removal cancelled.""",
        answers={200: RecordShape},
        example={"association": None},
        body=UndoBody,
        problems=NOT_FOUND
        | {
            409: [
                "nothing_to_undo",
                "undo_too_late",
                "slot_taken",
                "subscription_expired",
                "partner_closed",
                "partner_is_global",
            ]
        },
        writes=True,
        versioned=True,
    )
    def post(self, request: Request, subscription_id: uuid.UUID) -> Response:
        def undo(version: int | None) -> Response:
            entered(request, UndoBody)
            with transaction.atomic():  # so that no one makes another version before this one is read
                association = undoing.undo(subscription_id, by=actor_of(request), version=version)
                version = get_visible(request, subscription_id).version
            return Response(_body(association), headers={"ETag": etag(version)})

        return _write(request, subscription_id, Right.UNDO, undo)


def _write(
    request: Request, subscription_id: uuid.UUID, right: str, work: Callable[[int | None], Response]
) -> Response:
    stale = _("This subscription has changed since you read it. Read it again, then try again.")
    return write(request, right, work, Target(lambda: get_visible(request, subscription_id), stale, must_match=True))


def _etag(association: Association) -> dict[str, str]:
    """Return the ETag header of the subscription after the verb."""
    assert association.subscription is not None
    return {"ETag": etag(association.subscription.version)}


def _body(association: Association | None) -> RecordShape:
    return {"association": None if association is None else association_shape(association)}
