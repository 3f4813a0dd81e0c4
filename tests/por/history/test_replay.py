"""Replaying given-up events: their handlers are called again; of two people at the same time, one succeeds."""

from __future__ import annotations

import pytest
from django.utils import timezone

from por.accounts.models import SYSTEM
from por.errors import Forbidden, NotFound, Refused
from por.history.actions import recording as history
from por.history.actions import relaying, verifying
from por.history.models import Event, Outbox
from por.queue import replays
from tests.at_once import at_once, together
from tests.databases import function_without
from tests.factories import make_customer, make_staff

ADMINISTRATOR = "programme_administrator"


def make_dead(verb: str = "thing.done", of: int | None = None) -> Event:
    about = history.ObjectRef("thing", "7", "The seventh thing")
    event_id = history.record(verb, about, by=SYSTEM, at=timezone.now(), chain=of)
    Outbox.objects.filter(pk=event_id).update(attempts=12, dead_at=timezone.now(), last_error="Error: no")
    return Event.objects.get(pk=event_id)


def test_handlers_are_called_again_after_the_fault_is_fixed(monkeypatch):
    event, handled = make_dead(), []
    monkeypatch.setitem(history._handlers, "thing.done", [lambda event: handled.append(event.pk)])
    relaying.relay()
    assert handled == []

    relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))
    relaying.relay()

    assert handled == [event.pk]
    row = Outbox.objects.get(pk=event.pk)
    assert row.done_at is not None
    assert row.dead_at is None


def test_replayed_event_has_all_its_tries_again(monkeypatch):
    def fail(_event: Event) -> None:
        raise ValueError("still broken")

    event = make_dead()
    monkeypatch.setitem(history._handlers, "thing.done", [fail])
    relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))
    relaying.relay()

    row = Outbox.objects.get(pk=event.pk)
    assert (row.attempts, row.dead_at, row.last_error) == (1, None, "ValueError: still broken")


@pytest.mark.parametrize("customers", [True, False], ids=["a customer's", "the system's"])
def test_replay_is_recorded_in_the_chain_of_the_event(customers):
    of = make_customer().pk if customers else None
    event, by = make_dead(of=of), make_staff(ADMINISTRATOR)

    relaying.replay(event.pk, by=by)

    replayed = Event.objects.get(verb="outbox.replayed")
    assert replayed.chain == event.chain
    assert (replayed.object_kind, replayed.object_id, replayed.object_name) == (
        "event",
        str(event.pk),
        "The seventh thing",
    )
    assert replayed.changes["verb"] == "thing.done"
    assert replayed.changes["attempts"] == 12
    assert replayed.actor_id == by.user_id


def test_event_that_was_not_given_up_cannot_be_replayed():
    event = make_dead()
    relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))

    with pytest.raises(Refused) as refused:
        relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))

    assert refused.value.code == "not_dead"
    assert Event.objects.filter(verb="outbox.replayed").count() == 1


def test_only_a_programme_administrator_replays():
    event = make_dead()
    for role in ("reviewer", "support", "auditor"):
        with pytest.raises(Forbidden):
            relaying.replay(event.pk, by=make_staff(role))
        with pytest.raises(Forbidden):
            relaying.replay_dead(by=make_staff(role))
    with pytest.raises(NotFound):
        relaying.replay(404, by=make_staff(ADMINISTRATOR))


def test_all_given_up_events_are_replayed_and_each_replay_is_recorded():
    make_dead(of=make_customer().pk), make_dead()

    assert relaying.replay_dead(by=make_staff(ADMINISTRATOR)) == 2

    assert not Outbox.objects.dead().exists()
    assert Event.objects.filter(verb="outbox.replayed").count() == 2
    assert list(verifying.verify()) == []


def replay_twice(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Replay an event twice at the same time; return both outcomes, and how many replays were recorded.

    The first one commits once the other one waits for the row that it has changed, or has changed it too.
    """
    event, one, other = make_dead(), make_staff(ADMINISTRATOR), make_staff(ADMINISTRATOR)
    monkeypatch.setattr(relaying, "record", together(relaying.record))
    outcomes = at_once(
        lambda: relaying.replay(event.pk, by=one),
        lambda: relaying.replay(event.pk, by=other),
    )
    return outcomes, Event.objects.filter(verb="outbox.replayed").count()


@pytest.mark.django_db(transaction=True)
def test_of_two_simultaneous_replays_one_succeeds_and_the_other_is_refused(monkeypatch):
    assert replay_twice(monkeypatch) == (["done", "not_dead"], 1)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_both_replays_succeed(monkeypatch):
    with function_without("FOR NO KEY UPDATE", Outbox.replay_function):
        assert replay_twice(monkeypatch) == (["done", "done"], 2)


def test_one_call_replays_a_bounded_number_and_the_next_one_the_rest(monkeypatch):
    monkeypatch.setattr(replays, "MOST", 2)
    for _event in range(3):
        make_dead()
    by = make_staff(ADMINISTRATOR)

    assert [relaying.replay_dead(by=by), relaying.replay_dead(by=by), relaying.replay_dead(by=by)] == [2, 1, 0]
