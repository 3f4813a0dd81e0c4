"""The authentication schemes of the API document, and the endpoint `me/`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict, cast

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.request import Request
from rest_framework.response import Response

from por.accounts.authentication import actor_of
from por.accounts.models import Actor, Membership
from por.accounts.rules import OrganisationKind
from por.api.endpoint import Endpoint
from por.api.schema import described

# --- Authentication, for the document --------------------------------------------------------------------------------


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


# --- me/ ------------------------------------------------------------------------------------------------------------


class OrganisationShape(TypedDict):
    """An organisation that the person acts for: a customer has a `tenant_id`, a partner an `mpn_id`."""

    id: int
    name: str
    mpn_id: NotRequired[str]
    tenant_id: NotRequired[str]


class MembershipShape(TypedDict):
    """A membership of the person; `active` marks the organisation that this request acts for."""

    kind: Literal["customer", "partner", "staff"]
    role: str
    active: bool
    organisation: OrganisationShape


class MeShape(TypedDict):
    """The caller, with their memberships and rights."""

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
        "time_zone": actor.time_zone,
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
        case OrganisationKind.PARTNER:
            shape["mpn_id"] = organisation.number
        case OrganisationKind.CUSTOMER:
            shape["tenant_id"] = organisation.number
    return {
        "kind": cast(Literal["customer", "partner", "staff"], organisation.kind),
        "role": membership.role,
        "active": active,
        "organisation": shape,
    }
