"""The actor of a request, and the language and time zone of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject

from por.accounts import sessions
from por.accounts.models import SYSTEM, Actor, Membership, User, keys_below
from por.db.prepared import Param, PreparedQuery
from por.ops.logs import name_sender
from por.web import requests as web

ACTIVE_ORGANISATION = "organisation"


class Request(web.Request):
    """A request as the views of all rooms get it."""

    user: User
    actor: Actor
    memberships: list[Membership]


class ActorMiddleware:
    """The middleware of `request.actor`: the person, for the chosen or first organisation; SYSTEM if not signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request = cast(Request, request)
        request.memberships = cast("list[Membership]", SimpleLazyObject(lambda: _find_memberships(request)))
        request.actor = cast(Actor, SimpleLazyObject(lambda: _find_actor(request)))
        if not request.user.is_authenticated:
            return self.get_response(request)
        reader = request.user  # by the time of the answer they may have signed out
        name_sender(person_id=reader.pk)
        sessions.note_use(request)
        zone = reader.time_zone if reader.own_time_zone else request.actor.time_zone
        with timezone.override(zone), translation.override(reader.language):
            request.LANGUAGE_CODE = reader.language
            response = self.get_response(request)
            if hasattr(response, "render") and not getattr(response, "is_rendered", True):
                response.render()  # in the reader's language and time zone
        response.headers["Content-Language"] = reader.language
        # Nobody finds a page in the cache of a browser that someone else used before.
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


# Once they are found, they stand in place of the lazy objects, which take longer to look into.


def _find_memberships(request: Request) -> list[Membership]:
    request.memberships = _memberships(request)
    return request.memberships


def _find_actor(request: Request) -> Actor:
    request.actor = actor = _actor(request)
    name_sender(person_id=actor.user_id, organisation_id=actor.organisation_id)
    return actor


def _memberships(request: Request) -> list[Membership]:
    if not request.user.is_authenticated:
        return []
    return _MEMBERSHIPS.all(user=request.user.pk)


_MEMBERSHIPS = PreparedQuery(
    lambda: (
        Membership.objects.select_related("organisation")
        .filter(user=Param("user"))
        .annotate(below=keys_below("organisation"))
        .order_by("organisation__kind", "organisation__name", "pk")
    )
)


def _actor(request: Request) -> Actor:
    if not request.user.is_authenticated:
        return SYSTEM
    chosen = request.session.get(ACTIVE_ORGANISATION)
    memberships = request.memberships
    membership = next((one for one in memberships if one.organisation_id == chosen), None)
    if membership is None and memberships:
        membership = memberships[0]
    if membership is None:
        return Actor(user=request.user, organisation=None)
    return Actor(
        user=request.user,
        organisation=membership.organisation,
        role=membership.role,
        below=tuple(membership.below),  # type: ignore[attr-defined]  # an annotation
    )
