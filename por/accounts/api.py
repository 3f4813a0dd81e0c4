"""Writes over the API done once, and `me/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal, NotRequired, TypedDict, cast

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from por.accounts import actions
from por.accounts.authentication import actor_of
from por.accounts.models import Actor, IdempotencyKey, Membership
from por.accounts.rules import Kind
from por.api.endpoint import Endpoint
from por.api.schema import described
from por.errors import Refused

# --- How one signs in, for the document ------------------------------------------------------------------------------


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "por.accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token, for one organisation."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "por.accounts.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The session of the pages, for its active organisation. Writes need X-CSRFToken too.",
        }


# --- Once and no more -----------------------------------------------------------------------------------------------

KEY_LENGTH = 255
#: What of a first answer is kept besides its body.
KEPT_HEADERS = ("ETag",)


def once(request: Request, work: Callable[[], Response]) -> Response:
    """Does the work; with an Idempotency-Key only the first time, and replays its answer after.

    Only what succeeded is kept, in the transaction of the work. A refusal is no failure of it: the verb that
    refused has taken its own writes back, and what it counted (tries at an ID) stays counted.
    """
    key = _key(request)
    if key is None:
        return work()
    refused: Refused | None = None
    with transaction.atomic():
        if first := _first_answer(request, key):
            return first
        try:
            response = work()
        except Refused as refusal:
            refused = refusal
        else:
            _keep(request, key, response)
    if refused is not None:
        raise refused
    return response


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key.strip()) <= KEY_LENGTH or not key.isprintable():
        raise Refused(
            "idempotency_key_malformed",
            _("The idempotency key must have 1 to 255 printable characters."),
            field="Idempotency-Key",
        )
    return key.strip()


def _first_answer(request: Request, key: str) -> Response | None:
    """The stored answer, if this request has been answered; from here on nobody else works under this key."""
    organisation_id = actor_of(request).organisation_id
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency {organisation_id} {key}"]
        )
        (mine,) = cursor.fetchone()
    if not mine:
        raise Refused(
            "idempotency_in_progress",
            _("The first request with this key is still in progress. Wait a moment, then try again."),
        )
    stored = IdempotencyKey.objects.filter(organisation=organisation_id, key=key).first()
    if stored is None:
        return None
    if stored.request_digest != _digest(request):
        raise Refused(
            "idempotency_key_reused",
            _("This key was already used for a different request. Use a new key for each request."),
            field="Idempotency-Key",
        )
    body = json.loads(stored.body) if stored.body else None
    return Response(body, status=stored.status, headers={**stored.headers, "Idempotent-Replayed": "true"})


def _keep(request: Request, key: str, response: Response) -> None:
    actions.keep_answer(
        key,
        by=actor_of(request),
        request_digest=_digest(request),
        status=response.status_code,
        headers={name: response[name] for name in KEPT_HEADERS if name in response},
        body="" if response.data is None else JSONRenderer().render(response.data).decode(),
    )


def _digest(request: Request) -> str:
    """The same for the same method, address and content, however the JSON is spaced and ordered."""
    content = json.dumps(request.data, sort_keys=True)
    return hashlib.sha256(f"{request.method} {request.get_full_path()}\n{content}".encode()).hexdigest()


# --- me/ ------------------------------------------------------------------------------------------------------------


class OrganisationShape(TypedDict):
    """An organisation one acts for: a customer has a `tenant_id`, a partner an `mpn_id`."""

    id: int
    name: str
    mpn_id: NotRequired[str]
    tenant_id: NotRequired[str]


class MembershipShape(TypedDict):
    """That the person acts for an organisation; `active` for the one this request acts for."""

    kind: Literal["customer", "partner", "staff"]
    role: str
    active: bool
    organisation: OrganisationShape


class MeShape(TypedDict):
    """Who one is here, and what one may do."""

    email: str
    language: str
    time_zone: str
    memberships: list[MembershipShape]
    rights: list[str]


class Me(Endpoint):
    @described(
        "me",
        "Who am I",
        "A token has one organisation. A session has all organisations of the person, and marks the active one.",
        answers={200: MeShape},
        example={
            "email": "elin.sandberg@vasterhamn.example",
            "language": "sv",
            "time_zone": "Europe/Stockholm",
            "memberships": [
                {
                    "kind": "customer",
                    "role": "administrator",
                    "active": True,
                    "organisation": {
                        "id": 17,
                        "name": "Västerhamn Energi AB",
                        "tenant_id": "5d1c6f0e-0f5c-4a55-9a1b-0d6f0c2b7f11",
                    },
                }
            ],
            "rights": ["partner.check", "record.attach", "record.remove", "record.undo", "token.write"],
        },
    )
    def get(self, request: Request) -> Response:
        return Response(_me(actor_of(request)))


def _me(actor: Actor) -> MeShape:
    assert actor.user is not None
    memberships = Membership.objects.select_related("organisation").filter(user=actor.user)
    if actor.token is not None:
        memberships = memberships.filter(organisation=actor.organisation)
    return {
        "email": actor.user.email,
        "language": actor.user.language,
        "time_zone": actor.user.time_zone,
        "memberships": [
            _membership(one, active=one.organisation_id == actor.organisation_id)
            for one in memberships.order_by("organisation__kind", "organisation__name", "pk")
        ],
        "rights": sorted(right for right in actor.rights if actor.may(right)),
    }


def _membership(membership: Membership, *, active: bool) -> MembershipShape:
    organisation = membership.organisation
    shape: OrganisationShape = {"id": organisation.pk, "name": organisation.name}
    match organisation.kind:
        case Kind.PARTNER:
            shape["mpn_id"] = organisation.number
        case Kind.CUSTOMER:
            shape["tenant_id"] = organisation.number
    return {
        "kind": cast(Literal["customer", "partner", "staff"], organisation.kind),
        "role": membership.role,
        "active": active,
        "organisation": shape,
    }
