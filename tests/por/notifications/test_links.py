"""What a mail leads to only shows: programs that fetch every link of it change nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.test import Client

from por.notifications.actions import digests
from por.notifications.emails import _messages, address, compose, line_of
from por.notifications.models import Delivery, Notification, Topic
from tests.mails import all_rows, everything_happens, links, links_of, readers


@pytest.fixture
def deliveries() -> list[Delivery]:
    """All mail that can be made to leave, a digest of it among it."""
    everything_happens()
    Notification.objects.update(digest_at="2026-01-01T07:00Z")
    assert digests.put_together() == 4
    return list(Delivery.objects.select_related("event", "organisation", "user"))


def test_fetching_every_link_of_every_mail_changes_nothing(deliveries):
    found = links(deliveries)
    anybody, people = Client(), [Client() for _person in readers(deliveries)]
    for client, person in zip(people, readers(deliveries), strict=True):
        client.force_login(person.user)
    before = all_rows()

    answers = {(link, ask(link, follow=True).status_code) for ask in (anybody.get, anybody.head) for link in found}
    answers |= {(link, client.get(link, follow=True).status_code) for client in people for link in found}

    assert len(found) > 5
    assert {status for _link, status in answers} <= {200, 403, 404}
    assert {link for link, status in answers if status == 200} == found, "each leads somewhere for somebody"
    assert all_rows() == before


def test_every_message_about_the_record_and_invitations_is_among_them(deliveries):
    named = {name for name, one in _messages.items() if one.topic in {Topic.RECORD, Topic.INVITATION}}
    assert named | {"staff_welcome", "digest"} <= {one.template for one in deliveries}


def test_the_line_in_the_inbox_leads_where_the_mail_does_and_asks_the_database_nothing(
    deliveries, django_assert_num_queries
):
    lines = list(Notification.objects.select_related("event"))
    by_mail = {(one.event_id, one.template): one for one in deliveries}
    with django_assert_num_queries(0):
        said = [line_of(one.message, one.event) for one in lines]

    assert len(lines) == len(deliveries) - 5  # four digests, and the welcome
    for one, line in zip(lines, said, strict=True):
        mail = compose(by_mail[one.event_id, one.message])
        assert urlsplit(address(line.url)).path in links_of(mail)
        assert len(line.sentence) > 20
    partners = {line.sentence for one, line in zip(lines, said, strict=True) if not one.message.endswith("_receipt")}
    assert "You were made partner of record." in partners
    assert "You are no longer partner of record. The subscription expired." in partners


def test_a_message_without_a_line_of_its_own_says_its_title_and_what_it_is_about(monkeypatch):
    everything_happens()
    one = Notification.objects.select_related("event").earliest("pk")
    bare = _messages[one.message]._replace(line=None)
    monkeypatch.setitem(_messages, "bare", bare)
    assert line_of("bare", one.event).sentence == f"{bare.title}: {one.event.object_name}"
    assert line_of("of an older release", one.event).sentence == one.event.object_name
