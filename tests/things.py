"""Events that only tests use: they are about a thing and belong to no feature."""

from __future__ import annotations

from typing import Any, TypedDict

from django.utils.translation import gettext_lazy as _

from por.history import events
from por.history.events import AGAIN, EventType, Link, register


class ThingEvent(EventType):
    DONE = "thing.done"
    ODD = "thing.odd"
    POISON = "thing.poison"
    HAPPENED = "thing.happened"


class Anything(TypedDict, total=False):
    a: Any
    number: Any
    amount: Any
    none: Any


events._verified = False  # the events of the product are verified already
for one in ThingEvent:
    register(
        one,
        payload=Anything,
        about=("thing",),
        here=_("Accepted"),
        elsewhere=_("{object} has changed"),
        icon="info",
        tone="",
        groups=(AGAIN,),
        link=Link("thing"),
        mails=(),
    )
events.verify()
