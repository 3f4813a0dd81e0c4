"""Who is notified, and sending mail over real SMTP, with everything that can go wrong."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.directory.models import Partner
from por.history.actions import recording as history
from por.history.actions import relaying
from por.history.models import Event
from por.notifications import messages
from por.notifications.actions.delivering import deliver
from por.notifications.actions.notifying import choose, notify_actor, notify_organisation
from por.notifications.models import Delivery, How
from por.ops.logs import Formatter, request_id
from por.queue.rules import MAX_ATTEMPTS
from tests.databases import addresses
from tests.factories import make_customer, make_member, make_partner, make_subscription, make_user, suspend
from tests.por.notifications.conftest import NEWS, MailServer
from tests.product import ROOT

Status = Delivery.Status


def failing_context(event: Event) -> dict[str, object]:
    raise ValueError("a value is missing")


@pytest.fixture(autouse=True)
def _own_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the mail of the product: these tests are about sending, not about its texts."""
    monkeypatch.setitem(messages._mails, "record_attached", NEWS)


def record_event(partner: Partner, *, by: Actor | None = None) -> Event:
    """Record an event that concerns a partner; return it."""
    by = by or make_member(make_partner().organisation)
    about = history.ObjectRef("thing", "1", "A thing")
    at = timezone.now()
    return Event.objects.get(pk=history.record("thing.done", about, by=by, at=at, chain=None, parties=[partner.pk]))


def notify_partner(partner: Partner) -> Event:
    event = record_event(partner)
    notify_organisation(event, NEWS, organisation_id=partner.pk)
    return event


def waiting_deliveries(partner: Partner, count: int) -> list[Delivery]:
    for number in range(count):
        make_member(partner.organisation, email=f"member{number}@nordvik.example")
    notify_partner(partner)
    return list(Delivery.objects.order_by("recipient"))


def make_due() -> None:
    Delivery.objects.update(next_at=timezone.now())


# --- Who is notified --------------------------------------------------------------------------------------------


def test_every_member_is_notified_in_their_language_and_time_zone(partner):
    make_member(partner.organisation, email="a@nordvik.example", language="sv", time_zone="Europe/Stockholm")
    make_member(partner.organisation, "viewer", email="b@nordvik.example", time_zone="Asia/Tokyo")
    make_member(make_partner().organisation, email="other@elsewhere.example")
    notify_partner(partner)
    assert list(Delivery.objects.order_by("recipient").values_list("recipient", "language", "time_zone")) == [
        ("a@nordvik.example", "sv", "Europe/Stockholm"),
        ("b@nordvik.example", "en", "Asia/Tokyo"),
    ]


def test_second_notification_of_an_event_adds_nothing(partner):
    make_member(partner.organisation)
    event = notify_partner(partner)
    notify_organisation(event, NEWS, organisation_id=partner.pk)
    assert Delivery.objects.count() == 1


def test_member_who_turned_mail_off_gets_none(partner):
    make_member(partner.organisation, email="wants@nordvik.example")
    unwilling = make_member(partner.organisation, email="not@nordvik.example")
    choose(unwilling.user.memberships.get(), {NEWS.name: How.OFF})
    notify_partner(partner)
    assert Delivery.objects.get().recipient == "wants@nordvik.example"


def test_member_who_turned_mail_on_again_gets_it(partner):
    member = make_member(partner.organisation)
    for wanted in (How.OFF, How.AT_ONCE):
        choose(member.user.memberships.get(), {NEWS.name: wanted})
    notify_partner(partner)
    assert Delivery.objects.get().user == member.user


def test_turning_mail_off_for_one_organisation_does_not_affect_another(partner):
    other = make_partner()
    user = make_member(partner.organisation).user
    other.organisation.memberships.create(user=user, role="viewer")
    choose(user.memberships.get(organisation=partner.organisation), {NEWS.name: How.OFF})
    notify_partner(partner)
    notify_partner(other)
    assert Delivery.objects.get().organisation == other.organisation


def test_suspended_member_is_not_notified(partner):
    make_member(partner.organisation, email="here@nordvik.example")
    suspend(make_member(partner.organisation, email="gone@nordvik.example"))
    notify_partner(partner)
    assert Delivery.objects.get().recipient == "here@nordvik.example"


@pytest.mark.parametrize("members", ["none", "suspended", "unwilling"])
def test_contact_address_gets_mail_that_no_member_wants(members):
    partner = make_partner(contact_email="hello@nordvik.example", language="sv")
    if members == "suspended":
        suspend(make_member(partner.organisation))
    if members == "unwilling":
        choose(make_member(partner.organisation).user.memberships.get(), {NEWS.name: How.OFF})
    notify_partner(partner)
    delivery = Delivery.objects.get()
    assert (delivery.recipient, delivery.user, delivery.language) == ("hello@nordvik.example", None, "sv")


def test_mail_that_requires_a_right_goes_to_members_with_it_or_the_contact_address():
    customer = make_customer(contact_email="hello@vasterhamn.example")
    make_member(customer.organisation, "viewer", email="looks@vasterhamn.example")
    notify_organisation(record_event(make_partner()), NEWS._replace(may=Right.ATTACH), organisation_id=customer.pk)
    make_member(customer.organisation, email="decides@vasterhamn.example")
    notify_organisation(record_event(make_partner()), NEWS._replace(may=Right.ATTACH), organisation_id=customer.pk)
    assert list(Delivery.objects.order_by("pk").values_list("recipient", flat=True)) == [
        "hello@vasterhamn.example",
        "decides@vasterhamn.example",
    ]


def test_without_any_address_nothing_is_sent_and_the_row_says_so(partner):
    notify_partner(partner)
    assert not Delivery.objects.waiting().exists()
    (row,) = Delivery.objects.unreached()
    assert (row.recipient, row.organisation, row.user) == ("", partner.organisation, None)


def test_person_who_acted_gets_a_receipt_and_colleagues_do_not(partner, customer):
    admin = make_member(customer.organisation, email="elin@vasterhamn.example")
    make_member(customer.organisation)
    notify_actor(record_event(partner, by=admin), NEWS)
    assert Delivery.objects.get().recipient == "elin@vasterhamn.example"


def test_system_gets_no_receipt(partner):
    make_user()
    notify_actor(record_event(partner, by=Actor(user=None, organisation=None)), NEWS)
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_sender_is_woken_after_the_commit_and_a_wake_that_fails_does_no_harm(partner, monkeypatch):
    woken = []

    def broken() -> None:
        woken.append(Delivery.objects.count())
        raise ConnectionError("no broker")

    monkeypatch.setattr("por.notifications.actions.delivering.wake.now", broken)
    make_member(partner.organisation)
    notify_partner(partner)
    assert woken == [1]


# --- Sending ----------------------------------------------------------------------------------------------------


def test_each_recipient_gets_one_mail_however_often_deliver_runs(partner, send):
    waiting_deliveries(partner, 3)
    assert [deliver(), deliver()] == [3, 0]
    assert sorted(mail["To"] for mail in send()) == [f"member{number}@nordvik.example" for number in range(3)]
    assert set(Delivery.objects.values_list("status", "attempts")) == {(Status.SENT, 1)}
    assert not Delivery.objects.filter(sent_at=None).exists()


def test_without_due_mail_the_mail_server_is_not_contacted(no_mail_server):
    assert deliver() == 0


def test_headers_contain_the_ids_of_the_delivery_and_of_the_request(partner, send):
    make_member(partner.organisation)
    token = request_id.set("request-4711")
    try:
        notify_partner(partner)
    finally:
        request_id.reset(token)
    mail = send()[0]
    assert mail["Message-ID"] == f"<{Delivery.objects.get().message_id}@por.example>"
    assert mail["X-Request-ID"] == "request-4711"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe"].endswith("/me/mail/>")
    assert mail["From"] == "Partner of Record <no-reply@por.example>"


def test_deferred_mail_is_sent_later_with_the_same_message_id(partner, mail_server, send):
    (delivery,) = waiting_deliveries(partner, 1)
    mail_server.to_data = ["451 Try again later"]
    assert send() == []
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Status.WAITING, 1)
    assert "451" in delivery.last_error
    assert delivery.next_at > timezone.now()
    assert send() == [], "it is not due yet"
    make_due()
    assert [mail["Message-ID"] for mail in send()] == [f"<{delivery.message_id}@por.example>"]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.last_error) == (Status.SENT, 2, "")


def test_deferred_recipient_does_not_delay_the_others(partner, mail_server, send):
    waiting_deliveries(partner, 3)
    mail_server.to_rcpt["member0@nordvik.example"] = "451 Greylisted"
    assert len(send()) == 2


@pytest.mark.parametrize("stage", ["rcpt", "data"])
def test_mail_refused_for_good_is_not_tried_again(stage, partner, mail_server, send):
    waiting_deliveries(partner, 1)
    if stage == "rcpt":
        mail_server.to_rcpt["member0@nordvik.example"] = "550 No such mailbox"
    else:
        mail_server.to_data = ["554 We do not want this"]
    assert send() == []
    make_due()
    assert send() == []
    assert set(Delivery.objects.values_list("status", "attempts")) == {(Status.REFUSED, 1)}


def test_mail_server_that_is_down_uses_up_no_tries(partner, no_mail_server):
    waiting_deliveries(partner, 3)
    for _run in range(MAX_ATTEMPTS + 1):
        assert deliver() == 0
    assert set(Delivery.objects.values_list("status", "attempts")) == {(Status.WAITING, 0)}


def test_mail_server_that_shuts_down_ends_the_run(partner, mail_server, send):
    waiting_deliveries(partner, 3)
    mail_server.to_data = ["421 Shutting down"] * 3
    assert send() == []
    assert sorted(Delivery.objects.values_list("attempts", flat=True)) == [0, 0, 1]
    mail_server.to_data = []
    make_due()
    assert len(send()) == 3


def test_mail_that_breaks_the_connection_is_given_up_and_the_others_arrive(partner, mail_server, send):
    waiting_deliveries(partner, 3)
    mail_server.hangs_up_on = {"member0@nordvik.example"}
    for _run in range(MAX_ATTEMPTS + 2):
        make_due()
        send()
    assert mail_server.recipients == ["member1@nordvik.example", "member2@nordvik.example"]
    poison = Delivery.objects.get(recipient="member0@nordvik.example")
    assert (poison.status, poison.attempts) == (Status.DEAD, MAX_ATTEMPTS)


def test_message_that_cannot_be_composed_is_given_up_and_the_others_arrive(partner, send, monkeypatch):
    monkeypatch.setitem(messages._mails, "broken", NEWS._replace(name="broken", context=failing_context))
    waiting_deliveries(partner, 2)
    Delivery.objects.filter(recipient="member0@nordvik.example").update(template="broken")
    for _run in range(MAX_ATTEMPTS + 2):
        make_due()
        send()
    assert [mail["To"] for mail in send()] == ["member1@nordvik.example"]
    broken = Delivery.objects.get(template="broken")
    assert (broken.status, broken.attempts) == (Status.DEAD, MAX_ATTEMPTS)
    assert broken.last_error == "ValueError: a value is missing"


def test_row_whose_worker_died_on_each_try_is_given_up(partner, send):
    waiting_deliveries(partner, 1)
    Delivery.objects.update(attempts=MAX_ATTEMPTS)
    assert send() == []
    assert Delivery.objects.get().status == Status.DEAD


def test_row_whose_worker_died_is_due_again_after_its_lease(partner, send):
    (delivery,) = waiting_deliveries(partner, 1)
    lease = timezone.now() + timedelta(seconds=60)
    Delivery.objects.update(attempts=1, next_at=lease)
    assert send() == []
    make_due()
    assert len(send()) == 1


@pytest.mark.django_db(transaction=True)
def test_try_is_counted_and_leased_before_the_work(partner, mail_server, monkeypatch):
    waiting_deliveries(partner, 1)

    def crash(*_given: object) -> None:
        raise SystemExit

    monkeypatch.setattr("por.notifications.actions.delivering.compose", crash)
    with pytest.raises(SystemExit):
        deliver()
    connection.close()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == (Status.WAITING, 1)
    assert delivery.next_at > timezone.now()


@pytest.mark.django_db(transaction=True)
def test_two_simultaneous_runs_send_each_mail_once(partner, mail_server: MailServer):
    waiting_deliveries(partner, 20)
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait()
        deliver()
        connection.close()

    threads = [threading.Thread(target=run) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deliver()
    assert len(mail_server.received) == len(set(mail_server.recipients)) == 20
    assert set(Delivery.objects.values_list("status", "attempts")) == {(Status.SENT, 1)}


def test_log_and_row_of_a_failed_message_contain_no_address(mail_server, partner, caplog):
    member = make_member(partner.organisation)
    mail_server.to_rcpt[member.user.email] = f"451 <{member.user.email}>: greylisted, come back later"
    notify_partner(partner)
    with caplog.at_level("INFO"):
        deliver()
    error = Delivery.objects.get().last_error
    assert "greylisted" in error
    assert member.user.email not in error
    lines = [Formatter("%(message)s").format(record) for record in caplog.records]
    assert any("451" in line for line in lines)
    assert not any(member.user.email in line for line in lines)


def test_traceback_in_the_log_contains_no_address_and_no_token():
    try:
        raise ValueError("Key (recipient)=(elin@people.example) already exists, por_abcdefghijklmnopqrstuvwxyz")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "of åke@people.example", (), sys.exc_info())
    line = Formatter("%(message)s").format(record)
    assert "people.example" not in line
    assert "abcdefghij" not in line
    assert "already exists" in json.loads(line)["exc_info"]


@pytest.mark.django_db(transaction=True)
def test_killed_sender_loses_nothing_and_a_second_copy_has_the_same_message_id(mail_server, partner, settings):
    admin, member = make_member(make_customer().organisation), make_member(partner.organisation)
    subscription = make_subscription(admin.organisation.customer)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relaying.relay()
    assert set(Delivery.objects.values_list("recipient", flat=True)) == {admin.user.email, member.user.email}
    sending = [
        sys.executable,
        "manage.py",
        "shell",
        "-c",
        "from por.notifications.actions.delivering import deliver; deliver()",
    ]
    server = f"smtp://127.0.0.1:{mail_server.port}"
    ours = {"EMAIL_URL": server, "DEFAULT_FROM_EMAIL": settings.DEFAULT_FROM_EMAIL} | addresses()
    with subprocess.Popen(sending, cwd=ROOT, env=os.environ | ours, stdout=subprocess.DEVNULL) as sender:
        mail_server.kills.append(sender.pid)
        assert sender.wait() == -signal.SIGKILL
    assert set(Delivery.objects.values_list("status", "is_taken", "attempts")) == {(Status.WAITING, True, 0)}

    Delivery.objects.update(next_at=timezone.now())  # its lease has run out
    deliver()

    copies = Counter(mail["Message-ID"] for mail in mail_server.received)
    assert sorted(copies.values()) == [1, 2]
    assert set(Delivery.objects.values_list("status", "attempts")) == {(Status.SENT, 1)}
