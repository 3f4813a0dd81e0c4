"""What members have been told, one sentence each: what the inbox shows and the digest sends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from por.accounts.models import Organisation
from por.accounts.rules import OrganisationKind
from por.history.actions.recording import organisation_of
from por.history.models import Event
from por.notifications.messages import InboxText, inbox_text
from por.notifications.models import Notification


@dataclass(frozen=True)
class Entry:
    """One line: what happened, when, and where to look."""

    notification: Notification
    at: datetime
    line: InboxText


@dataclass
class Group:
    """The lines about one thing, newest first. `owner` is whose it is, where it is not the reader's own.

    `more` is how many lines there are beyond these.
    """

    name: str
    id: str
    owner: str
    entries: list[Entry] = field(default_factory=list)
    more: int = 0


def id_known(event: Event, line: InboxText, kind: str) -> str:
    """The id of what an event is about, as far as those of this kind know it.

    A partner may be told of a subscription that is not theirs to open: then the page it is led to is another one.
    """
    return event.object_id if kind != OrganisationKind.PARTNER or event.object_id in line.url else ""


def grouped(notifications: Iterable[Notification], *, reader: Organisation) -> list[Group]:
    """The lines as members of this organisation read them, in the order they come, those about one thing together.

    Their events come with them: whose they are is asked once for all of them.
    """
    found = list(notifications)
    owners = {organisation_of(one.event.chain) or reader.pk for one in found} - {reader.pk}
    names = dict(Organisation.objects.filter(pk__in=owners).values_list("pk", "name")) if owners else {}
    groups: dict[str, Group] = {}
    for one in found:
        event, line = one.event, inbox_text(one.message, one.event)
        if one.about not in groups:
            short = id_known(event, line, reader.kind)[:8] if event.object_kind == "subscription" else ""
            owner = names.get(organisation_of(event.chain) or reader.pk, "")
            groups[one.about] = Group(event.object_name, short, owner)
        groups[one.about].entries.append(Entry(one, event.at, line))
    return list(groups.values())
