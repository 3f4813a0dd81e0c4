"""Events of the tests' own: about a thing, and of no feature of the product."""

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


events._verified = False  # the product's own are verified by now
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
