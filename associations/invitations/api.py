"""Invitations over the API: the partner sends and withdraws them, the customer accepts, declines or reports them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from associations.invitations import actions
from associations.invitations.actions import MOST, absent
from associations.invitations.models import Invitation
from associations.invitations.queries import invitations_for_listing, reason_for, status_for, with_status
from associations.invitations.rules import Administering, InvitationStatus
from associations.record.rules import NOTE_LENGTH
from associations.record.schemas import (
    CUSTOMER_EXAMPLE,
    NOT_FOUND,
    PARTNER_EXAMPLE,
    SKU_EXAMPLE,
    SUBSCRIPTION_EXAMPLE,
    CustomerShape,
    PartnerShape,
    ProductCode,
    SkuShape,
    customer_shape,
    partner_shape,
    sku_shape,
)
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, NoBody, TrueOrFalseField, entered, etag
from por.api.lists import filtered, listing
from por.api.schema import Guid, Is, Timestamp, described, page_of, timestamp
from por.web.filters import FilterForm


class InvitedShape(TypedDict):
    """A subscription of an invitation. `outcome` is null until the customer accepts. `code` is why it was refused."""

    id: Guid
    product: ProductCode
    sku: SkuShape | None
    seats: int | None
    outcome: Annotated[str, Is(enum=["attached", "unchanged", "change_requested", "refused"])] | None
    code: Annotated[str, Is(enum=["subscription_expired", "subscription_suspended"])] | None


class InvitationShape(TypedDict):
    """A partner's request to be the partner of record. `opened_at` is when someone at the customer first opened it.

    `delegated_admin` says whether it also asks to be a delegated administrator of the tenant. Its outcome is null until
    the customer accepts the invitation.
    """

    id: Guid
    status: Annotated[str, Is(enum=InvitationStatus.values)]
    partner: PartnerShape
    customer: CustomerShape
    subscriptions: list[InvitedShape]
    delegated_admin: bool
    delegated_admin_outcome: Annotated[str, Is(enum=Administering.values)] | None
    message: str
    sent_at: Timestamp
    expires_at: Timestamp
    opened_at: Timestamp | None
    closed_at: Timestamp | None
    reason: str
    version: int


class InviteBody(serializers.Serializer[Any]):
    """The customer, its subscriptions, whether to ask to be a delegated administrator too, and a message."""

    tenant_id = serializers.UUIDField()
    subscription_ids = serializers.ListField(child=serializers.UUIDField(), allow_empty=False, max_length=MOST)
    delegated_admin = TrueOrFalseField(required=False)
    message = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class AcceptBody(serializers.Serializer[Any]):
    """The subscriptions to accept for, and whether the partner becomes a delegated administrator, if it asks for that.

    The invitation cannot be used again, even if some are left out. With `delegated_admin`, all subscriptions can be.
    """

    subscription_ids = serializers.ListField(child=serializers.UUIDField(), max_length=MOST)
    delegated_admin = TrueOrFalseField(required=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given["subscription_ids"] and not given.get("delegated_admin"):
            message = str(serializers.ListField.default_error_messages["empty"])
            raise serializers.ValidationError({"subscription_ids": ErrorDetail(message, code="empty")})
        return given


class ReasonBody(serializers.Serializer[Any]):
    """The reason, which is optional."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class InvitationFilter(FilterForm):
    """The filters of the list; all may be left out."""

    status = forms.ChoiceField(choices=InvitationStatus.choices, required=False)
    tenant_id = forms.UUIDField(required=False)

    def apply(self, invitations: QuerySet[Invitation], actor: Actor) -> QuerySet[Invitation]:
        given = self.cleaned_data
        if given["status"]:
            invitations = with_status(actor, invitations, given["status"])
        if given["tenant_id"]:
            invitations = invitations.filter(customer__tenant_id=given["tenant_id"])
        return invitations


EXAMPLE = {
    "id": "7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11",
    "status": "sent",
    "partner": PARTNER_EXAMPLE,
    "customer": CUSTOMER_EXAMPLE,
    "subscriptions": [
        {
            "id": SUBSCRIPTION_EXAMPLE["id"],
            "product": "office365",
            "sku": SKU_EXAMPLE,
            "seats": 420,
            "outcome": None,
            "code": None,
        }
    ],
    "delegated_admin": False,
    "delegated_admin_outcome": None,
    "message": "As agreed on Monday.",
    "sent_at": "2026-03-02T09:41:07.318402Z",
    "expires_at": "2026-04-01T09:41:07.318402Z",
    "opened_at": None,
    "closed_at": None,
    "reason": "",
    "version": 1,
}


COLUMNS = [
    "id",
    "status",
    "partner.mpn_id",
    "partner.name",
    "customer.tenant_id",
    "customer.name",
    "delegated_admin",
    "delegated_admin_outcome",
    "sent_at",
    "expires_at",
    "opened_at",
    "closed_at",
    "reason",
]


CLOSED = ["invitation_accepted", "invitation_declined", "invitation_revoked", "invitation_expired"]


class InvitationList(Endpoint):
    @described(
        "invitations",
        "Invitations",
        "The invitations that a partner has sent or a customer has received, newest first.",
        answers={200: InvitationShape},
        example=page_of(EXAMPLE),
        filters=InvitationFilter,
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        return listing(
            request,
            filtered(request, InvitationFilter).apply(invitations_for_listing(actor), actor),
            lambda page: [_shape(actor, one) for one in page],
            order=("-pk",),
            columns=COLUMNS,
            name="invitations",
        )

    @described(
        "invite",
        "Invite a customer",
        """For an administrator of a partner’s location. The customer’s administrators get an email. Nothing changes
        until one of them accepts. The invitation can be used once, within 30 days.""",
        answers={201: InvitationShape},
        example=EXAMPLE,
        body=InviteBody,
        body_example={
            "tenant_id": CUSTOMER_EXAMPLE["tenant_id"],
            "subscription_ids": [SUBSCRIPTION_EXAMPLE["id"]],
            "message": "As agreed on Monday.",
        },
        problems={
            409: ["partner_suspended", "partner_is_global", "partner_closed", "subscription_expired"],
            422: ["subscription_not_found", "already_invited", "empty", "not_a_list"],
            429: ["too_many_invitations"],
        },
        writes=True,
    )
    def post(self, request: Request) -> Response:
        actor = actor_of(request)

        def invite(_version: int | None) -> Response:
            given = entered(request, InviteBody)
            sent = actions.invite(
                given["tenant_id"],
                given["subscription_ids"],
                by=actor,
                message=given.get("message", ""),
                delegated_admin=given.get("delegated_admin", False),
            )
            return _answer(actor, sent.invitation_id, status=201)

        return write(request, Right.INVITE, invite)


class InvitationDetail(Endpoint):
    @described(
        "invitation",
        "One invitation",
        "Reading the invitation does not change anything.",
        answers={200: InvitationShape},
        example=EXAMPLE,
        problems=NOT_FOUND,
    )
    def get(self, request: Request, invitation_id: uuid.UUID) -> Response:
        return _answer(actor_of(request), invitation_id)


class Accept(Endpoint):
    @described(
        "accept",
        "Accept an invitation",
        """For an administrator of the customer. Accepts for some or all of the subscriptions, and answers with the
        outcome for each. If the invitation asks for it, `delegated_admin` makes the partner a delegated administrator
        of the tenant. The invitation cannot be used again.""",
        answers={200: InvitationShape},
        example=EXAMPLE,
        body=AcceptBody,
        body_example={"subscription_ids": [SUBSCRIPTION_EXAMPLE["id"]]},
        problems=NOT_FOUND
        | {
            409: [*CLOSED, "partner_suspended", "partner_is_global", "partner_closed"],
            422: ["not_invited", "empty", "not_a_list"],
        },
        writes=True,
    )
    def post(self, request: Request, invitation_id: uuid.UUID) -> Response:
        def accept(actor: Actor) -> None:
            given = entered(request, AcceptBody)
            administers = given.get("delegated_admin", False)
            actions.accept(invitation_id, given["subscription_ids"], by=actor, delegated_admin=administers)

        return _write(request, invitation_id, Right.ANSWER_INVITATION, accept)


class Decline(Endpoint):
    @described(
        "decline",
        "Decline an invitation",
        "For an administrator of the customer. The partner can read the reason.",
        answers={200: InvitationShape},
        example=EXAMPLE,
        body=ReasonBody,
        body_example={"reason": "We work with another partner."},
        problems=NOT_FOUND | {409: CLOSED},
        writes=True,
    )
    def post(self, request: Request, invitation_id: uuid.UUID) -> Response:
        def decline(actor: Actor) -> None:
            actions.decline(invitation_id, by=actor, reason=entered(request, ReasonBody).get("reason", ""))

        return _write(request, invitation_id, Right.ANSWER_INVITATION, decline)


class ReportInvitation(Endpoint):
    @described(
        "report",
        "Report an invitation",
        """For an administrator of the customer. The partner is told that the invitation was declined. Only platform
        staff can read the reason.""",
        answers={200: InvitationShape},
        example=EXAMPLE,
        body=ReasonBody,
        body_example={"reason": "We do not know them."},
        problems=NOT_FOUND | {409: CLOSED},
        writes=True,
    )
    def post(self, request: Request, invitation_id: uuid.UUID) -> Response:
        def report(actor: Actor) -> None:
            actions.report(invitation_id, by=actor, reason=entered(request, ReasonBody).get("reason", ""))

        return _write(request, invitation_id, Right.ANSWER_INVITATION, report)


class Revoke(Endpoint):
    @described(
        "revoke",
        "Withdraw an invitation",
        "For an administrator of the partner, until the customer answers.",
        answers={200: InvitationShape},
        example=EXAMPLE,
        body=NoBody,
        problems=NOT_FOUND | {409: CLOSED},
        writes=True,
    )
    def post(self, request: Request, invitation_id: uuid.UUID) -> Response:
        def revoke(actor: Actor) -> None:
            entered(request, NoBody)
            actions.revoke(invitation_id, by=actor)

        return _write(request, invitation_id, Right.INVITE, revoke)


def _write(request: Request, invitation_id: uuid.UUID, right: Right, work: Callable[[Actor], object]) -> Response:
    actor = actor_of(request)

    def write_and_answer(_version: int | None) -> Response:
        work(actor)
        return _answer(actor, invitation_id)

    return write(request, right, write_and_answer, Target(lambda: _get_visible(actor, invitation_id)))


def _get_visible(actor: Actor, invitation_id: uuid.UUID) -> Invitation:
    found = Invitation.objects.visible_to(actor).filter(invitation_id=invitation_id).first()
    if found is None:
        raise absent()
    return found


def _answer(actor: Actor, invitation_id: uuid.UUID, *, status: int = 200) -> Response:
    found = invitations_for_listing(actor).filter(invitation_id=invitation_id).first()
    if found is None:
        raise absent()
    return Response(_shape(actor, found), status=status, headers={"ETag": etag(found.version)})


def _shape(actor: Actor, one: Invitation) -> InvitationShape:
    return {
        "id": str(one.invitation_id),
        "status": status_for(actor, one).value,
        "partner": partner_shape(one.partner),
        "customer": customer_shape(one.customer),
        "subscriptions": [
            {
                "id": str(row.subscription.subscription_id),
                "product": row.subscription.product,
                "sku": sku_shape(row.subscription),
                "seats": row.subscription.seats,
                "outcome": row.outcome or None,
                "code": row.code or None,
            }
            for row in one.invited.all()
        ],
        "delegated_admin": one.asks_to_administer,
        "delegated_admin_outcome": one.administering or None,
        "message": one.message,
        "sent_at": timestamp(one.sent_at),
        "expires_at": timestamp(one.expires_at),
        "opened_at": timestamp(one.opened_at) if one.opened_at else None,
        "closed_at": timestamp(one.closed_at) if one.closed_at else None,
        "reason": reason_for(actor, one),
        "version": one.version,
    }
