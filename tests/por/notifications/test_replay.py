"""Replaying failed messages: each is sent again once, with the same Message-ID."""

from __future__ import annotations

import pytest

from associations.attaching.actions.attach import attach
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions import delivering
from por.notifications.models import Delivery
from tests.at_once import at_once, together
from tests.databases import function_without
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

ADMINISTRATOR = "programme_administrator"


def make_delivery(status: str = "dead", **fields: object) -> Delivery:
    """Return the message to a partner about being attached, with this status."""
    customer, partner = make_customer(), make_partner(contact_email="hello@nordvik.example")
    attach(make_subscription(customer).subscription_id, partner.mpn_id, by=make_member(customer.organisation))
    relay()
    delivery = Delivery.objects.get(organisation=partner.organisation)
    for name, value in ({"status": status, "attempts": 12, "last_error": "Rejected"} | fields).items():
        setattr(delivery, name, value)
    delivery.save()
    return delivery


@pytest.mark.parametrize("status", ["dead", "refused"])
def test_failed_message_is_sent_again_with_the_same_message_id(send, status):
    delivery = make_delivery(status)

    delivering.replay(delivery.pk, by=make_staff(ADMINISTRATOR))

    mails = [mail for mail in send() if mail["To"] == "hello@nordvik.example"]
    assert [str(delivery.message_id) in mail["Message-ID"] for mail in mails] == [True]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.last_error) == ("sent", 1, "")


def test_replay_is_recorded_in_the_chain_of_the_organisation_without_the_address():
    delivery = make_delivery()
    by = make_staff(ADMINISTRATOR)

    delivering.replay(delivery.pk, by=by)

    event = Event.objects.get(verb="delivery.replayed")
    assert event.chain == f"organisation:{delivery.organisation_id}"
    assert (event.object_kind, event.object_id, event.actor_id) == ("delivery", str(delivery.pk), by.user_id)
    assert event.changes == {"event": delivery.event_id, "status": "dead", "attempts": 12}
    assert delivery.recipient not in f"{event.object_name} {event.changes}"


@pytest.mark.parametrize(("status", "word"), [("sent", "has already been sent"), ("waiting", "waiting")])
def test_message_that_has_not_failed_is_refused_with_a_reason(status, word):
    delivery = make_delivery(status)

    with pytest.raises(Refused, match=word) as refused:
        delivering.replay(delivery.pk, by=make_staff(ADMINISTRATOR))

    assert refused.value.code == "not_failed"
    assert Delivery.objects.get(pk=delivery.pk).attempts == 12
    assert not Event.objects.filter(verb="delivery.replayed").exists()


@pytest.mark.parametrize("role", ["reviewer", "support", "auditor"])
def test_only_a_programme_administrator_replays(role):
    delivery = make_delivery()

    with pytest.raises(Forbidden):
        delivering.replay(delivery.pk, by=make_staff(role))
    with pytest.raises(Forbidden):
        delivering.replay_failed(by=make_staff(role))


def test_unknown_message_is_not_found():
    with pytest.raises(NotFound):
        delivering.replay(404, by=make_staff(ADMINISTRATOR))


def test_all_failed_messages_are_replayed_and_no_others():
    failed = [make_delivery("dead"), make_delivery("refused")]
    others = [make_delivery("sent"), make_delivery("waiting")]

    assert delivering.replay_failed(by=make_staff(ADMINISTRATOR)) == 2

    assert {one.pk for one in Delivery.objects.filter(attempts=0, pk__in=[one.pk for one in failed + others])} == {
        one.pk for one in failed
    }
    assert Event.objects.filter(verb="delivery.replayed").count() == 2
    assert delivering.replay_failed(by=make_staff(ADMINISTRATOR)) == 0


# --- Two people at the same time --------------------------------------------------------------------------------


def replay_twice(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Let two administrators replay a message at the same time; return outcomes and number of events.

    The first one commits once the other one waits for the row that it has changed, or has changed it too.
    """
    delivery, one, other = make_delivery(), make_staff(ADMINISTRATOR), make_staff(ADMINISTRATOR)
    monkeypatch.setattr(delivering.history, "record", together(delivering.history.record))
    outcomes = at_once(
        lambda: delivering.replay(delivery.pk, by=one),
        lambda: delivering.replay(delivery.pk, by=other),
    )
    return outcomes, Event.objects.filter(verb="delivery.replayed").count()


@pytest.mark.django_db(transaction=True)
def test_of_two_simultaneous_replays_one_succeeds_and_the_other_is_refused(monkeypatch):
    assert replay_twice(monkeypatch) == (["done", "not_failed"], 1)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_both_replays_succeed(monkeypatch):
    with function_without("FOR NO KEY UPDATE", Delivery.replay_function):
        assert replay_twice(monkeypatch) == (["done", "done"], 2)
