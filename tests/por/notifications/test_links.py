"""The links in mails only show pages: a program that fetches all of them changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from por.accounts import sessions
from por.notifications.actions import digests
from por.notifications.messages import _mails, compose, inbox_text
from por.notifications.models import Delivery, Notification
from tests.mails import all_rows, by_reader, cause_every_mail, links, links_of

pytestmark = pytest.mark.usefixtures("any_time")


@pytest.fixture(scope="module")
def deliveries(shared: None) -> list[Delivery]:
    """Create one mail of each kind, and digests; return all deliveries."""
    cause_every_mail()
    Notification.objects.update(digest_at="2026-01-01T07:00Z")
    assert digests.put_together() > 2
    return list(Delivery.objects.select_related("event", "organisation", "user"))


def test_fetching_every_link_of_every_mail_changes_nothing(deliveries, monkeypatch):
    monkeypatch.setattr(sessions, "USED_PRECISION", timedelta(days=1))  # of every page, once in a minute
    all_links, anonymous, links_of_reader = links(deliveries), Client(), {}
    for person, mails in by_reader(deliveries).items():
        client = Client()
        client.force_login(person)
        links_of_reader[client] = links(mails)
    before = all_rows()

    strangers = {ask(link).status_code for ask in (anonymous.get, anonymous.head) for link in all_links}
    readers = {client.get(link).status_code for client, found in links_of_reader.items() for link in found}

    assert len(all_links) > 20
    assert strangers == {200, 302}, "a receipt, or a redirect to the sign-in page"
    assert readers == {200, 302, 404}, "404 is for what was undone later"
    assert all_rows() == before


def test_every_kind_of_message_occurs(deliveries):
    assert _mails.keys() - {one.template for one in deliveries} == set()


def test_line_in_the_inbox_has_the_link_of_its_mail_and_needs_no_query(deliveries, django_assert_num_queries):
    lines = list(Notification.objects.select_related("event"))
    by_mail = {(one.event_id, one.template): one for one in deliveries}
    with django_assert_num_queries(0):
        texts = [inbox_text(one.message, one.event) for one in lines]

    without_line = {name for name, one in _mails.items() if one.inbox is None}
    assert len(lines) == len([one for one in deliveries if one.template not in without_line])
    for one, line in zip(lines, texts, strict=True):
        mail = compose(by_mail[one.event_id, one.message])
        assert line.url in links_of(mail)
        assert len(line.sentence) > 20, line
    assert {one.message for one in lines if _mails[one.message].inbox is None} == set()
    partners = {line.sentence for one, line in zip(lines, texts, strict=True) if not one.message.endswith("_receipt")}
    assert "You were attached as the partner of record." in partners
    assert "You are no longer the partner of record. The subscription expired." in partners
    assert any(
        sentence.startswith("This subscription has changed: Seats 420 → 400, Renewal unknown → ")
        for sentence in partners
    )


def test_message_of_another_release_shows_its_object_and_is_logged(deliveries, caplog):
    one = Notification.objects.select_related("event").earliest("pk")
    assert inbox_text("of_another_release", one.event) == (one.event.object_name, "")
    assert "of_another_release" in caplog.text
