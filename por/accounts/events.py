"""The events of people's access, and of the settings of organisations."""

from __future__ import annotations

from typing import TypedDict

from django.utils.translation import gettext_lazy as _

from por.history.events import EventType, Link, event_group, register


class PeopleEvent(EventType):
    ADDED = "member.added"
    ADDED_BY_COMMAND = "member.added_by_command"
    ROLE_CHANGED = "member.role_changed"
    REMOVED = "member.removed"
    ADDED_BY_FILE = "member.added_by_file"
    REMOVED_BY_FILE = "member.removed_by_file"
    SUSPENDED = "person.suspended"
    REACTIVATED = "person.reactivated"


class OrganisationEvent(EventType):
    TIME_ZONE_CHANGED = "organisation.time_zone_changed"


class Nothing(TypedDict):
    """The event needs no payload."""


class WithRole(TypedDict):
    role: str


class RoleChanged(WithRole):
    role_before: str


class TimeZoneChanged(TypedDict):
    time_zone: str
    time_zone_before: str


PEOPLE = event_group("people", _("People and roles"), internal=True)
SETTINGS = event_group("settings", _("Settings"))
ORGANISATION = event_group("organisation", _("Name, contact and company"))
PERSON = Link("person", staff="accounts:person")

register(
    PeopleEvent.ADDED,
    payload=WithRole,
    about=("person",),
    here=_("Added to platform staff"),
    elsewhere=_("{object} added to platform staff"),
    icon="plus",
    tone="ok",
    groups=(PEOPLE,),
    link=PERSON,
    mails=(),  # notifications adds the welcome mail
)
register(
    PeopleEvent.ADDED_BY_COMMAND,
    payload=WithRole,
    about=("person",),
    here=_("Added to platform staff by a command on the server"),
    elsewhere=_("{object} added to platform staff by a command on the server"),
    icon="plus",
    tone="ok",
    groups=(PEOPLE,),
    link=PERSON,
    mails=(),  # notifications adds the welcome mail
)
register(
    PeopleEvent.ROLE_CHANGED,
    payload=RoleChanged,
    about=("person",),
    here=_("Role changed"),
    elsewhere=_("The role of {object} was changed"),
    icon="person",
    tone="",
    groups=(PEOPLE,),
    link=PERSON,
    mails=(),
)
register(
    PeopleEvent.REMOVED,
    payload=WithRole,
    about=("person",),
    here=_("Removed from platform staff"),
    elsewhere=_("{object} removed from platform staff"),
    icon="x",
    tone="bad",
    groups=(PEOPLE,),
    link=PERSON,
    mails=(),
)
register(
    PeopleEvent.ADDED_BY_FILE,
    payload=WithRole,
    about=("person",),
    here=_("Became an administrator as the contact that a file names"),
    elsewhere=_("{object} became an administrator as the contact that a file names"),
    icon="plus",
    tone="ok",
    groups=(ORGANISATION,),
    link=PERSON,
    mails=(),  # notifications adds the mails
)
register(
    PeopleEvent.REMOVED_BY_FILE,
    payload=WithRole,
    about=("person",),
    here=_("No longer an administrator, because a file names another contact"),
    elsewhere=_("{object} is no longer an administrator, because a file names another contact"),
    icon="x",
    tone="bad",
    groups=(ORGANISATION,),
    link=PERSON,
    mails=(),  # notifications adds the mail
)
register(
    PeopleEvent.SUSPENDED,
    payload=Nothing,
    about=("person",),
    here=_("Suspended"),
    elsewhere=_("{object} suspended"),
    icon="alert",
    tone="bad",
    groups=(PEOPLE,),
    link=PERSON,
    mails=(),
)
register(
    PeopleEvent.REACTIVATED,
    payload=Nothing,
    about=("person",),
    here=_("Reactivated"),
    elsewhere=_("{object} reactivated"),
    icon="ok",
    tone="ok",
    groups=(PEOPLE,),
    link=PERSON,
    mails=(),
)
register(
    OrganisationEvent.TIME_ZONE_CHANGED,
    payload=TimeZoneChanged,
    about=("organisation",),
    here=_("Time zone changed from {time_zone_before} to {time_zone}"),
    elsewhere=_("Time zone of {object} changed from {time_zone_before} to {time_zone}"),
    icon="clock",
    tone="",
    groups=(SETTINGS,),
    link=Link("organisation"),
    mails=(),
)
