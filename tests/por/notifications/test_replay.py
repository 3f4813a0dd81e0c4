"""Sending again what failed: once, by whoever is first, with the same Message-ID."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet

from associations.attaching.actions.attach import attach
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions import delivering
from por.notifications.models import Delivery
from tests.at_once import at_once, together
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

ADMINISTRATOR = "programme_administrator"


def make_delivery(status: str = "dead", **fields: object) -> Delivery:
    """The message to a partner's only member about being attached, brought into a state that time would bring."""
    customer, partner = make_customer(), make_partner(contact_email="hello@nordvik.example")
    attach(make_subscription(customer).subscription_id, partner.mpn_id, by=make_member(customer.organisation))
    relay()
    delivery = Delivery.objects.get(organisation=partner.organisation)
    for name, value in ({"status": status, "attempts": 12, "last_error": "Rejected"} | fields).items():
        setattr(delivery, name, value)
    delivery.save()
    return delivery


@pytest.mark.parametrize("status", ["dead", "refused"])
def test_a_message_that_failed_goes_out_again_under_the_same_id(send, status):
    delivery = make_delivery(status)

    delivering.replay(delivery.pk, by=make_staff(ADMINISTRATOR))

    mails = [mail for mail in send() if mail["To"] == "hello@nordvik.example"]
    assert [str(delivery.message_id) in mail["Message-ID"] for mail in mails] == [True]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.last_error) == ("sent", 1, "")


def test_it_stands_in_the_history_of_the_organisation_without_the_address():
    delivery = make_delivery()
    by = make_staff(ADMINISTRATOR)

    delivering.replay(delivery.pk, by=by)

    event = Event.objects.get(verb="delivery.replayed")
    assert event.chain == f"organisation:{delivery.organisation_id}"
    assert (event.object_kind, event.object_id, event.actor_id) == ("delivery", str(delivery.pk), by.user_id)
    assert event.changes == {"event": delivery.event_id, "status": "dead", "attempts": 12}
    assert delivery.recipient not in f"{event.object_name} {event.changes}"


@pytest.mark.parametrize(("status", "word"), [("sent", "has already been sent"), ("waiting", "waiting")])
def test_what_has_not_failed_is_left_alone_and_the_sentence_says_why(status, word):
    delivery = make_delivery(status)

    with pytest.raises(Refused, match=word) as refused:
        delivering.replay(delivery.pk, by=make_staff(ADMINISTRATOR))

    assert refused.value.code == "not_failed"
    assert Delivery.objects.get(pk=delivery.pk).attempts == 12
    assert not Event.objects.filter(verb="delivery.replayed").exists()


@pytest.mark.parametrize("role", ["reviewer", "support", "auditor"])
def test_only_a_programme_administrator_sends_again(role):
    delivery = make_delivery()

    with pytest.raises(Forbidden):
        delivering.replay(delivery.pk, by=make_staff(role))
    with pytest.raises(Forbidden):
        delivering.replay_failed(by=make_staff(role))


def test_one_that_does_not_exist_is_absent():
    with pytest.raises(NotFound):
        delivering.replay(404, by=make_staff(ADMINISTRATOR))


def test_all_that_failed_go_out_again_and_nothing_else():
    failed = [make_delivery("dead"), make_delivery("refused")]
    others = [make_delivery("sent"), make_delivery("waiting")]

    assert delivering.replay_failed(by=make_staff(ADMINISTRATOR)) == 2

    assert {one.pk for one in Delivery.objects.filter(attempts=0, pk__in=[one.pk for one in failed + others])} == {
        one.pk for one in failed
    }
    assert Event.objects.filter(verb="delivery.replayed").count() == 2
    assert delivering.replay_failed(by=make_staff(ADMINISTRATOR)) == 0


# --- Two at once ------------------------------------------------------------------------------------------------


def press_twice(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Two administrators, each having seen that it failed before either acts, where nothing holds one of them up."""
    delivery, one, other = make_delivery(), make_staff(ADMINISTRATOR), make_staff(ADMINISTRATOR)
    has_failed = Delivery.has_failed.fget
    monkeypatch.setattr(Delivery, "has_failed", property(together(has_failed)))
    came_of_it = at_once(
        lambda: delivering.replay(delivery.pk, by=one),
        lambda: delivering.replay(delivery.pk, by=other),
    )
    return came_of_it, Event.objects.filter(verb="delivery.replayed").count()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_press_at_once_one_sends_and_the_other_is_told(monkeypatch):
    assert press_twice(monkeypatch) == (["done", "not_failed"], 1)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_both_would_send(monkeypatch):
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self)

    assert press_twice(monkeypatch) == (["done", "done"], 2)
