"""Recording inserts one event and one outbox row; the relay calls the handlers, despite failures and dead workers."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from por.accounts.models import SYSTEM, Actor
from por.history.actions import recording as history
from por.history.actions import relaying, verifying
from por.history.models import Event, Outbox, Party
from por.ops.logs import request_id
from por.queue import work
from por.queue.rules import LEASE, MAX_ATTEMPTS, backoff
from tests.factories import make_customer, make_member

THING = history.ObjectRef("thing", "1", "A thing")


@pytest.fixture
def handled(monkeypatch) -> list[int]:
    """Return a list that gets the id of each "thing.done" that the relay hands to a handler."""
    events: list[int] = []
    monkeypatch.setattr(history, "_handlers", {"thing.done": [lambda event: events.append(event.pk)], "thing.odd": []})
    return events


def record(
    verb: str = "thing.done", *, by: Actor = SYSTEM, of: int | None = None, about: str = "1", **fields: Any
) -> int:
    return history.record(verb, THING._replace(id=about), by=by, at=timezone.now(), chain=of, **fields)


def make_due() -> None:
    Outbox.objects.update(next_at=timezone.now())


# --- Recording --------------------------------------------------------------------------------------------------


def test_record_inserts_one_event_and_one_outbox_row(customer):
    admin = make_member(customer.organisation, name="Elin Sandberg")
    token = request_id.set("request-4711")
    try:
        event_id = record(by=admin, of=customer.pk, parties=[8, 7, 8], changes={"a": 1}, reason="Because.")
    finally:
        request_id.reset(token)
    event = Event.objects.get()
    assert event.pk == event_id
    assert (event.verb, event.object_kind, event.object_id, event.object_name) == ("thing.done", *THING)
    assert (event.actor_id, event.actor_name) == (admin.user_id, "Elin Sandberg")
    assert (event.actor_organisation_id, event.actor_organisation_name) == (customer.pk, str(customer))
    assert (event.changes, event.reason, event.request_id) == ({"a": 1}, "Because.", "request-4711")
    assert event.parties == [7, 8]
    assert sorted(Party.objects.values_list("event_id", "organisation_id")) == [(event_id, 7), (event_id, 8)]
    row = Outbox.objects.get()
    assert (row.event_id, row.attempts, row.done_at, row.dead_at) == (event_id, 0, None, None)


def test_rollback_removes_the_event_and_its_outbox_row(customer):
    with transaction.atomic():
        record(of=customer.pk, parties=[7])
        transaction.set_rollback(True)
    assert not Event.objects.exists()
    assert not Outbox.objects.exists()
    assert not Party.objects.exists()
    assert list(verifying.verify()) == []


@pytest.mark.django_db(transaction=True)
def test_relay_is_woken_after_the_commit_and_not_before(monkeypatch):
    woken = []
    monkeypatch.setattr(history.wake, "now", lambda: woken.append("woken"))
    with transaction.atomic():
        record()
        assert woken == []
    assert woken == ["woken"]


@pytest.mark.django_db(transaction=True)
def test_wake_that_fails_does_no_harm(monkeypatch):
    def broken() -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(history.wake, "now", broken)
    record()
    assert Outbox.objects.filter(done_at=None).count() == 1


def test_each_customer_and_the_system_have_a_chain_of_their_own(customer):
    other = make_customer()
    for of in (customer.pk, None, other.pk, customer.pk):
        record(of=of)
    places = sorted(Event.objects.values_list("chain", "seq"))
    mine, theirs = f"organisation:{customer.pk}", f"organisation:{other.pk}"
    assert places == sorted([("house", 1), (mine, 1), (mine, 2), (theirs, 1)])


# --- The relay --------------------------------------------------------------------------------------------------


def test_relay_calls_the_handlers_of_each_event_once_in_order(handled):
    events = [record(), record()]
    assert relaying.relay() == 2
    assert relaying.relay() == 0
    assert handled == events
    assert not Outbox.objects.filter(done_at=None).exists()


def test_event_without_a_handler_is_done_too(handled):
    record("thing.odd")
    relaying.relay()
    assert Outbox.objects.get().done_at is not None
    assert handled == []


def test_handler_runs_under_the_request_id_of_the_event(monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(history, "_handlers", {"thing.done": [lambda event: seen.append(request_id.get())]})
    token = request_id.set("request-4711")
    record()
    request_id.set("another")
    relaying.relay()
    assert (seen, request_id.get()) == (["request-4711"], "another")
    request_id.reset(token)


def test_handler_that_fails_is_called_again_later_and_does_not_delay_others(monkeypatch):
    handled: list[int] = []
    down = True

    def handle(event: Event) -> None:
        if event.reason == "poison" and down:
            Party.objects.create(event=event, organisation_id=99)  # rolled back with the failing transaction
            raise ValueError("not now")
        handled.append(event.pk)

    monkeypatch.setattr(history, "_handlers", {"thing.done": [handle]})
    monkeypatch.setattr(work, "backoff", lambda _attempts: timedelta(minutes=1))
    poison, good = record(reason="poison"), record(about="2")
    assert relaying.relay() == 2
    assert handled == [good]
    row = Outbox.objects.get(pk=poison)
    assert (row.attempts, row.last_error, row.done_at) == (1, "ValueError: not now", None)
    assert row.next_at > timezone.now()
    assert not Party.objects.exists()
    assert relaying.relay() == 0, "it is not due yet"
    down = False
    make_due()
    assert relaying.relay() == 1
    assert handled == [good, poison]
    assert Outbox.objects.get(pk=good).attempts == 1


@pytest.mark.django_db(transaction=True)
def test_tries_are_counted_outside_the_failing_transaction_and_are_bounded(monkeypatch):
    def fail_in_the_database(event: Event) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(history, "_handlers", {"thing.done": [fail_in_the_database], "thing.odd": []})
    poison, good = record(), record("thing.odd", about="2")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        relaying.relay()
        connection.close()
        row = Outbox.objects.get(pk=poison)
        assert row.attempts == attempt
        assert (row.dead_at is not None) == (attempt == MAX_ATTEMPTS)
        make_due()
    assert "division by zero" in row.last_error
    assert relaying.relay() == 0
    assert Outbox.objects.get(pk=good).done_at is not None


def test_row_without_tries_left_is_not_taken_by_a_run_in_progress(monkeypatch):
    handled: list[int] = []

    def handle(event: Event) -> None:
        handled.append(event.pk)
        Outbox.objects.filter(pk=poison).update(attempts=MAX_ATTEMPTS, next_at=timezone.now())

    monkeypatch.setattr(history, "_handlers", {"thing.done": [handle]})
    monkeypatch.setattr(relaying.Relay, "batch", 1)
    good, poison = record(), record()
    assert relaying.relay() == 1
    assert handled == [good]
    assert relaying.relay() == 0
    assert Outbox.objects.get(pk=poison).dead_at is not None


@pytest.mark.django_db(transaction=True)
def test_full_disk_uses_up_no_tries_and_ends_the_run(monkeypatch):
    handled: list[int] = []
    full = True

    def handle(event: Event) -> None:
        handled.append(event.pk)
        if full:
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$")

    monkeypatch.setattr(history, "_handlers", {"thing.done": [handle]})
    first, second = record(), record()
    for run in range(MAX_ATTEMPTS + 1):
        assert relaying.relay() == (1 if run else 2), "together once, then alone"
        Outbox.objects.filter(pk=first).update(next_at=timezone.now() - timedelta(hours=1))
    assert handled == [first] * (MAX_ATTEMPTS + 1)
    assert set(Outbox.objects.values_list("attempts", "dead_at")) == {(0, None)}
    full = False
    make_due()
    assert relaying.relay() == 2
    assert handled[-2:] == [first, second]


@pytest.mark.django_db(transaction=True)
def test_row_of_a_relay_that_died_is_due_again_after_its_lease(handled, monkeypatch):
    def die(event: Event) -> None:
        raise SystemExit

    monkeypatch.setitem(history._handlers, "thing.done", [die])
    record()
    with pytest.raises(SystemExit):
        relaying.relay()
    connection.close()
    row = Outbox.objects.get()
    assert (row.attempts, row.done_at) == (1, None)
    assert timezone.now() < row.next_at <= timezone.now() + LEASE
    assert relaying.relay() == 0, "it is leased"
    monkeypatch.setitem(history._handlers, "thing.done", [lambda event: handled.append(event.pk)])
    make_due()
    assert relaying.relay() == 1
    assert handled == [row.pk]


def test_event_whose_relay_died_on_each_try_is_given_up(handled):
    record()
    Outbox.objects.update(attempts=MAX_ATTEMPTS)
    assert relaying.relay() == 0
    assert Outbox.objects.get().dead_at is not None
    assert handled == []


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_relays_handle_each_event_once(handled):
    events = [record() for _number in range(30)]
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait()
        relaying.relay()
        connection.close()

    threads = [threading.Thread(target=run) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(handled) == events
    assert set(Outbox.objects.values_list("attempts", flat=True)) == {1}
    assert not Outbox.objects.filter(done_at=None).exists()


def test_slow_relay_does_not_handle_an_event_that_another_has_handled(handled):
    event = record()
    slow = relaying.Relay()
    rows = next(slow.take())
    make_due()
    relaying.relay()
    slow.do(rows)
    assert handled == [event]


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 2), (2, 4), (3, 8), (11, 2048), (12, 3600), (40, 3600)])
def test_wait_doubles_up_to_an_hour(attempts, seconds):
    assert backoff(attempts) == timedelta(seconds=seconds)
