"""An undo withdraws mail that has not left, and tells of the undo only those who got the first mail."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions.undo import undo
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from por.history.actions.relaying import relay
from por.history.models import Event, Outbox
from por.notifications.actions.delivering import deliver
from por.notifications.models import Delivery, Notification
from por.notifications.queries import unreached
from tests.factories import make_member, make_partner, make_staff
from tests.pages import signed_in

Status = Delivery.Status


@pytest.fixture
def maja(partner):
    return make_member(partner.organisation, name="Maja Ek")


@pytest.fixture
def attach(subscription, partner, admin, maja):
    def attach(**fields):
        return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, **fields)

    return attach


def statuses(verb: str) -> set[str]:
    return set(Delivery.objects.filter(event__verb=verb).values_list("status", flat=True))


def sent() -> list[str]:
    mail.outbox.clear()
    relay()
    deliver()
    return [one.subject for one in mail.outbox]


@pytest.mark.parametrize("relayed", [True, False], ids=["the first mail waits", "both are told of in one batch"])
def test_undo_withdraws_mail_that_has_not_left_and_sends_none_of_its_own(attach, subscription, admin, maja, relayed):
    attach()
    if relayed:
        relay()
        assert statuses("partner_of_record.attached") == {Status.WAITING}
    undo(subscription.subscription_id, by=admin)

    assert sent() == []
    assert statuses("partner_of_record.attached") == {Status.WITHDRAWN}
    assert statuses("partner_of_record.attach_undone") == set()
    # The inbox says both.
    assert Notification.objects.visible_to(maja).count() == 2


def test_who_got_the_first_mail_gets_that_of_the_undo(attach, subscription, admin):
    attach()
    assert len(sent()) == 2
    undo(subscription.subscription_id, by=admin)
    assert len(sent()) == 2
    assert statuses("partner_of_record.attach_undone") == {Status.SENT}


def test_each_recipient_is_looked_at_alone(attach, subscription, admin, maja):
    attach()
    relay()
    Delivery.objects.filter(recipient=maja.user.email).update(status=Status.SENT, sent_at=timezone.now())
    undo(subscription.subscription_id, by=admin)
    (subject,) = sent()
    assert "undid attaching you" in subject
    assert Delivery.objects.get(status=Status.WITHDRAWN).recipient == admin.user.email


def test_mail_that_a_sender_has_taken_may_have_left_so_both_are_sent(attach, subscription, admin):
    attach()
    relay()
    later = timezone.now() + timedelta(minutes=5)
    Delivery.objects.update(is_taken=True, attempts=1, next_at=later)
    undo(subscription.subscription_id, by=admin)
    relay()
    assert statuses("partner_of_record.attached") == {Status.WAITING}
    assert statuses("partner_of_record.attach_undone") == {Status.WAITING}


def test_handlers_that_run_again_send_nothing_more(attach, subscription, admin):
    attach()
    relay()
    undo(subscription.subscription_id, by=admin)
    relay()
    Outbox.objects.update(done_at=None, next_at=timezone.now(), is_taken=False)
    assert sent() == []
    assert Delivery.objects.exclude(status=Status.WITHDRAWN).count() == 0


def test_only_mail_of_the_last_such_change_is_withdrawn(attach, subscription, admin):
    attach()
    relay()
    attaching.remove(subscription.subscription_id, by=admin)
    relay()
    undo(subscription.subscription_id, by=admin)
    relay()
    assert statuses("partner_of_record.attached") == {Status.WAITING}
    assert statuses("partner_of_record.removed") == {Status.WITHDRAWN}


def test_undone_removal_answer_switch_move_of_start_and_cancelled_question_are_withdrawn(
    attach, subscription, admin, maja
):
    rival = make_partner("Halden Konsult AB")
    make_member(rival.organisation)
    held = attach().association
    number = subscription.subscription_id
    sent()

    attach(began_on=timezone.now().date() - timedelta(days=9))
    undo(number, by=admin)
    assert sent() == []

    attaching.attach(number, rival.mpn_id, by=admin, switch=True)
    assert undo(number, by=admin) == held
    assert sent() == []

    attaching.attach(number, rival.mpn_id, by=admin)
    assert len(sent()) == 3
    change_requests.answer(ChangeRequest.objects.open().get().pk, rival.mpn_id, by=admin)
    undo(number, by=admin)
    assert sent() == []

    attaching.remove(number, by=admin)
    undo(number, by=admin)
    # Whom no mail told of the cancelled question is told that it is open again: it was not told of that removal alone.
    assert [one for one in sent() if "open again" not in one] == []
    assert statuses("change_request.cancelled") == {Status.WITHDRAWN}


def test_staff_see_what_was_withdrawn(attach, subscription, admin):
    attach()
    undo(subscription.subscription_id, by=admin)
    relay()
    assert (
        "Withdrawn: undone before it left"
        in signed_in(make_staff("programme_administrator")).get("/a/deliveries/").text
    )


def plans_of_reads(work) -> list[str]:
    """Return the plans of all reads of mail about an event that the work does, if the database avoids reading all."""
    with CaptureQueriesContext(connection) as asked:
        work()
    plans = []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in asked.captured_queries:
            if re.search(r'FROM "notifications_delivery".* WHERE .*"event_id" (=|IN)', query["sql"]):
                cursor.execute(f"EXPLAIN {query['sql']}")
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
    return plans


@pytest.mark.django_db
def test_mail_about_an_event_is_found_by_index_however_much_was_sent(attach, subscription, admin):
    attach()
    relay()
    undo(subscription.subscription_id, by=admin)
    event = Event.objects.latest("pk")
    for work in (relay, lambda: unreached(event)):
        plans = plans_of_reads(work)
        assert plans
        assert all("Index Scan" in one and "Seq Scan" not in one for one in plans)

    [without_index] = plans_of_reads(lambda: list(Delivery.objects.filter(event=event)))
    assert "one_delivery_per_event_member_and_message" not in without_index
