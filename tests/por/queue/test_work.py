"""The behaviour of every queue, tested with the relay: bounded tries, outages that cost none, slow workers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from por.accounts.models import SYSTEM
from por.history.actions import recording as history
from por.history.actions import relaying
from por.history.models import Event, Outbox
from por.queue.models import PeriodicRun
from por.queue.wake import Wake


def record() -> int:
    return history.record(
        "thing.done", history.ObjectRef("thing", "1", "A thing"), by=SYSTEM, at=timezone.now(), chain=None
    )


def make_due() -> None:
    Outbox.objects.update(next_at=timezone.now() - timedelta(hours=1))


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    events: list[int] = []
    monkeypatch.setattr(history, "_handlers", {"thing.done": [lambda event: events.append(event.pk)]})
    return events


def leased() -> tuple[relaying.Relay, Outbox]:
    """Return a slow worker and the row it has leased; the lease has run out."""
    worker = relaying.Relay()
    [row] = next(worker.take())
    make_due()
    return worker, row


def test_row_is_leased_in_one_statement_before_the_work(handled):
    record()
    with CaptureQueriesContext(connection) as asked:
        next(relaying.Relay().take())
    [lease] = [one["sql"] for one in asked if "RETURNING" in one["sql"]]
    assert "FOR UPDATE OF work SKIP LOCKED" in lease
    assert Outbox.objects.get().attempts == 1


def test_slow_worker_that_fails_does_not_undo_the_work_of_another(handled):
    event = record()
    slow, row = leased()
    assert relaying.relay() == 1
    done = Outbox.objects.values().get()

    slow.fail(row, ValueError("too late"))
    slow.give_back(row)

    assert Outbox.objects.values().get() == done
    assert handled == [event]


def test_slow_worker_does_not_give_back_the_try_of_another(handled):
    record()
    slow, row = leased()
    other, theirs = leased()

    slow.give_back(row)

    assert Outbox.objects.get().attempts == theirs.attempts == 2


@pytest.mark.django_db(transaction=True)
def test_lost_connection_costs_no_try_and_the_next_run_does_the_work(monkeypatch):
    handled: list[int] = []
    is_cut = True

    def handle(event: Event) -> None:
        if is_cut:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        handled.append(event.pk)

    monkeypatch.setattr(history, "_handlers", {"thing.done": [handle]})
    event = record()
    for _run in range(3):
        assert relaying.relay() == 1
        assert Outbox.objects.get().attempts == 0
        make_due()
    is_cut = False
    assert relaying.relay() == 1
    assert handled == [event]


def test_run_ends_when_its_time_is_over_and_the_next_one_continues(handled, monkeypatch):
    events = [record(), record()]
    monkeypatch.setattr(relaying.Relay, "run_for", 0.0)
    monkeypatch.setattr(relaying.Relay, "batch", 1)
    assert [relaying.relay(), relaying.relay(), relaying.relay()] == [1, 1, 0]
    assert handled == events


def test_outage_ends_the_run_before_the_next_rows(handled, monkeypatch):
    def away(_event: Event) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setitem(history._handlers, "thing.done", [away])
    monkeypatch.setattr(relaying.Relay, "batch", 2)
    record(), record(), record()
    assert relaying.relay() == 2
    assert set(Outbox.objects.values_list("attempts", "last_error")) == {(0, "")}


def test_wake_without_a_task_does_nothing():
    wake = Wake()
    wake.now()
    assert wake.thread is None


def test_periodic_run_keeps_the_table_of_its_older_name():
    assert (PeriodicRun._meta.label, PeriodicRun._meta.db_table) == ("history.PeriodicRun", "history_round")
