"""What a mail leads to only shows: programs that fetch every link of it change nothing."""

from __future__ import annotations

import pytest
from django.test import Client

from por.notifications.actions import digests
from por.notifications.messages import _mails, compose, inbox_text
from por.notifications.models import Delivery, Notification
from tests.mails import all_rows, by_reader, everything_happens, links, links_of


@pytest.fixture(scope="module")
def deliveries(shared: None) -> list[Delivery]:
    """All mail that can be made to leave, digests of it among it."""
    everything_happens()
    Notification.objects.update(digest_at="2026-01-01T07:00Z")
    assert digests.put_together() > 2
    return list(Delivery.objects.select_related("event", "organisation", "user"))


def test_fetching_every_link_of_every_mail_changes_nothing(deliveries):
    everybody, anybody, theirs = links(deliveries), Client(), {}
    for person, mails in by_reader(deliveries).items():
        client = Client()
        client.force_login(person)
        theirs[client] = links(mails)
    before = all_rows()

    strangers = {ask(link).status_code for ask in (anybody.get, anybody.head) for link in everybody}
    readers = {client.get(link).status_code for client, found in theirs.items() for link in found}

    assert len(everybody) > 20
    assert strangers == {200, 302}, "a receipt, or the way to sign in"
    assert readers == {200, 302, 404}, "404 is what was undone since"
    assert all_rows() == before


def test_every_kind_of_message_is_among_them(deliveries):
    assert _mails.keys() - {one.template for one in deliveries} == set()


def test_the_line_in_the_inbox_leads_where_the_mail_does_and_asks_the_database_nothing(
    deliveries, django_assert_num_queries
):
    lines = list(Notification.objects.select_related("event"))
    by_mail = {(one.event_id, one.template): one for one in deliveries}
    with django_assert_num_queries(0):
        said = [inbox_text(one.message, one.event) for one in lines]

    assert len(lines) == len([one for one in deliveries if one.template not in {"digest", "staff_welcome"}])
    for one, line in zip(lines, said, strict=True):
        mail = compose(by_mail[one.event_id, one.message])
        assert line.url in links_of(mail)
        assert len(line.sentence) > 20, line
    assert {one.message for one in lines if _mails[one.message].inbox is None} == set()
    partners = {line.sentence for one, line in zip(lines, said, strict=True) if not one.message.endswith("_receipt")}
    assert "You were attached as the partner of record." in partners
    assert "You are no longer the partner of record. The subscription expired." in partners
    assert any(
        sentence.startswith("This subscription has changed: Seats 420 → 400, Renewal unknown → ")
        for sentence in partners
    )


def test_a_message_of_another_release_says_what_it_is_about_and_is_logged(deliveries, caplog):
    one = Notification.objects.select_related("event").earliest("pk")
    assert inbox_text("of_another_release", one.event) == (one.event.object_name, "")
    assert "of_another_release" in caplog.text
