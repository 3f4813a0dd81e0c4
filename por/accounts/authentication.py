"""Who calls the API: a token's person, or a session's. Apart from the endpoints, which the framework loads later."""

from __future__ import annotations

from typing import Any, cast

from django.utils import translation
from django.utils.translation import gettext_lazy as _
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from por.accounts.actions import actor_of_token
from por.accounts.middleware import Request as PageRequest
from por.accounts.models import Actor, User
from por.errors import Forbidden


def actor_of(request: Request) -> Actor:
    """Who acts: a session's person for their active organisation, a token's for the token's."""
    return cast(PageRequest, request._request).actor


def actor_of_bearer(request: PageRequest) -> Actor | None:
    """Whom the token speaks for, None without one. Raises AuthenticationFailed for one that does not count."""
    given = request.headers.get("Authorization")
    if given is None:
        return None
    scheme, _space, secret = given.partition(" ")
    actor = actor_of_token(secret.strip()) if scheme.lower() == "bearer" else None
    if actor is None:
        raise exceptions.AuthenticationFailed
    return actor


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer …`. Whoever sends that header is never taken for the person of a session instead."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        page_request = cast(PageRequest, request._request)
        actor = actor_of_bearer(page_request)
        if actor is None or actor.user is None:
            return None
        page_request.actor = actor
        translation.activate(actor.user.language)
        return actor.user, actor.token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of the pages, for the organisation that is active there; writes carry X-CSRFToken."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied:
            raise Forbidden("csrf_failed", _("Send the value of the CSRF cookie in the X-CSRFToken header.")) from None
