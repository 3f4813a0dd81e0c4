"""An event that lacks a part, or whose words do not fit its payload, stops the start of every process and is named."""

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


def nobody(event: Any) -> None:
    """Tell nobody."""


MAIL = Mail(
    "made",
    None,
    to=(OrganisationKind.STAFF,),
    title="Made",
    subject="%(customer)s at %(organisation)s",
    paragraphs=("%(customer)s.", Choice("customer", {"": "Nobody"}, "%(customer)s")),
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
    "tell": nobody,
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register an event with these parts, or the usual ones, and verify all; what is registered is forgotten."""
    for name in ("_specs", "_keys", "_groups"):
        monkeypatch.setattr(events, name, dict(getattr(events, name)))
    monkeypatch.setattr(events, "_verified", False)
    types = EventType("Types", {"ONE": "made.one"})
    monkeypatch.setattr(events, "_event_types", lambda of: [types])

    def made(**parts: Any) -> None:
        events.register(types.ONE, **{**PARTS, **parts})  # type: ignore[attr-defined]
        events.verify()

    made.type = types.ONE  # type: ignore[attr-defined]
    return made


def test_an_event_with_all_its_parts_may_be_registered(made):
    made()
    assert events.spec_of("made.one").mails == (MAIL,)


@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"tell"}))
def test_an_event_that_lacks_a_part_is_refused(made, part):
    parts = {name: value for name, value in PARTS.items() if name != part}
    with pytest.raises(ImproperlyConfigured, match=f"made.one lacks {part}"):
        events.register(made.type, **parts)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"elsewhere": "{partner} did it"}, "the text elsewhere does not name the object"),
        ({"here": ""}, "the text on its own page is empty"),
        ({"elsewhere": ("{object}", "")}, "the text elsewhere is empty"),
        ({"here": "{nothing}"}, "the text on its own page says nothing, which it is not given"),
        ({"here": "{why}"}, "says why, which it is not given"),
        ({"here": Choice("why", {None: "{why}"}, "{why}")}, "says why, which it is not given"),
        ({"here": Choice("why", {"a": "{why}"}, "{why}")}, "says why, which it is not given"),
        ({"here": Choice("nothing", {}, "A")}, "is chosen by an unknown value nothing"),
        ({"icon": "unheard"}, "has no icon 'unheard'"),
        ({"tone": "loud"}, "has no tone 'loud'"),
        ({"groups": ()}, "is in no group of the filter"),
        ({"groups": (EventGroup("unknown", "Unknown"),)}, "is in no group of the filter"),  # type: ignore[arg-type]
        ({"about": ()}, "is about nothing"),
        ({"link": Link("thing", key="why")}, "links to why, which its payload need not have"),
        ({"mails": ()}, "has mails that it tells nobody, or tells somebody without a mail"),
        ({"tell": None}, "has mails that it tells nobody, or tells somebody without a mail"),
        ({"mails": (MAIL._replace(subject=""),)}, "the mail made is empty"),
        ({"mails": (MAIL._replace(title=""),)}, "the mail made is empty"),
        ({"mails": (MAIL._replace(subject="%(partner)s"),)}, "the mail made says partner, which it is not given"),
        ({"mails": (MAIL._replace(paragraphs=("%(reason)s",)),)}, "the mail made says reason, which it is not given"),
        ({"mails": (MAIL._replace(inbox="%(customer)s"),)}, "the mail made in the inbox says customer"),
        (
            {"mails": (MAIL._replace(values=other_values),)},
            "in the inbox needs number, which the payload need not",
        ),
    ],
)
def test_a_part_that_does_not_fit_stops_the_start(made, parts, problem):
    with pytest.raises(ImproperlyConfigured) as refused:
        made(**parts)
    assert f"made.one: {problem}" in str(refused.value) or (
        "made.one: " in str(refused.value) and problem in str(refused.value)
    )


def test_a_type_that_nothing_is_said_of_stops_the_start(made):
    with pytest.raises(ImproperlyConfigured, match="made.one: is not registered"):
        events.verify()


def test_a_group_without_events_stops_the_start(made):
    events.event_group("empty", "Empty")  # type: ignore[arg-type]
    with pytest.raises(ImproperlyConfigured, match="group empty: has no events"):
        made()


def test_an_event_is_registered_once_and_in_time(made):
    events.register(made.type, **PARTS)
    with pytest.raises(ImproperlyConfigured, match="made.one is registered twice"):
        events.register(made.type, **PARTS)
    events.verify()
    with pytest.raises(ImproperlyConfigured, match="made.one was registered too late"):
        events.register(made.type, **PARTS)
    with pytest.raises(ImproperlyConfigured, match="made.one cannot be given mails"):
        events.tell_too(made.type, mails=(MAIL,), tell=nobody)


def test_a_room_above_may_give_an_event_its_mails_once(made):
    events.register(made.type, **{**PARTS, "mails": (), "tell": None})
    events.tell_too(made.type, mails=(MAIL,), tell=nobody)
    with pytest.raises(ImproperlyConfigured, match="made.one cannot be given mails"):
        events.tell_too(made.type, mails=(MAIL,), tell=nobody)
    events.verify()


@pytest.mark.parametrize(
    ("verb", "changes", "problem"),
    [
        ("made.two", {"partner": {}}, "The event made.two is not registered"),
        ("made.one", {}, "The payload of made.one lacks partner"),
        ("made.one", {"partner": {}, "odd": 1}, "The payload of made.one has the unknown key odd"),
    ],
)
def test_what_is_recorded_must_be_the_payload_of_its_event(made, verb, changes, problem):
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
