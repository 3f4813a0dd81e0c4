"""An event that lacks a part, or whose texts do not fit its payload, stops the start, and the error names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest
from django.core.exceptions import ImproperlyConfigured

from por.accounts.rules import OrganisationKind
from por.history import events
from por.history.events import AGAIN, Choice, EventGroup, EventType, Link
from por.notifications.messages import Mail, MailContext

ROOT = Path(__file__).parents[3]


class Made(TypedDict):
    """The payload of the event that the tests make."""

    partner: dict[str, str]
    why: NotRequired[str]


class Other(Made):
    number: int


class Given(MailContext):
    customer: str


class Values(TypedDict):
    name: str


def context(event: Any) -> Given:
    return {"customer": "Västerhamn", "rows": []}


def values(payload: Made) -> Values:
    return {"name": payload["partner"]["name"]}


def other_values(payload: Other) -> Values:
    return {"name": str(payload["number"])}


def notify_no_one(event: Any) -> None:
    """Do nothing."""


MAIL = Mail(
    "made",
    None,
    to=(OrganisationKind.STAFF,),
    title="Made",
    subject="%(customer)s at %(organisation)s",
    paragraphs=("%(customer)s.", Choice("customer", {"": "No one"}, "%(customer)s")),
    context=context,
    action="Open",
    url=str,
    inbox="%(name)s",
    values=values,
)
PARTS: dict[str, Any] = {
    "payload": Made,
    "about": ("thing",),
    "here": "{partner} did {object}",
    "elsewhere": Choice("why", {None: "{object}"}, "{object} because of {why}"),
    "icon": "link",
    "tone": "ok",
    "groups": (AGAIN,),
    "link": Link("thing", key="partner"),
    "mails": (MAIL,),
    "notify": notify_no_one,
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that registers an event with these parts, or the usual ones, and verifies all events.

    Afterwards the event is forgotten.
    """
    for name in ("_specs", "_keys", "_groups"):
        monkeypatch.setattr(events, name, dict(getattr(events, name)))
    monkeypatch.setattr(events, "_verified", False)
    types = EventType("Types", {"ONE": "made.one"})
    monkeypatch.setattr(events, "_event_types", lambda parent: [types])

    def made(**parts: Any) -> None:
        events.register(types.ONE, **{**PARTS, **parts})  # type: ignore[attr-defined]
        events.verify()

    made.type = types.ONE  # type: ignore[attr-defined]
    return made


def test_event_with_all_its_parts_may_be_registered(made):
    made()
    assert events.spec_of("made.one").mails == (MAIL,)


@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"notify"}))
def test_event_that_lacks_a_part_is_refused(made, part):
    parts = {name: value for name, value in PARTS.items() if name != part}
    with pytest.raises(ImproperlyConfigured, match=f"made.one lacks {part}"):
        events.register(made.type, **parts)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"elsewhere": "{partner} did it"}, "the text elsewhere does not name the object"),
        ({"here": ""}, "the text on its own page is empty"),
        ({"elsewhere": ("{object}", "")}, "the text elsewhere is empty"),
        ({"here": "{nothing}"}, "the text on its own page uses nothing, which it does not get"),
        ({"here": "{why}"}, "uses why, which it does not get"),
        ({"here": Choice("why", {None: "{why}"}, "{why}")}, "uses why, which it does not get"),
        ({"here": Choice("why", {"a": "{why}"}, "{why}")}, "uses why, which it does not get"),
        ({"here": Choice("nothing", {}, "A")}, "is chosen by an unknown value nothing"),
        ({"icon": "unheard"}, "has no icon 'unheard'"),
        ({"tone": "loud"}, "has no tone 'loud'"),
        ({"groups": ()}, "is in no group of the filter"),
        ({"groups": (EventGroup("unknown", "Unknown"),)}, "is in no group of the filter"),  # type: ignore[arg-type]
        ({"about": ()}, "is about nothing"),
        ({"link": Link("thing", key="why")}, "links to why, which its payload need not have"),
        ({"mails": ()}, "has mails without `notify`, which sends them, or `notify` without mails"),
        ({"notify": None}, "has mails without `notify`, which sends them, or `notify` without mails"),
        ({"mails": (MAIL._replace(subject=""),)}, "the mail made is empty"),
        ({"mails": (MAIL._replace(title=""),)}, "the mail made is empty"),
        ({"mails": (MAIL._replace(subject="%(partner)s"),)}, "the mail made uses partner, which it does not get"),
        ({"mails": (MAIL._replace(paragraphs=("%(reason)s",)),)}, "the mail made uses reason, which it does not get"),
        ({"mails": (MAIL._replace(inbox="%(customer)s"),)}, "the mail made in the inbox uses customer"),
        (
            {"mails": (MAIL._replace(values=other_values),)},
            "in the inbox needs number, which the payload need not",
        ),
    ],
)
def test_part_that_does_not_fit_stops_the_start(made, parts, problem):
    with pytest.raises(ImproperlyConfigured) as refused:
        made(**parts)
    assert f"made.one: {problem}" in str(refused.value) or (
        "made.one: " in str(refused.value) and problem in str(refused.value)
    )


def test_event_type_that_is_not_registered_stops_the_start(made):
    with pytest.raises(ImproperlyConfigured, match="made.one: is not registered"):
        events.verify()


def test_group_without_events_stops_the_start(made):
    events.event_group("empty", "Empty")  # type: ignore[arg-type]
    with pytest.raises(ImproperlyConfigured, match="group empty: has no events"):
        made()


def test_event_is_registered_once_and_in_time(made):
    events.register(made.type, **PARTS)
    with pytest.raises(ImproperlyConfigured, match="made.one is registered twice"):
        events.register(made.type, **PARTS)
    events.verify()
    with pytest.raises(ImproperlyConfigured, match="made.one was registered too late"):
        events.register(made.type, **PARTS)
    with pytest.raises(ImproperlyConfigured, match="made.one cannot be given mails"):
        events.add_mails(made.type, mails=(MAIL,), notify=notify_no_one)


def test_room_above_may_add_mails_to_an_event_once(made):
    events.register(made.type, **{**PARTS, "mails": (), "notify": None})
    events.add_mails(made.type, mails=(MAIL,), notify=notify_no_one)
    with pytest.raises(ImproperlyConfigured, match="made.one cannot be given mails"):
        events.add_mails(made.type, mails=(MAIL,), notify=notify_no_one)
    events.verify()


@pytest.mark.parametrize(
    ("verb", "changes", "problem"),
    [
        ("made.two", {"partner": {}}, "The event made.two is not registered"),
        ("made.one", {}, "The payload of made.one lacks partner"),
        ("made.one", {"partner": {}, "odd": 1}, "The payload of made.one has the unknown key odd"),
    ],
)
def test_recorded_payload_must_fit_its_event(made, verb, changes, problem):
    made()
    events.check_payload("made.one", {"partner": {}})
    events.check_payload("made.one", {"partner": {}, "why": "because"})
    with pytest.raises(TypeError, match=problem):
        events.check_payload(verb, changes)


@pytest.mark.parametrize("start", ["import django; django.setup()", "import por.wsgi"])
@pytest.mark.parametrize("harm", ["", "from por.web.icons import ICONS; del ICONS['help']; "])
def test_no_process_starts_with_an_event_that_does_not_fit(start, harm):
    result = subprocess.run(
        [sys.executable, "-c", harm + start],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "por.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode == 0) is (harm == "")
    assert ("change_request.opened: has no icon 'help'" in result.stderr) is (harm != "")
