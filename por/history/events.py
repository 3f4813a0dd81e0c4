"""The vocabulary of events. Each feature declares its events once, in its `events.py`, and everything else reads that:
histories and their filters, the inbox, mails, search. An event that lacks a part, or has one that does not fit, stops
the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, TypedDict, Unpack, get_origin, get_type_hints

from django.core.exceptions import ImproperlyConfigured
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from por.history.models import Event
from por.web.icons import ICONS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

TONES = {"", "ok", "bad", "info"}
PLACEHOLDER = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


class EventType(StrEnum):
    """The types of a feature's events. The value is stored as the event's verb, so it never changes."""


# --- Texts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """One of several texts, chosen by one of its values. A value that is absent counts as None."""

    by: str
    texts: Mapping[Any, Text]
    otherwise: Text

    def of(self, values: Mapping[str, Any]) -> Text:
        given = values.get(self.by)
        return next((text for value, text in self.texts.items() if value == given), self.otherwise)


#: A text with placeholders, a choice, or several texts that follow each other.
if TYPE_CHECKING:
    Text = str | LazyText | Choice | tuple["Text", ...]


def chosen(text: Text, values: Mapping[str, Any]) -> str:
    """Return the text in the active language, its placeholders still in it."""
    if isinstance(text, Choice):
        return chosen(text.of(values), values)
    if isinstance(text, tuple):
        return " ".join(chosen(one, values) for one in text)
    return str(text)


def render(text: Text, values: Mapping[str, Any]) -> str:
    """Return the text in the active language, with the values in place of its placeholders."""
    return chosen(text, values) % values


def sentences(text: Text) -> Iterator[str | LazyText]:
    """Yield every sentence that the text may contain."""
    if isinstance(text, Choice):
        for one in (*text.texts.values(), text.otherwise):
            yield from sentences(one)
    elif isinstance(text, tuple):
        for one in text:
            yield from sentences(one)
    else:
        yield text


def unfit(text: Text, required: frozenset[str], optional: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what is wrong with a text that gets these values, of which the optional ones may be absent."""
    if isinstance(text, Choice):
        if text.by not in required | optional:
            yield f"is chosen by an unknown value {text.by}"
        given = required | {text.by}
        for value, one in text.texts.items():
            yield from unfit(one, required - {text.by} if value is None else given, optional)
        yield from unfit(text.otherwise, given if None in text.texts else required, optional)
    elif isinstance(text, tuple):
        for one in text:
            yield from unfit(one, required, optional)
    elif not str(text):
        yield "is empty"
    else:
        for match in PLACEHOLDER.finditer(str(text)):
            if (name := match[1] or match[2]) not in required:
                yield f"uses {name}, which it does not get"


# --- The parts of an event ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EventGroup:
    """A choice in the filter of a history. Only staff see an internal group."""

    key: str
    label: LazyText
    internal: bool = False


@dataclass(frozen=True)
class Link:
    """The page an event links to, by its name in the URLs, for each kind of reader; "" where there is none.

    The page shows an object of this kind: the object of the event, or the one in the payload under `key`.
    """

    kind: str
    customer: str = ""
    partner: str = ""
    staff: str = ""
    key: str = ""


class Message(Protocol):
    """A mail about an event. It belongs to a room above, and checks itself."""

    @property
    def name(self) -> str: ...

    def unfit(self, payload: type[Any]) -> Iterator[str]: ...

    def texts(self) -> Iterable[Text]: ...


class EventParts(TypedDict):
    """The parts that a feature declares for an event."""

    payload: type[Any]  # a typed dict: what `changes` of the stored event holds
    about: tuple[str, ...]  # the kinds of object it may be about
    here: Text  # on the page of its object; placeholders are keys of the payload, or `object`: its name, linked
    elsewhere: Text  # where events of other objects are shown too
    icon: str
    tone: str
    groups: tuple[EventGroup, ...]
    link: Link
    mails: tuple[Message, ...]
    notify: NotRequired[Callable[[Event], None]]  # sends these mails
    detail: NotRequired[Callable[[Event], str]]  # shown below the text of an event without a reason
    names_parties: NotRequired[bool]  # the partners that read it may know the one that the payload names
    reason_is_private: NotRequired[bool]  # of the partners, only the one that the payload names reads the reason
    undoes: NotRequired[tuple[EventType, ...]]  # the events whose mail is withdrawn, if it has not left


@dataclass(frozen=True)
class EventSpec:
    """An event as it is registered; its parts are those of EventParts."""

    name: EventType
    payload: type[Any]
    about: tuple[str, ...]
    here: Text
    elsewhere: Text
    icon: str
    tone: str
    groups: tuple[EventGroup, ...]
    link: Link
    mails: tuple[Message, ...]
    notify: Callable[[Event], None] | None = None
    detail: Callable[[Event], str] | None = None
    names_parties: bool = False
    reason_is_private: bool = False
    undoes: tuple[EventType, ...] = ()


# --- The registry ---------------------------------------------------------------------------------------------------

_groups: dict[str, EventGroup] = {}
_specs: dict[str, EventSpec] = {}
_keys: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
_verified = False
#: The parts that an event may lack.
_OPTIONAL = {"notify", "detail", "names_parties", "reason_is_private", "undoes"}


def event_group(key: str, label: LazyText, *, internal: bool = False) -> EventGroup:
    """Register a group of the history's filter."""
    _groups[key] = EventGroup(key, label, internal)
    return _groups[key]


def register(name: EventType, **parts: Unpack[EventParts]) -> EventSpec:
    """Register an event, so that it can be recorded and shown."""
    if _verified:
        raise ImproperlyConfigured(f"The event {name} was registered too late: the events are verified already.")
    if missing := sorted(EventParts.__annotations__.keys() - parts.keys() - _OPTIONAL):
        raise ImproperlyConfigured(f"The event {name} lacks {', '.join(missing)}.")
    if name in _specs:
        raise ImproperlyConfigured(f"The event {name} is registered twice.")
    _specs[name] = EventSpec(name, **parts)
    _keys[name] = keys(parts["payload"])
    return _specs[name]


def add_mails(name: EventType, *, mails: tuple[Message, ...], notify: Callable[[Event], None]) -> None:
    """Give an event the mails that a room above its own sends."""
    if name not in _specs or _specs[name].mails or _verified:
        raise ImproperlyConfigured(f"The event {name} cannot be given mails: it is unknown, has some, or is verified.")
    _specs[name] = EventSpec(**{**vars(_specs[name]), "mails": mails, "notify": notify})


def registered() -> list[EventSpec]:
    """Return all events that may happen, by their type."""
    return [_specs[one] for one in sorted(_specs)]


def spec_of(verb: str) -> EventSpec | None:
    """Return what is registered for the verb of a stored event; None if this release does not know it."""
    return _specs.get(verb)


def object_kinds() -> list[str]:
    """Return the kinds of object that events are about. With the id, they find the events of an object by the index."""
    return sorted({kind for spec in _specs.values() for kind in spec.about})


def groups(*, internal: bool) -> list[EventGroup]:
    """Return the groups of a history's filter, in alphabetical order; the internal groups are for staff."""
    return sorted((one for one in _groups.values() if internal or not one.internal), key=lambda one: str(one.label))


def types_in(group: str) -> list[str]:
    """Return the types of the events in a group of the filter."""
    return [spec.name for spec in registered() if _groups[group] in spec.groups]


def keys(payload: type[Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the keys that a typed dict must have, and those that it may have."""
    hints = get_type_hints(payload, include_extras=True)
    required = frozenset(key for key in payload.__required_keys__ if get_origin(hints[key]) is not NotRequired)
    return required, frozenset(hints) - required


def check_payload(verb: str, changes: Mapping[str, Any]) -> None:
    """Raise TypeError unless the event is registered and this is its payload.

    Such an event would be stored for ever, and no page could show it, so the verb that records it must fail.
    """
    if verb not in _keys:
        raise TypeError(f"The event {verb} is not registered.")
    required, optional = _keys[verb]
    if missing := required - changes.keys():
        raise TypeError(f"The payload of {verb} lacks {', '.join(sorted(missing))}.")
    if unknown := changes.keys() - required - optional:
        raise TypeError(f"The payload of {verb} has the unknown key {', '.join(sorted(unknown))}.")


def untranslated(language: str) -> list[str]:
    """Return the sentences of all events, groups and mails that read the same in this language as in the code."""
    found: list[Text] = [group.label for group in _groups.values()]
    for spec in registered():
        found += [spec.here, spec.elsewhere, *(text for mail in spec.mails for text in mail.texts())]
    missing = []
    for sentence in (one for text in found for one in sentences(text)):
        with translation.override(None):
            written = str(sentence)
        with translation.override(language):
            if str(sentence) == written and PLACEHOLDER.sub("", written).strip(". "):
                missing.append(written)
    return missing


def verify() -> None:
    """Raise ImproperlyConfigured, naming each event, if one lacks a part or its words do not fit its payload."""
    global _verified
    with translation.override(None):
        found = [f"{spec.name}: {problem}" for spec in registered() for problem in _problems(spec)]
    members = [one for types in _event_types(EventType) for one in types]
    found += [f"{one}: is not registered" for one in members if one not in _specs]
    used = {group for spec in _specs.values() for group in spec.groups}
    found += [f"group {group.key}: has no events" for group in _groups.values() if group not in used]
    if found:
        raise ImproperlyConfigured("Events are not declared as they must be. " + "; ".join(found))
    _verified = True


def _event_types(parent: type[EventType]) -> Iterator[type[EventType]]:
    for types in parent.__subclasses__():
        yield types
        yield from _event_types(types)


def _problems(spec: EventSpec) -> Iterator[str]:
    required, optional = keys(spec.payload)
    for where, text in (("on its own page", spec.here), ("elsewhere", spec.elsewhere)):
        yield from (f"the text {where} {one}" for one in unfit(text, required | {"object"}, optional))
    if not all("{object}" in str(one) for one in sentences(spec.elsewhere)):
        yield "the text elsewhere does not name the object, which is the link to its page"
    if spec.icon not in ICONS:
        yield f"has no icon {spec.icon!r}"
    if spec.tone not in TONES:
        yield f"has no tone {spec.tone!r}"
    if not spec.groups or not set(spec.groups) <= set(_groups.values()):
        yield "is in no group of the filter"
    if not spec.about:
        yield "is about nothing"
    if spec.link.key and spec.link.key not in required:
        yield f"links to {spec.link.key}, which its payload need not have"
    if bool(spec.mails) != bool(spec.notify):
        yield "has mails without `notify`, which sends them, or `notify` without mails"
    yield from (f"undoes {one}, which is not registered" for one in spec.undoes if one not in _specs)
    for mail in spec.mails:
        yield from (f"the mail {mail.name} {one}" for one in mail.unfit(spec.payload))


# --- The events of history itself -----------------------------------------------------------------------------------


class HistoryEvent(EventType):
    REPLAYED = "outbox.replayed"


class Replayed(TypedDict):
    verb: str
    attempts: int
    dead_at: str


#: Mails and follow-up actions that staff have sent or restarted.
AGAIN = event_group("again", _("Sent or started again"), internal=True)

register(
    HistoryEvent.REPLAYED,
    payload=Replayed,
    about=("event",),
    here=_("The follow-up actions were restarted"),
    elsewhere=_("The follow-up actions for {object} were restarted"),
    icon="undo",
    tone="info",
    groups=(AGAIN,),
    link=Link("event", staff="portal:event"),
    mails=(),
)
