"""The endpoints of the inbox of the caller, at the organisation they act for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, NoBody, entered
from por.api.lists import filtered, listing
from por.api.schema import Timestamp, described
from por.notifications.actions import inbox
from por.notifications.lines import id_known
from por.notifications.messages import address, inbox_text
from por.notifications.models import Notification
from por.web.filters import FilterForm


class AboutShape(TypedDict):
    """What a notification is about. `id` is null if the caller may not see the object itself."""

    kind: str
    id: str | None
    name: str


class NotificationShape(TypedDict):
    """One line of the inbox: what happened (`verb` of the event, and a sentence), when, and the page about it."""

    id: int
    at: Timestamp
    verb: str
    sentence: str
    object: AboutShape
    url: str | None
    status: Literal["open", "done"]
    done_at: Timestamp | None


EXAMPLE: dict[str, Any] = {
    "id": 51877,
    "at": "2026-03-02T09:41:07.318402Z",
    "verb": "partner_of_record.attached",
    "sentence": "You were made partner of record.",
    "object": {"kind": "subscription", "id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21", "name": "Office 365 E3"},
    "url": "https://por.example/p/subscriptions/0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21/",
    "status": "open",
    "done_at": None,
}
COLUMNS = ["id", "at", "verb", "sentence", "object.kind", "object.id", "object.name", "url", "status", "done_at"]
NOT_FOUND = {404: ["not_found"]}


class InboxFilter(FilterForm):
    """The filter of the inbox; without it, the list has open and done lines."""

    status = forms.ChoiceField(choices=[("open", "open"), ("done", "done")], required=False)

    def apply(self, notifications: QuerySet[Notification], actor: Actor) -> QuerySet[Notification]:
        status = self.cleaned_data["status"]
        return notifications.filter(done_at__isnull=status == "open") if status else notifications


class NotificationList(Endpoint):
    @described(
        "notifications",
        "Inbox",
        """The messages to the caller as a member of the organisation, newest first, including those that were not
        emailed. Confirmations of the caller’s own actions are marked as done from the start.""",
        answers={200: NotificationShape},
        example={"next": None, "previous": None, "results": [EXAMPLE]},
        filters=InboxFilter,
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        mine = Notification.objects.visible_to(actor).select_related("event")
        return listing(
            request,
            filtered(request, InboxFilter).apply(mine, actor),
            lambda page: [_shape(one, actor) for one in page],
            order=("-pk",),
            columns=COLUMNS,
            name="notifications",
        )


class Done(Endpoint):
    @described(
        "notification_done",
        "Mark a notification as done",
        "Only for the caller. Nothing changes if it is already done.",
        answers={200: NotificationShape},
        example=EXAMPLE | {"status": "done", "done_at": "2026-03-02T10:02:44.110903Z"},
        body=NoBody,
        problems=NOT_FOUND,
        writes=True,
    )
    def post(self, request: Request, notification_id: int) -> Response:
        return _put(request, notification_id, inbox.finish)


class Reopen(Endpoint):
    @described(
        "notification_reopen",
        "Reopen a notification",
        "Only for the caller. Nothing changes if it is already open.",
        answers={200: NotificationShape},
        example=EXAMPLE,
        body=NoBody,
        problems=NOT_FOUND,
        writes=True,
    )
    def post(self, request: Request, notification_id: int) -> Response:
        return _put(request, notification_id, inbox.reopen)


def _put(request: Request, notification_id: int, verb: Callable[..., Notification]) -> Response:
    actor: Actor = actor_of(request)

    def work(_version: int | None) -> Response:
        entered(request, NoBody)
        return Response(_shape(verb(notification_id, by=actor), actor))

    return write(request, "", work, Target(lambda: _get_visible(actor, notification_id)))


def _get_visible(actor: Actor, notification_id: int) -> Notification:
    found = Notification.objects.visible_to(actor).filter(pk=notification_id).first()
    if found is None:
        raise inbox.not_found()
    return found


def _shape(one: Notification, actor: Actor) -> NotificationShape:
    event, line = one.event, inbox_text(one.message, one.event)
    return {
        "id": one.pk,
        "at": _timestamp(event.at),
        "verb": event.verb,
        "sentence": line.sentence,
        "object": {
            "kind": event.object_kind,
            "id": id_known(event, line, actor.kind) or None,
            "name": event.object_name,
        },
        "url": address(line.url) if line.url else None,
        "status": "done" if one.done_at else "open",
        "done_at": _timestamp(one.done_at) if one.done_at else None,
    }


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
