"""Trying again what was given up: the listeners of an event are called once more, by whoever is first."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from por.accounts.models import SYSTEM
from por.errors import Forbidden, NotFound, Refused
from por.history.actions import recording as history
from por.history.actions import relaying, verifying
from por.history.models import Event, Outbox
from por.queue import replays
from tests.at_once import at_once, together
from tests.factories import make_customer, make_staff

ADMINISTRATOR = "programme_administrator"


def make_dead(verb: str = "thing.done", of: int | None = None) -> Event:
    about = history.ObjectRef("thing", "7", "The seventh thing")
    event_id = history.record(verb, about, by=SYSTEM, at=timezone.now(), of=of)
    Outbox.objects.filter(pk=event_id).update(attempts=12, dead_at=timezone.now(), last_error="Error: no")
    return Event.objects.get(pk=event_id)


def test_the_listeners_are_called_again_once_the_fault_is_mended(monkeypatch):
    event, told = make_dead(), []
    monkeypatch.setitem(history._handlers, "thing.done", [lambda event: told.append(event.pk)])
    relaying.relay()
    assert told == []

    relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))
    relaying.relay()

    assert told == [event.pk]
    row = Outbox.objects.get(pk=event.pk)
    assert row.done_at is not None
    assert row.dead_at is None


def test_it_has_all_its_tries_before_it_again(monkeypatch):
    def fails(_event: Event) -> None:
        raise ValueError("still broken")

    event = make_dead()
    monkeypatch.setitem(history._handlers, "thing.done", [fails])
    relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))
    relaying.relay()

    row = Outbox.objects.get(pk=event.pk)
    assert (row.attempts, row.dead_at, row.last_error) == (1, None, "ValueError: still broken")


@pytest.mark.parametrize("customers", [True, False], ids=["a customer's", "the house's"])
def test_it_stands_in_the_chain_of_the_event(customers):
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


def test_one_that_is_not_dead_is_left_alone():
    event = make_dead()
    relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))

    with pytest.raises(Refused) as refused:
        relaying.replay(event.pk, by=make_staff(ADMINISTRATOR))

    assert refused.value.code == "not_dead"
    assert Event.objects.filter(verb="outbox.replayed").count() == 1


def test_only_a_programme_administrator_tries_again():
    event = make_dead()
    for role in ("reviewer", "support", "auditor"):
        with pytest.raises(Forbidden):
            relaying.replay(event.pk, by=make_staff(role))
        with pytest.raises(Forbidden):
            relaying.replay_dead(by=make_staff(role))
    with pytest.raises(NotFound):
        relaying.replay(404, by=make_staff(ADMINISTRATOR))


def test_all_that_are_dead_are_tried_again_each_with_its_event():
    make_dead(of=make_customer().pk), make_dead()

    assert relaying.replay_dead(by=make_staff(ADMINISTRATOR)) == 2

    assert not Outbox.objects.dead().exists()
    assert Event.objects.filter(verb="outbox.replayed").count() == 2
    assert list(verifying.verify()) == []


def press_twice(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    event, one, other = make_dead(), make_staff(ADMINISTRATOR), make_staff(ADMINISTRATOR)
    monkeypatch.setattr(Outbox, "has_failed", property(together(Outbox.has_failed.fget)))
    came_of_it = at_once(
        lambda: relaying.replay(event.pk, by=one),
        lambda: relaying.replay(event.pk, by=other),
    )
    return came_of_it, Event.objects.filter(verb="outbox.replayed").count()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_press_at_once_one_starts_it_and_the_other_is_told(monkeypatch):
    assert press_twice(monkeypatch) == (["done", "not_dead"], 1)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_both_would_start_it(monkeypatch):
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self)

    assert press_twice(monkeypatch) == (["done", "done"], 2)


def test_one_press_replays_a_bounded_number_and_the_next_one_the_rest(monkeypatch):
    monkeypatch.setattr(replays, "MOST", 2)
    for _event in range(3):
        make_dead()
    by = make_staff(ADMINISTRATOR)

    assert [relaying.replay_dead(by=by), relaying.replay_dead(by=by), relaying.replay_dead(by=by)] == [2, 1, 0]
