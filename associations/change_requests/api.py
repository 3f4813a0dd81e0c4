"""Change requests: the list, one of them, the customer's answer, a partner's statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from django import forms
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.change_requests import actions as change_requests
from associations.change_requests.actions import absent
from associations.change_requests.models import ChangeRequest, ChangeRequestQuerySet
from associations.change_requests.queries import requests_for_listing, visible_requests
from associations.change_requests.rules import STATEMENT_LENGTH, Cancellation, ChangeStatus
from associations.change_requests.schemas import ChallengerShape, ChangeStatusCode, IncumbentShape, question_shape
from associations.record.schemas import (
    CUSTOMER_EXAMPLE,
    NOT_FOUND,
    PARTNER_EXAMPLE,
    SKU_EXAMPLE,
    SUBSCRIPTION_EXAMPLE,
    CustomerShape,
    ProductCode,
    SkuShape,
    customer_shape,
    sku_shape,
)
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import DigitsField, Endpoint, entered, etag
from por.api.lists import filtered, listing
from por.api.schema import Guid, Is, Timestamp, described, page_of, timestamp
from por.web.filters import FilterForm

CancellationCode = Annotated[str, Is(enum=Cancellation.values)]


class AskedAboutShape(TypedDict):
    """The subscription of a change request. A proposed partner sees nothing else of it."""

    id: Guid
    customer: CustomerShape
    product: ProductCode
    sku: SkuShape | None
    seats: int | None


class AnswerShape(TypedDict):
    """The customer's answer: the partner that is doing the work, null for neither. All parties read the statement."""

    mpn_id: str | None
    statement: str
    at: Timestamp


class ChangeRequestShape(TypedDict):
    """The customer is asked which partner is doing the work. The partner of record stays until the customer answers."""

    id: int
    status: ChangeStatusCode
    subscription: AskedAboutShape
    incumbent: IncumbentShape
    challengers: list[ChallengerShape]
    opened_at: Timestamp
    due_at: Timestamp
    closed_at: Timestamp | None
    cancelled_because: CancellationCode | None
    answer: AnswerShape | None
    version: int


class RequestedShape(TypedDict):
    """The change request that was opened or joined."""

    change_request: ChangeRequestShape


class AnswerBody(serializers.Serializer[Any]):
    """The partner that is doing the work: a party, by its MPN ID, or null for neither."""

    mpn_id = DigitsField(allow_null=True, help_text="A party to the change request; null: neither.")
    statement = serializers.CharField(
        required=False, allow_blank=True, max_length=STATEMENT_LENGTH, help_text="Why. All parties read it."
    )


class StatementBody(serializers.Serializer[Any]):
    """What a partner does for the customer. The other partners never read it."""

    text = serializers.CharField(max_length=STATEMENT_LENGTH)


class ChangeRequestFilter(FilterForm):
    """The filters of the list. All are optional."""

    status = forms.ChoiceField(choices=ChangeStatus.choices, required=False)
    subscription = forms.UUIDField(required=False)

    def apply(self, requests: ChangeRequestQuerySet, actor: Actor) -> ChangeRequestQuerySet:
        given = self.cleaned_data
        if given["status"]:
            requests = requests.filter(status=given["status"])
        if given["subscription"]:
            requests = requests.filter(subscription__subscription_id=given["subscription"])
        return requests


COLUMNS = [
    "id",
    "status",
    "subscription.id",
    "subscription.customer.tenant_id",
    "subscription.customer.name",
    "subscription.product",
    "subscription.seats",
    "incumbent.mpn_id",
    "incumbent.name",
    "opened_at",
    "due_at",
    "closed_at",
    "cancelled_because",
    "answer.mpn_id",
]


EXAMPLE = {
    "id": 318,
    "status": "open",
    "subscription": {
        "id": SUBSCRIPTION_EXAMPLE["id"],
        "customer": CUSTOMER_EXAMPLE,
        "product": "office365",
        "sku": SKU_EXAMPLE,
        "seats": 420,
    },
    "incumbent": {**PARTNER_EXAMPLE, "since": "2025-03-02T09:41:07.318402Z", "statement": None},
    "challengers": [
        {
            "mpn_id": "5127255",
            "name": "Halden Systems AB",
            "joined_at": "2026-03-02T09:41:07.318402Z",
            "statement": "We have moved their mail and train their people.",
            "note": "They migrate our mail.",
        }
    ],
    "opened_at": "2026-03-02T09:41:07.318402Z",
    "due_at": "2026-03-16T23:00:00Z",
    "closed_at": None,
    "cancelled_because": None,
    "answer": None,
    "version": 2,
}


CLOSED = ["change_request_answered", "change_request_expired", "change_request_cancelled"]


class ChangeRequestList(Endpoint):
    @described(
        "change_requests",
        "Change requests",
        """A customer gets its own change requests, a partner those it is part of. A partner cannot read the statements
        and notes of other partners.""",
        answers={200: ChangeRequestShape},
        example=page_of(EXAMPLE),
        filters=ChangeRequestFilter,
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        found = filtered(request, ChangeRequestFilter).apply(requests_for_listing(actor), actor)
        return listing(
            request, found, lambda page: _shapes(actor, page), order=("-pk",), columns=COLUMNS, name="change-requests"
        )


class ChangeRequestDetail(Endpoint):
    @described(
        "change_request",
        "One change request",
        "The partners in the change request, and the answer.",
        answers={200: ChangeRequestShape},
        example=EXAMPLE,
        problems=NOT_FOUND,
    )
    def get(self, request: Request, request_id: int) -> Response:
        return _answered(actor_of(request), request_id)


class Answer(Endpoint):
    @described(
        "answer",
        "Answer a change request",
        """For an administrator of the customer. The answer changes the record immediately, and all partners in the
        change request are told. The answer can be undone within 30 minutes.""",
        answers={200: ChangeRequestShape},
        example=EXAMPLE
        | {
            "status": "answered",
            "answer": {"mpn_id": "5127255", "statement": "They do.", "at": "2026-03-04T08:00:00Z"},
            "closed_at": "2026-03-04T08:00:00Z",
        },
        body=AnswerBody,
        body_example={"mpn_id": "5127255", "statement": "They do."},
        problems=NOT_FOUND
        | {
            409: [
                *CLOSED,
                "subscription_expired",
                "subscription_suspended",
                "partner_suspended",
                "partner_closed",
                "partner_is_global",
            ],
            412: ["stale"],
            422: ["not_a_party"],
        },
        writes=True,
    )
    def post(self, request: Request, request_id: int) -> Response:
        def answer(version: int | None) -> Response:
            actor = actor_of(request)
            given = entered(request, AnswerBody)
            change_requests.answer(
                request_id,
                given["mpn_id"],
                by=actor,
                statement=given.get("statement", ""),
                version=version,
            )
            return _answered(actor, request_id)

        return _write(request, request_id, Right.ANSWER_CHANGE_REQUEST, answer)


class State(Endpoint):
    @described(
        "statement",
        "Send a statement to the customer",
        """For a partner in the change request. Each partner has one statement and can change it until the customer
        answers. Only the customer can read it.""",
        answers={200: ChangeRequestShape},
        example=EXAMPLE,
        body=StatementBody,
        body_example={"text": "We have moved their mail and train their people."},
        problems=NOT_FOUND | {409: CLOSED, 412: ["stale"], 422: ["blank", "statement_empty"]},
        writes=True,
    )
    def post(self, request: Request, request_id: int) -> Response:
        def state(version: int | None) -> Response:
            actor = actor_of(request)
            change_requests.submit_statement(
                request_id, entered(request, StatementBody)["text"], by=actor, version=version
            )
            return _answered(actor, request_id)

        return _write(request, request_id, Right.SUBMIT_STATEMENT, state)


def requested(actor: Actor, change_request: ChangeRequest) -> RequestedShape:
    """Return the answer to proposing another partner."""
    return {"change_request": _shapes(actor, requests_for_listing(actor).filter(pk=change_request.pk))[0]}


def _write(request: Request, request_id: int, right: str, work: Callable[[int | None], Response]) -> Response:
    stale = _("This change request has changed since you read it. Read it again, then try again.")
    return write(request, right, work, Target(lambda: _get_visible(actor_of(request), request_id), stale))


def _get_visible(actor: Actor, request_id: int) -> ChangeRequest:
    found = ChangeRequest.objects.visible_to(actor).filter(pk=request_id).first()
    if found is None:
        raise absent()
    return found


def _answered(actor: Actor, request_id: int) -> Response:
    shapes = _shapes(actor, requests_for_listing(actor).filter(pk=request_id))
    if not shapes:
        raise absent()
    return Response(shapes[0], headers={"ETag": etag(shapes[0]["version"])})


def _shapes(actor: Actor, requests: Any) -> list[ChangeRequestShape]:
    shapes: list[ChangeRequestShape] = []
    for visible in visible_requests(actor, requests):
        one = visible.request
        subscription = one.subscription
        answer: AnswerShape | None = None
        if one.status == ChangeStatus.ANSWERED and one.closed_at:
            answer = {
                "mpn_id": one.chosen.mpn_id if one.chosen else None,
                "statement": one.answer_statement,
                "at": timestamp(one.closed_at),
            }
        shapes.append(
            {
                **question_shape(visible),
                "subscription": {
                    "id": str(subscription.subscription_id),
                    "customer": customer_shape(subscription.customer),
                    "product": subscription.product,
                    "sku": sku_shape(subscription),
                    "seats": subscription.seats,
                },
                "closed_at": timestamp(one.closed_at) if one.closed_at else None,
                "cancelled_because": one.cancelled_because or None,
                "answer": answer,
                "version": one.version,
            }
        )
    return shapes
