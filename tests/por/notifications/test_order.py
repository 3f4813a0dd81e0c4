"""The order in which mail leaves, with several senders and a mail server that refuses, and second copies."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from por.accounts.models import SYSTEM, Actor
from por.db.locks import advisory_lock
from por.directory.models import Partner, Subscription
from por.history.actions import recording as history
from por.history.actions import relaying
from por.history.models import Event, Outbox
from por.notifications import messages
from por.notifications.actions.delivering import Deliveries, deliver
from por.notifications.actions.notifying import notify_organisation
from por.notifications.models import Delivery
from por.queue import work
from por.queue.rules import HOLDS_BACK
from tests.databases import addresses
from tests.factories import make_member
from tests.por.notifications.conftest import NEWS, MailServer
from tests.product import ROOT

Status = Delivery.Status


MAIL = NEWS._replace(inbox=None)


@pytest.fixture(autouse=True)
def _own_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(messages._mails, "record_attached", MAIL)


@pytest.fixture(autouse=True)
def _long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no second try be due before a test says so, however slow the machine is."""
    monkeypatch.setattr(work, "backoff", lambda _attempts: timedelta(minutes=1))


def tell(partner: Partner, thing: str, *, by: Actor = SYSTEM) -> int:
    """Notify the members of the partner of an event about a thing; return the event."""
    about = history.ObjectRef("thing", thing, thing)
    event = Event.objects.get(pk=history.record("thing.done", about, by=by, at=timezone.now(), chain=None))
    notify_organisation(event, MAIL, organisation_id=partner.pk)
    return event.pk


def make_due() -> None:
    Delivery.objects.waiting().update(next_at=timezone.now())


def events_of(server: MailServer) -> list[int]:
    """Return the events of the mails in the order in which they arrived."""
    events = {str(one.message_id): one.event_id for one in Delivery.objects.all()}
    return [events[mail["Message-ID"].strip("<>").partition("@")[0]] for mail in server.received]


@pytest.fixture
def no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing hold a mail back: a fault, for controls."""
    monkeypatch.setattr(work, "HOLDS_BACK", timedelta(days=-1))
    numbers = itertools.count()
    monkeypatch.setattr(Deliveries, "ordering_key_of", lambda _self, _row: next(numbers))


# --- The order of messages ----------------------------------------------------------------------------------------


def first_of_two_is_refused(partner: Partner, server: MailServer) -> tuple[list[int], list[int]]:
    """Send two mails about a thing, and one about another, while the server refuses the first; return what arrived."""
    make_member(partner.organisation)
    first, second, other = tell(partner, "a"), tell(partner, "a"), tell(partner, "b")
    server.to_data = ["451 Try again later"]
    deliver()
    deliver()
    at_first = events_of(server)
    for _run in range(2):  # the first, and then the one that waited for it
        make_due()
        deliver()
    assert Counter(events_of(server)) == Counter([first, second, other])
    return at_first, [one for one in events_of(server) if one != other]


def test_mail_waits_for_an_earlier_one_to_the_same_person_about_the_same_thing(partner, mail_server):
    at_first, about_a = first_of_two_is_refused(partner, mail_server)
    first, second, other = Event.objects.order_by("pk").values_list("pk", flat=True)
    assert at_first == [other], "a mail about another thing does not wait"
    assert about_a == [first, second]


@pytest.mark.usefixtures("no_order")
def test_control_mail_that_does_not_wait_overtakes(partner, mail_server):
    _at_first, about_a = first_of_two_is_refused(partner, mail_server)
    assert about_a == sorted(about_a, reverse=True)


def test_mail_does_not_wait_for_an_earlier_one_to_someone_else(partner, mail_server):
    make_member(partner.organisation, email="a@nordvik.example")
    make_member(partner.organisation, email="b@nordvik.example")
    mail_server.to_rcpt["a@nordvik.example"] = "451 Greylisted"
    tell(partner, "a"), tell(partner, "a")
    deliver()
    assert mail_server.recipients == ["b@nordvik.example"] * 2
    assert sorted(Delivery.objects.waiting().values_list("attempts", "is_taken")) == [(0, False), (1, True)]


def test_mail_does_not_wait_for_ever(partner, mail_server):
    make_member(partner.organisation)
    first, second = tell(partner, "a"), tell(partner, "a")
    mail_server.to_data = ["451 Try again later"]
    deliver()
    assert mail_server.received == []
    later = timezone.now() + HOLDS_BACK + timedelta(seconds=1)
    Delivery.objects.filter(event=first).update(next_at=later, attempts=9)
    deliver()
    assert events_of(mail_server) == [second]


def test_mail_does_not_wait_for_one_that_was_refused_for_good(partner, mail_server):
    make_member(partner.organisation)
    _first, second = tell(partner, "a"), tell(partner, "a")
    mail_server.to_data = ["554 We do not want this"]
    deliver()
    assert events_of(mail_server) == [second]


THINGS = ["a", "b", "c"]


def arrivals_by_thing(partner: Partner, server: MailServer) -> Iterator[list[int]]:
    """Send many mails with four senders, while the server refuses some at first; yield the order of each thing."""
    make_member(partner.organisation)
    about = {tell(partner, thing): thing for _turn in range(10) for thing in THINGS}
    chance = random.Random(7)
    server.to_data = [chance.choice(["250 OK", "250 OK", "451 Try again later"]) for _mail in range(60)]

    def send() -> None:
        for _run in range(3):
            deliveries = Deliveries()
            deliveries.run()
            deliveries.server.close()
        connection.close()

    while Delivery.objects.waiting().exists():
        make_due()
        senders = [threading.Thread(target=send) for _number in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    arrived = events_of(server)
    assert sorted(arrived) == sorted(about), "each once"
    orders = defaultdict(list)
    for event in arrived:
        orders[about[event]].append(event)
    yield from orders.values()


@pytest.mark.django_db(transaction=True)
def test_several_senders_keep_the_order_while_the_server_refuses_some(partner, mail_server, monkeypatch):
    monkeypatch.setattr(Deliveries, "batch", 3)
    assert all(order == sorted(order) for order in arrivals_by_thing(partner, mail_server))


@pytest.mark.usefixtures("no_order")
@pytest.mark.django_db(transaction=True)
def test_control_senders_that_do_not_look_at_each_other_lose_the_order(partner, mail_server, monkeypatch):
    monkeypatch.setattr(Deliveries, "batch", 3)
    assert not all(order == sorted(order) for order in arrivals_by_thing(partner, mail_server))


# --- What goes first ----------------------------------------------------------------------------------------------


def place_of_an_act_among_a_load(partner: Partner, server: MailServer, by: Actor, priority: int | None = None) -> int:
    """Send thirty mails that a load caused and then one about what a person did; return how many came before it."""
    make_member(partner.organisation)
    for number in range(30):
        tell(partner, f"load {number}")
    act = tell(partner, "act", by=by)
    if priority is not None:
        Delivery.objects.update(priority=priority)
    deliver()
    assert len(server.received) == 31
    return events_of(server).index(act)


def test_mail_about_the_act_of_a_person_leaves_before_that_of_a_load(partner, mail_server, admin, monkeypatch):
    monkeypatch.setattr(Deliveries, "batch", 1)
    assert place_of_an_act_among_a_load(partner, mail_server, admin) == 0


def test_control_without_priorities_the_mail_of_a_load_leaves_first(partner, mail_server, admin, monkeypatch):
    monkeypatch.setattr(Deliveries, "batch", 1)
    assert place_of_an_act_among_a_load(partner, mail_server, admin, priority=0) == 30


def mails_before_an_act_that_no_worker_has_relayed(
    subscription: Subscription, partner: Partner, server: MailServer, by: Actor
) -> int | None:
    """Send thirty mails of a load while an act waits for the relay; return how many left before that of the act."""
    make_member(partner.organisation)
    for number in range(30):
        tell(partner, f"load {number}")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=by)
    act = Event.objects.newest_first()[0].pk
    deliver()
    arrived = events_of(server)
    assert len(arrived) >= 30
    return arrived.index(act) if act in arrived else None


def test_sender_relays_acts_before_each_batch_so_their_mail_waits_for_no_worker(
    subscription, partner, mail_server, admin
):
    assert mails_before_an_act_that_no_worker_has_relayed(subscription, partner, mail_server, admin) == 0


def test_control_a_sender_that_relays_nothing_leaves_the_act_behind(
    subscription, partner, mail_server, admin, monkeypatch
):
    monkeypatch.setattr(relaying, "relay_acts", lambda: 0)
    assert mails_before_an_act_that_no_worker_has_relayed(subscription, partner, mail_server, admin) is None


@pytest.mark.django_db(transaction=True)
def test_one_worker_at_a_time_relays_loads_and_the_others_do_acts(subscription, partner, admin):
    loaded = history.record(
        "thing.done", history.ObjectRef("thing", "a", "a"), by=SYSTEM, at=timezone.now(), chain=None
    )
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    with advisory_lock("relay of loads"):
        relaying.relay()
        assert list(Outbox.objects.waiting().values_list("pk", flat=True)) == [loaded]
    relaying.relay()
    assert not Outbox.objects.waiting().exists()


# --- A sender that dies -------------------------------------------------------------------------------------------

OWN_MAIL = """
from tests.por.notifications.test_order import MAIL, messages
messages._mails["record_attached"] = MAIL
"""
SENDING = OWN_MAIL + "from por.notifications.actions.delivering import deliver; deliver()"
#: A fault: all mails of a batch leave before the first one is marked.
MARKED_LATE = (
    OWN_MAIL
    + """
from por.notifications.actions.delivering import Deliveries, compose
class Late(Deliveries):
    def do(self, rows):
        self.server.send_messages([compose(row) for row in rows])
        return super().do(rows)
Late().run()
"""
)


def copies_after_a_kill(partner: Partner, server: MailServer, code: str, sender: str) -> Counter[str]:
    """Kill the sender of twelve mails at the fifth, and let another one go on; return the copies of each mail."""
    make_member(partner.organisation)
    for number in range(12):
        tell(partner, f"{number}")
    ours = {"EMAIL_URL": f"smtp://127.0.0.1:{server.port}", "DEFAULT_FROM_EMAIL": sender} | addresses()
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | ours, stderr=subprocess.DEVNULL) as process:
        server.kills += [None] * 4 + [process.pid]
        assert process.wait() == -signal.SIGKILL
    make_due()  # the leases have run out
    deliver()
    assert set(Delivery.objects.values_list("status", "attempts")) == {(Status.SENT, 1)}
    return Counter(mail["Message-ID"] for mail in server.received)


@pytest.mark.django_db(transaction=True)
def test_sender_that_dies_causes_at_most_one_second_copy(partner, mail_server, settings):
    copies = copies_after_a_kill(partner, mail_server, SENDING, settings.DEFAULT_FROM_EMAIL)
    assert sorted(copies.values()) == [1] * 11 + [2]


@pytest.mark.django_db(transaction=True)
def test_control_batch_that_is_marked_late_causes_many_second_copies(partner, mail_server, settings):
    copies = copies_after_a_kill(partner, mail_server, MARKED_LATE, settings.DEFAULT_FROM_EMAIL)
    assert sorted(copies.values()) == [1] * 7 + [2] * 5


# --- Several senders ----------------------------------------------------------------------------------------------


def test_mails_are_given_back_when_no_time_is_left(partner, mail_server, monkeypatch):
    make_member(partner.organisation)
    for number in range(3):
        tell(partner, f"{number}")
    monkeypatch.setattr(work, "BATCH_FOR", 0.0)
    monkeypatch.setattr(Deliveries, "run_for", 0.0)
    deliver()
    assert len(mail_server.received) == 1
    assert set(Delivery.objects.waiting().values_list("is_taken", "attempts")) == {(False, 0)}


@pytest.mark.django_db(transaction=True)
def test_second_sender_helps_only_while_mail_leaves(partner, mail_server):
    make_member(partner.organisation)
    tell(partner, "a")
    is_locked, over = threading.Event(), threading.Event()

    def hold_the_first_place() -> None:
        with advisory_lock("deliver"):
            is_locked.set()
            over.wait(60)

    first = threading.Thread(target=hold_the_first_place)
    first.start()
    is_locked.wait(60)
    try:
        assert deliver() == 0, "the first sender hangs: no mail has left"
        Delivery.objects.update(status=Status.SENT, sent_at=timezone.now())
        tell(partner, "b")
        assert deliver() == 1, "the first sender is busy"
    finally:
        over.set()
        first.join()
