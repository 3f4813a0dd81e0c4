"""The events of mails."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.utils.translation import gettext_lazy as _

from por.history.events import AGAIN, EventType, Link, register


class DeliveryEvent(EventType):
    REPLAYED = "delivery.replayed"


class Replayed(TypedDict):
    event: NotRequired[int]
    status: str
    attempts: int


register(
    DeliveryEvent.REPLAYED,
    payload=Replayed,
    about=("delivery",),
    here=_("The message about this was sent again"),
    elsewhere=_("The message about {object} was sent again"),
    icon="send",
    tone="info",
    groups=(AGAIN,),
    link=Link("delivery", staff="notifications:delivery_detail"),
    mails=(),
)
