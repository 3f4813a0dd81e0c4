"""The events of imports, and of what an import changes."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.utils.translation import gettext_lazy as _

from por.history.events import EventType, Link, event_group, register


class ImportEvent(EventType):
    LOADED = "estate.loaded"
    REQUESTED = "estate.load_requested"
    CANCELLED = "estate.load_cancelled"
    ENDED = "estate.load_ended"
    FAILED = "estate.load_failed"
    MAPPING_KEPT = "estate.mapping_kept"
    MAPPING_CHANGED = "estate.mapping_changed"
    MAPPING_REMOVED = "estate.mapping_removed"


class Loaded(TypedDict):
    """How many rows about one organisation a file created and changed."""

    file: str
    created: int
    changed: int


class Requested(TypedDict):
    dry_run: bool
    files: dict[str, int]  # the size of each


class Cancelled(TypedDict):
    """The event needs no payload."""


class Ended(TypedDict):
    """The number of rows of all files by outcome; `ended` is how many associations ended, `reopened` how many go on."""

    dry_run: bool
    ended: int
    reopened: NotRequired[int]
    created: int
    changed: int
    unchanged: int
    failed: int


class Failed(TypedDict):
    dry_run: bool
    failure: str


class Mapped(TypedDict):
    """The files that a mapping makes, and a fingerprint of its text."""

    files: list[str]
    sha256: str


LOADED = event_group("loaded", _("Imported from files"))
IMPORT = Link("load", staff="estate:load_detail")
MAPPING = Link("mapping", staff="estate:mapping_detail")

register(
    ImportEvent.LOADED,
    payload=Loaded,
    about=("estate",),
    here=_("Data updated: {object}"),
    elsewhere=_("Data updated: {object}"),
    icon="download",
    tone="info",
    groups=(LOADED,),
    link=Link("estate"),
    mails=(),
)
register(
    ImportEvent.REQUESTED,
    payload=Requested,
    about=("load",),
    here=_("Import requested"),
    elsewhere=_("Import requested: {object}"),
    icon="upload",
    tone="info",
    groups=(LOADED,),
    link=IMPORT,
    mails=(),
)
register(
    ImportEvent.CANCELLED,
    payload=Cancelled,
    about=("load",),
    here=_("Import cancelled"),
    elsewhere=_("Import cancelled: {object}"),
    icon="x",
    tone="",
    groups=(LOADED,),
    link=IMPORT,
    mails=(),
)
register(
    ImportEvent.ENDED,
    payload=Ended,
    about=("load",),
    here=_("Import finished"),
    elsewhere=_("Import finished: {object}"),
    icon="ok",
    tone="ok",
    groups=(LOADED,),
    link=IMPORT,
    mails=(),
)
register(
    ImportEvent.FAILED,
    payload=Failed,
    about=("load",),
    here=_("Import failed"),
    elsewhere=_("Import failed: {object}"),
    icon="alert",
    tone="bad",
    groups=(LOADED,),
    link=IMPORT,
    mails=(),
)
register(
    ImportEvent.MAPPING_KEPT,
    payload=Mapped,
    about=("mapping",),
    here=_("Mapping kept"),
    elsewhere=_("Mapping kept: {object}"),
    icon="plus",
    tone="info",
    groups=(LOADED,),
    link=MAPPING,
    mails=(),
)
register(
    ImportEvent.MAPPING_CHANGED,
    payload=Mapped,
    about=("mapping",),
    here=_("Mapping changed"),
    elsewhere=_("Mapping changed: {object}"),
    icon="arrows",
    tone="info",
    groups=(LOADED,),
    link=MAPPING,
    mails=(),
)
register(
    ImportEvent.MAPPING_REMOVED,
    payload=Mapped,
    about=("mapping",),
    here=_("Mapping removed"),
    elsewhere=_("Mapping removed: {object}"),
    icon="x",
    tone="",
    groups=(LOADED,),
    link=MAPPING,
    mails=(),
)
