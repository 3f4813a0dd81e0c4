"""Attaching, removing and undoing: each checks in the order 404, 403, 428 or 412, 422, 409."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations import actions
from associations.api.shapes import ASSOCIATION_EXAMPLE, RecordShape, association_shape
from associations.api.subscriptions import NOT_FOUND, theirs
from associations.forms import NOTE_LENGTH
from associations.models import Association
from por.accounts.api import once
from por.accounts.authentication import actor_of
from por.api.endpoint import Endpoint, entered, etag, matches
from por.api.schema import described
from por.directory.models import Subscription
from por.errors import Stale


class AttachBody(serializers.Serializer[Any]):
    """Who shall be of record, and, if not from now on, from the start of which UTC day."""

    mpn_id = serializers.CharField(allow_blank=True, help_text="4 to 10 digits; spaces and hyphens are ignored.")
    began_on = serializers.DateField(
        required=False, allow_null=True, help_text="Up to 12 months back, not before the subscription."
    )
    note = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=NOTE_LENGTH,
        help_text="Kept in the history; the partner can read it.",
    )


class RemoveBody(serializers.Serializer[Any]):
    """Why, if the customer wants to say so."""

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
        """The partner with this MPN ID becomes of record: 201. If it is already, nothing changes, or an earlier
        `began_on` moves its start back: 200. The partner is told by e-mail.""",
        answers={201: RecordShape, 200: RecordShape},
        example={"association": ASSOCIATION_EXAMPLE},
        body=AttachBody,
        body_example={"mpn_id": "4471902", "note": "They migrate our mail."},
        problems=NOT_FOUND
        | {
            409: [
                "held_by_another",
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
        subscription = _may_write(request, subscription_id, "record.attach")

        def attach() -> Response:
            version = _seen(request, subscription)
            given = entered(request, AttachBody)
            attached = actions.attach(
                subscription_id,
                given["mpn_id"],
                by=actor_of(request),
                began_on=given.get("began_on"),
                note=given.get("note", ""),
                version=version,
            )
            return _answer(subscription, attached.association, 201 if attached.outcome == "attached" else 200)

        return once(request, attach)

    @described(
        "remove",
        "Remove the partner of record",
        "At once, and without asking the partner, who is told by e-mail.",
        answers={204: None},
        body=RemoveBody,
        body_example={"reason": "The project has ended."},
        problems=NOT_FOUND | {409: ["no_partner_of_record"]},
        writes=True,
        versioned=True,
    )
    def delete(self, request: Request, subscription_id: uuid.UUID) -> Response:
        subscription = _may_write(request, subscription_id, "record.remove")

        def remove() -> Response:
            version = _seen(request, subscription)
            given = entered(request, RemoveBody)
            actions.remove(subscription_id, by=actor_of(request), reason=given.get("reason", ""), version=version)
            return Response(status=204, headers=_tag(subscription))

        return once(request, remove)


class Undo(Endpoint):
    @described(
        "undo",
        "Undo the last attach or removal",
        "Within 30 minutes, by any administrator of the customer. Answers who is of record then.",
        answers={200: RecordShape},
        example={"association": None},
        body=UndoBody,
        problems=NOT_FOUND
        | {409: ["nothing_to_undo", "undo_too_late", "slot_taken", "subscription_expired", "partner_closed"]},
        writes=True,
        versioned=True,
    )
    def post(self, request: Request, subscription_id: uuid.UUID) -> Response:
        subscription = _may_write(request, subscription_id, "record.undo")

        def undo() -> Response:
            version = _seen(request, subscription)
            entered(request, UndoBody)
            association = actions.undo(subscription_id, by=actor_of(request), version=version)
            return _answer(subscription, association, 200)

        return once(request, undo)


def _may_write(request: Request, subscription_id: uuid.UUID, right: str) -> Subscription:
    """Whether it is theirs comes before whether they may. The verb looks again, under its lock."""
    subscription = theirs(request, subscription_id)
    actor_of(request).require(right)
    return subscription


def _seen(request: Request, subscription: Subscription) -> int | None:
    """The version the verb must find under its lock; None if the caller takes any."""
    if not matches(request, subscription.version):
        raise Stale("stale", _("This subscription has changed since you read it. Read it again, then decide."))
    return None if request.headers["If-Match"].strip() == "*" else subscription.version


def _tag(subscription: Subscription) -> dict[str, str]:
    """The new ETag; the verb's lock still holds, so nobody else has written since."""
    return {"ETag": etag(Subscription.objects.values_list("version", flat=True).get(pk=subscription.pk))}


def _answer(subscription: Subscription, association: Association | None, status: int) -> Response:
    body: RecordShape = {"association": None}
    if association is not None:
        association.subscription, association.customer = subscription, subscription.customer
        body["association"] = association_shape(association)
    return Response(body, status=status, headers=_tag(subscription))
