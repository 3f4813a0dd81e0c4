"""Rows that are leased together: only the row at fault loses tries, and rows with one ordering key keep their order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from por.accounts.models import SYSTEM, Actor
from por.history.actions import recording as history
from por.history.actions import relaying
from por.history.models import Event, Outbox
from por.notifications.models import Delivery, Notification
from por.queue import work
from por.queue.rules import HOLDS_BACK, MAX_ATTEMPTS
from tests.databases import addresses
from tests.factories import make_member, make_partner, make_subscription
from tests.product import ROOT


def record(thing: str, *, verb: str = "thing.done", by: Actor = SYSTEM) -> int:
    about = history.ObjectRef("thing", thing, f"Thing {thing}")
    return history.record(verb, about, by=by, at=timezone.now(), chain=None)


def make_due(*events: int) -> None:
    rows = Outbox.objects.filter(pk__in=events) if events else Outbox.objects.all()
    rows.update(next_at=timezone.now())


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the id of each thing whose event was handled."""
    things: list[str] = []
    handlers = {"thing.done": [lambda event: things.append(event.object_id)]}
    monkeypatch.setattr(history, "_handlers", handlers)
    return things


# --- One batch ----------------------------------------------------------------------------------------------------


def test_fifty_events_are_handled_with_as_many_statements_as_five(customer):
    admin = make_member(customer.organisation)
    partners = [make_partner() for _number in range(5)]
    for partner in partners:
        make_member(partner.organisation)
    statements = []
    for count in (5, 50):
        for number in range(count):
            attaching.attach(make_subscription(customer).subscription_id, partners[number % 5].mpn_id, by=admin)
        with CaptureQueriesContext(connection) as asked:
            assert relaying.relay() == count
        statements.append(len(asked))
    assert statements[0] == statements[1]
    assert Delivery.objects.count() == Notification.objects.count() == 2 * 55


def test_deliveries_of_a_batch_are_in_the_order_of_its_events(customer):
    admin, partner = make_member(customer.organisation), make_partner()
    make_member(partner.organisation)
    subscription = make_subscription(customer)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    attaching.remove(subscription.subscription_id, by=admin)
    relaying.relay()
    events = list(Delivery.objects.order_by("pk").values_list("event", flat=True))
    assert len(events) == 4
    assert events == sorted(events)


# --- The row at fault ---------------------------------------------------------------------------------------------


def one_event_fails(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, bool]]:
    """Handle five events of which the third fails; return the tries of each and whether it is done."""

    def handle(event: Event) -> None:
        if event.object_id == "3":
            raise ValueError("not this one")

    monkeypatch.setattr(history, "_handlers", {"thing.done": [handle]})
    for number in range(1, 6):
        record(str(number))
    relaying.relay()
    rows = Outbox.objects.values_list("event__object_id", "attempts", "done_at")
    return {thing: (attempts, done_at is not None) for thing, attempts, done_at in rows}


EACH_ALONE = {"1": (1, True), "2": (1, True), "3": (1, False), "4": (1, True), "5": (1, True)}


def test_event_that_fails_costs_no_other_of_its_batch_a_try(monkeypatch):
    assert one_event_fails(monkeypatch) == EACH_ALONE


def test_control_batch_that_fails_as_a_whole_costs_every_event_a_try(monkeypatch):
    def together(self: relaying.Relay, rows: list[Outbox]) -> bool:
        try:
            self._handle(rows)
        except ValueError as error:
            for row in rows:
                self.fail(row, error)
        return True

    monkeypatch.setattr(relaying.Relay, "do", together)
    assert one_event_fails(monkeypatch) == {str(number): (1, False) for number in range(1, 6)}


RELAYING = "import tests.por.history.poisoned; from por.history.actions.relaying import relay; relay()"


def relay_in_a_process() -> int:
    """Run the relay in a process of its own, with the handler that kills it; return its exit status."""
    command = [sys.executable, "-c", RELAYING]
    environment = os.environ | addresses() | {"DJANGO_SETTINGS_MODULE": "por.settings"}
    return subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.django_db(transaction=True)
def test_event_that_kills_its_worker_costs_no_other_of_its_batch_a_try():
    good = [record("1"), record("2")]
    poison = record("3", verb="thing.poison")
    good += [record("4"), record("5")]
    assert relay_in_a_process() == -signal.SIGKILL
    assert set(Outbox.objects.values_list("is_taken", "attempts", "done_at")) == {(True, 0, None)}

    make_due()
    deaths = 0
    while Outbox.objects.filter(pk__in=good, done_at=None).exists():
        deaths += relay_in_a_process() == -signal.SIGKILL
        make_due(*good)
    assert set(Outbox.objects.filter(pk__in=good).values_list("attempts", flat=True)) == {1}
    row = Outbox.objects.get(pk=poison)
    assert (row.attempts, row.done_at) == (deaths, None)


# --- The order of events ------------------------------------------------------------------------------------------


def overtaken(handled: list[str]) -> bool:
    """Let a worker hold an event while another runs; return whether it handled a later one of the same thing."""
    first = relaying.Relay()
    record("a")
    batches = first.take()
    rows = next(batches)
    record("a"), record("b")
    relaying.relay()
    is_overtaken = handled != ["b"]
    first.do(rows)
    relaying.relay()
    assert sorted(handled) == ["a", "a", "b"]
    return is_overtaken


def test_event_waits_while_an_earlier_one_of_its_object_is_in_work(handled):
    assert not overtaken(handled)


def test_control_event_overtakes_if_nothing_holds_it_back(handled, monkeypatch):
    monkeypatch.setattr(work, "HOLDS_BACK", timedelta(days=-1))
    assert overtaken(handled)


def test_event_waits_for_the_next_try_of_an_earlier_one_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(work, "backoff", lambda _attempts: timedelta(minutes=1))
    tried: list[int] = []

    def handle(event: Event) -> None:
        tried.append(event.pk)
        if event.pk == first:
            raise ValueError("not now")

    monkeypatch.setattr(history, "_handlers", {"thing.done": [handle]})
    first, second = record("a"), record("a")
    relaying.relay()
    assert second not in tried[2:], "together they failed, and alone the first failed"
    assert relaying.relay() == 0
    Outbox.objects.filter(pk=first).update(next_at=timezone.now() + HOLDS_BACK + timedelta(seconds=1))
    assert relaying.relay() == 1
    assert tried[-1] == second
    assert Outbox.objects.get(pk=second).done_at is not None


def test_tries_hold_later_rows_back_for_about_ten_minutes():
    waits = [work.backoff(attempt) for attempt in range(1, MAX_ATTEMPTS)]
    held = sum((wait for wait in waits if wait < HOLDS_BACK), timedelta())
    assert timedelta(minutes=8) < held < timedelta(minutes=10)


def test_event_that_is_held_back_does_not_delay_those_of_other_objects(handled, monkeypatch):
    monkeypatch.setattr(relaying.Relay, "batch", 2)
    first = relaying.Relay()
    record("a")
    next(first.take())
    for thing in "aaaab":
        record(thing)
    relaying.relay()
    assert handled == ["b"]


# --- What goes first ----------------------------------------------------------------------------------------------


def things_of_a_load_and_of_a_person(by: Actor) -> None:
    for number in range(3):
        record(f"load {number}")
    record("person", by=by)


def test_events_of_people_go_before_those_of_a_load(handled, admin, monkeypatch):
    monkeypatch.setattr(relaying.Relay, "batch", 1)
    things_of_a_load_and_of_a_person(admin)
    relaying.relay()
    assert handled == ["person", "load 0", "load 1", "load 2"]


def test_control_without_priorities_the_load_goes_first(handled, admin, monkeypatch):
    monkeypatch.setattr(relaying.Relay, "batch", 1)
    things_of_a_load_and_of_a_person(admin)
    Outbox.objects.update(priority=0)
    relaying.relay()
    assert handled[-1] == "person"


def test_events_that_are_recorded_together_have_the_priority_of_their_author(admin):
    drafts: Any = [history.EventDraft(admin.organisation_id, {}, history.ObjectRef("thing", "1", "A thing"))]
    for author in (SYSTEM, admin):
        history.record_each("thing.done", by=author, at=timezone.now(), events=drafts)
    assert list(Outbox.objects.order_by("pk").values_list("priority", flat=True)) == [1, 0]
