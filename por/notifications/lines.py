"""The lines of notifications, grouped by object: for the inbox and the digest."""

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
    """One line: the notification, the time of its event, and its text with a link."""

    notification: Notification
    at: datetime
    line: InboxText


@dataclass
class Group:
    """The lines about one object, newest first. `owner` is the name of its organisation, empty if it is the reader's.

    `more` is how many older lines are left out.
    """

    name: str
    id: str
    owner: str
    entries: list[Entry] = field(default_factory=list)
    more: int = 0


def id_known(event: Event, line: InboxText, kind: str) -> str:
    """Return the id of the object of an event; "" if an organisation of this kind may not know it.

    A partner may be notified of a subscription that it may not open. Then the line links to another page.
    """
    return event.object_id if kind != OrganisationKind.PARTNER or event.object_id in line.url else ""


def grouped(notifications: Iterable[Notification], *, reader: Organisation) -> list[Group]:
    """Return the lines for members of this organisation, grouped by object, in the order given.

    The notifications must have their events loaded. The names of the owners take one query for all of them.
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
