"""Authenticating callers of the API, by token or session. The framework loads it before the endpoints."""

from __future__ import annotations

from typing import Any, cast

from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from por.accounts.actions import actor_of_token
from por.accounts.middleware import Request as PageRequest
from por.accounts.models import Actor, User
from por.errors import Forbidden
from por.ops.logs import name_sender


def actor_of(request: Request) -> Actor:
    """Return the actor of a request: for its active organisation with a session, for the token's with a token."""
    return cast(PageRequest, request._request).actor


def actor_of_bearer(request: PageRequest) -> Actor | None:
    """Return the actor of the token in the header; None without one. Raises AuthenticationFailed if it is invalid."""
    given = request.headers.get("Authorization")
    if given is None:
        return None
    scheme, _space, secret = given.partition(" ")
    actor = actor_of_token(secret.strip()) if scheme.lower() == "bearer" else None
    if actor is None:
        raise exceptions.AuthenticationFailed
    name_sender(
        person_id=actor.user_id,
        organisation_id=actor.organisation_id,
        token_id=actor.token.pk if actor.token else None,
    )
    return actor


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer …`. A request with this header never falls back to its session."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        page_request = cast(PageRequest, request._request)
        actor = actor_of_bearer(page_request)
        if actor is None or actor.user is None:
            return None
        page_request.actor = actor
        translation.activate(actor.user.language)
        timezone.activate(actor.time_zone)
        return actor.user, actor.token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class _OnlyHeaders:
    """A request whose token is looked for in its headers alone: nobody has been let in yet who may send a body."""

    def __init__(self, request: Request) -> None:
        self._request_itself = request
        self.POST: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request_itself, name)


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of the pages, for its active organisation. Writes must send X-CSRFToken."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(cast(Request, _OnlyHeaders(request)))
        except exceptions.PermissionDenied:
            raise Forbidden("csrf_failed", _("Send the value of the CSRF cookie in the X-CSRFToken header.")) from None
