"""The events of a conflict: all partners that claim the unit read them, and know each other by name."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CONFLICT, CONFLICTS, ConflictPayload
from por.history.events import EventType, register


class ConflictEvent(EventType):
    OPENED = "conflict.opened"
    JOINED = "conflict.joined"
    CLOSED = "conflict.closed"


register(
    ConflictEvent.OPENED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("{partner} claimed what another partner has claimed"),
    elsewhere=_("{partner} claimed {object}, which another partner has claimed"),
    icon="people",
    tone="bad",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(),
    names_parties=True,
)
register(
    ConflictEvent.JOINED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("{partner} claimed it too"),
    elsewhere=_("{partner} claimed {object} too"),
    icon="people",
    tone="bad",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(),
    names_parties=True,
)
register(
    ConflictEvent.CLOSED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("{partner} no longer claims it, so the conflict is closed"),
    elsewhere=_("{partner} no longer claims {object}, so the conflict is closed"),
    icon="check",
    tone="",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(),
    names_parties=True,
)
