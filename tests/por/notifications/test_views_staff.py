"""The staff pages of messages and stuck events, with the buttons to restart them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from por.accounts.models import Actor
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from tests.factories import make_staff
from tests.pages import signed_in
from tests.por.notifications.test_replay import make_delivery

LIST, OUTBOX = "/a/deliveries/", "/a/outbox/"


@pytest.fixture
def reader() -> Actor:
    return make_staff("programme_administrator")


def found(web: Client, query: str = "") -> set[int]:
    return {one.pk for one in web.get(LIST + query).context["page"].rows}


def give_up(event: Event) -> None:
    """Mark the outbox row of the event as given up."""
    Outbox.objects.filter(pk=event.pk).update(done_at=None, dead_at=timezone.now(), attempts=12, last_error="Boom: no")


# --- Deliveries -------------------------------------------------------------------------------------------------


def test_each_tab_shows_and_counts_its_messages(web):
    dead, refused, sent, waiting = (make_delivery(status) for status in ("dead", "refused", "sent", "waiting"))
    receipts = set(Delivery.objects.filter(template__endswith="_receipt").values_list("pk", flat=True))

    assert found(web, "?view=failed") == {dead.pk, refused.pk}
    assert found(web, "?view=sent") == {sent.pk}
    assert found(web, "?view=waiting") == {waiting.pk} | receipts
    assert found(web) == {dead.pk, refused.pk, sent.pk, waiting.pk} | receipts
    assert [tab.count for tab in web.get(LIST).context["tabs"]] == [8, 5, 2, 0, 1]


def test_messages_are_found_by_recipient_organisation_kind_and_event(web):
    one, other = make_delivery(), make_delivery()
    Delivery.objects.filter(pk=one.pk).update(recipient="astrid@ekholmen.example")

    assert found(web, "?search=astrid") == {one.pk}
    assert found(web, f"?search={other.organisation.number}") == {other.pk}
    assert found(web, "?message=record_attached") == {one.pk, other.pk}
    assert one.pk in found(web, f"?event={one.event_id}")
    assert other.pk not in found(web, f"?event={one.event_id}")
    assert web.get(f"{LIST}?search=a").status_code == 422
    assert web.get(f"{LIST}?message=nonsense").status_code == 422


def test_csv_has_the_same_rows(web):
    make_delivery()
    lines = b"".join(web.get(f"{LIST}?view=failed&format=csv")).decode().splitlines()
    assert len(lines) == 2
    assert "hello@nordvik.example" in lines[1]


def test_number_of_queries_of_the_list_does_not_grow(web, django_assert_num_queries):
    make_delivery()
    with CaptureQueriesContext(connection) as few:
        web.get(LIST)
    for _ in range(4):
        make_delivery()
    with django_assert_num_queries(len(few)):
        web.get(LIST)


def test_message_page_shows_recipient_event_and_outcome(web):
    delivery = make_delivery(last_error="SMTPRecipientsRefused: no such user")

    text = web.get(f"{LIST}{delivery.pk}/").text

    for words in (
        "hello@nordvik.example",
        "Nordvik Cloud AB",
        str(delivery.message_id),
        "no such user",
        "Stopped trying",
    ):
        assert words in text
    assert f"/a/history/{delivery.event_id}/" in text


def test_button_sends_the_message_again(web):
    delivery = make_delivery()

    page = web.post(f"{LIST}{delivery.pk}/replay/", follow=True)

    assert "We are sending the message to hello@nordvik.example again." in page.text
    assert "was sent again" in page.text  # in its history
    assert Delivery.objects.get(pk=delivery.pk).status == "waiting"


def test_second_press_is_refused_and_changes_nothing(web):
    delivery = make_delivery()
    web.post(f"{LIST}{delivery.pk}/replay/")

    page = web.post(f"{LIST}{delivery.pk}/replay/")

    assert page.status_code == 409
    assert "already waiting to be sent" in page.text
    assert Event.objects.filter(verb="delivery.replayed").count() == 1


def test_button_sends_all_failed_messages_again(web):
    make_delivery("dead"), make_delivery("refused")
    assert "We are sending 2 messages again." in web.post(f"{LIST}replay/", follow=True).text
    assert not Delivery.objects.failed().exists()
    assert "We are sending 0 messages again." in web.post(f"{LIST}replay/", follow=True).text


def test_auditor_reads_everything_and_has_no_button():
    delivery, auditor = make_delivery(), signed_in(make_staff("auditor"))
    assert auditor.get(f"{LIST}?view=failed").status_code == 200
    for path in (f"{LIST}?view=failed", f"{LIST}{delivery.pk}/", OUTBOX):
        assert "replay/" not in auditor.get(path).text
    assert auditor.post(f"{LIST}{delivery.pk}/replay/").status_code == 403


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("", "No messages yet"),
        ("waiting", "Nothing is waiting"),
        ("failed", "No failed messages"),
        ("sent", "No messages yet"),
    ],
)
def test_each_empty_tab_has_its_own_text(web, view, words):
    assert words in web.get(f"{LIST}?view={view}").text
    assert "No messages match" in web.get(f"{LIST}?view={view}&search=nothing").text


def test_htmx_gets_the_list_alone(web):
    make_delivery()
    part = web.get(LIST, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert 'id="list"' in part


# --- Stuck events -----------------------------------------------------------------------------------------------


def test_stuck_event_shows_its_error_and_can_be_restarted(web):
    event = make_delivery().event
    give_up(event)

    page = web.get(OUTBOX)
    assert "Boom: no" in page.text
    assert f"/a/history/{event.pk}/" in page.text
    assert "We have restarted the follow-up actions" in web.post(f"{OUTBOX}{event.pk}/replay/", follow=True).text
    assert Outbox.objects.get(pk=event.pk).dead_at is None
    assert web.post(f"{OUTBOX}{event.pk}/replay/").status_code == 409


def test_one_button_restarts_all_stuck_events(web):
    give_up(make_delivery().event), give_up(make_delivery().event)
    assert "We have restarted the follow-up actions for 2 events." in web.post(f"{OUTBOX}replay/", follow=True).text
    assert "No stuck events" in web.get(OUTBOX).text


def test_stuck_events_are_found_by_verb(web):
    give_up(make_delivery().event)
    assert len(web.get(f"{OUTBOX}?search=attached").context["page"].rows) == 1
    assert "No events match" in web.get(f"{OUTBOX}?search=removed").text
    assert "Nothing is waiting" in web.get(f"{OUTBOX}?view=waiting").text


def test_number_of_queries_of_the_outbox_does_not_grow(web, django_assert_num_queries):
    give_up(make_delivery().event)
    with CaptureQueriesContext(connection) as few:
        web.get(OUTBOX)
    for _ in range(4):
        give_up(make_delivery().event)
    with django_assert_num_queries(len(few)):
        web.get(OUTBOX)


def test_pages_are_translated_to_swedish():
    delivery, web = make_delivery(), signed_in(make_staff("programme_administrator"), language="sv")
    assert "Skicka alla igen" in web.get(f"{LIST}?view=failed").text
    assert "Skicka igen" in web.get(f"{LIST}{delivery.pk}/").text
    assert "Inga händelser har fastnat" in web.get(OUTBOX).text
