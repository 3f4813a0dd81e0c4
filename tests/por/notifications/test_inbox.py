"""The inbox: all notifications of a member, grouped by object, until they mark them as done."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from por.accounts.models import Actor
from por.db import prepared
from por.history.actions.relaying import relay
from por.history.models import Event, Outbox
from por.notifications import queries as inbox_queries
from por.notifications.actions.notifying import choose
from por.notifications.models import Delivery, How, Notification
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import queries, signed_in

INBOX = "/inbox/"


@pytest.fixture
def maja(partner) -> Actor:
    return make_member(partner.organisation, email="maja@nordvik.example")


@pytest.fixture
def reader(maja: Actor) -> Actor:
    return maja


def attach(customer, partner, admin, **fields):
    subscription = make_subscription(customer, **fields)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    return subscription


def lines(web: Client, query: str = "") -> list[list[str]]:
    """Return the sentences on the page, group by group."""
    return [[one.line.sentence for one in group.entries] for group in web.get(INBOX + query).context["groups"]]


def newest(actor: Actor) -> Notification:
    return Notification.objects.visible_to(actor).latest("pk")


# --- Its lines --------------------------------------------------------------------------------------------------


def test_inbox_has_a_line_for_each_message_even_without_mail(customer, partner, admin, maja, web):
    choose(maja.user.memberships.get(), {"record_attached": How.OFF})
    colleague = make_member(partner.organisation, "viewer")
    subscription = attach(customer, partner, admin)

    assert Delivery.objects.get(organisation=partner.pk).user == colleague.user
    text = web.get(INBOX).text
    for words in (
        "You were attached as the partner of record.",
        f"/p/subscriptions/{subscription.subscription_id}/",
        str(subscription.subscription_id)[:8],
        "Västerhamn Energi AB",
        "You get this because your role at Nordvik Cloud AB is administrator.",
    ):
        assert words in text
    assert "You get this because your role at Nordvik Cloud AB is viewer." in signed_in(colleague).get(INBOX).text


def test_lines_are_grouped_by_subscription_with_the_newest_group_first(customer, partner, admin, web):
    first = attach(customer, partner, admin)
    attach(customer, partner, admin)
    attaching.remove(first.subscription_id, by=admin)
    relay()
    assert lines(web) == [
        ["You were removed as the partner of record.", "You were attached as the partner of record."],
        ["You were attached as the partner of record."],
    ]


def test_receipt_is_done_from_the_start_and_colleagues_have_none(customer, partner, admin):
    colleague = make_member(customer.organisation)
    attach(customer, partner, admin)
    assert lines(signed_in(admin)) == []
    assert lines(signed_in(admin), "?view=done") == [["You attached Nordvik Cloud AB as the partner of record."]]
    assert not Notification.objects.visible_to(colleague).exists()


def test_second_call_of_the_handlers_adds_no_line(customer, partner, admin, maja):
    attach(customer, partner, admin)
    Outbox.objects.update(done_at=None, next_at=Event.objects.get().at)
    relay()
    assert Notification.objects.count() == 2


def test_each_membership_has_its_own_inbox_which_is_deleted_with_it(customer, partner, admin, maja):
    attach(customer, partner, admin)
    other = make_partner()
    other.organisation.memberships.create(user=maja.user, role="viewer")
    elsewhere = Actor(maja.user, other.organisation, "viewer")
    assert Notification.objects.visible_to(maja).count() == 1
    assert not Notification.objects.visible_to(elsewhere).exists()
    maja.user.memberships.get(organisation=partner.pk).delete()
    assert not Notification.objects.visible_to(maja).exists()


def test_long_groups_show_how_many_older_lines_there_are_and_long_lists_have_pages(
    customer, partner, admin, web, monkeypatch
):
    monkeypatch.setattr(inbox_queries, "SHOWN", 1)
    monkeypatch.setattr("por.web.lists.PAGE_SIZE", 2)
    subscription = attach(customer, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    relay()
    assert lines(web) == [["You were removed as the partner of record."]]
    assert "1 older message" in web.get(INBOX).text
    for _ in range(2):
        attach(customer, partner, admin)
    page = web.get(INBOX).context["page"]
    assert (len(page.rows), page.previous != "", page.next != "") == (2, False, True)
    assert lines(web, page.next) == [["You were removed as the partner of record."]]


def test_number_of_queries_of_the_page_does_not_grow(customer, partner, admin, web):
    attach(customer, partner, admin)
    few = queries(lambda: web.get(INBOX))
    for _ in range(3):
        other = make_customer("Ekholmen AB")
        attach(other, partner, make_member(other.organisation))
    assert queries(lambda: web.get(INBOX)) == few


def test_navigation_counts_open_lines_up_to_a_hundred(customer, partner, admin, web, monkeypatch):
    assert re.search(r'id="waiting"\s*></span>', web.get("/p/").text)  # empty, or its style would show it
    monkeypatch.setattr(inbox_queries, "MANY", 1)
    monkeypatch.setattr(prepared, "compiled", {})
    attach(customer, partner, admin)
    assert re.search(r'id="waiting"\s*>1<', web.get("/p/").text)
    for _ in range(2):
        attach(customer, partner, admin)
    assert web.get("/p/").context["navigation"][0].links[1].count == 2  # one more than is counted


def test_empty_inbox_has_a_text_also_in_swedish(partner):
    web = signed_in(make_member(partner.organisation, language="sv"))
    assert "Inga öppna meddelanden" in web.get(INBOX).text
    assert "Inga meddelanden är markerade som klara" in web.get(f"{INBOX}?view=done").text


def test_partner_gets_no_id_of_an_object_that_it_may_not_open(customer, partner, admin, maja, web):
    subscription = attach(customer, partner, admin)
    undo.undo(subscription.subscription_id, by=admin)
    relay()
    assert [group.id for group in web.get(INBOX).context["groups"]] == [""]
    undone, attached = Api(maja).get("notifications/").json()["results"]
    assert (undone["object"]["id"], attached["object"]["id"]) == (None, str(subscription.subscription_id))
    theirs = Api(admin).get("notifications/").json()["results"]
    assert {one["object"]["id"] for one in theirs} == {str(subscription.subscription_id)}


# --- Done and reopened ------------------------------------------------------------------------------------------


def test_line_can_be_marked_as_done_and_reopened_and_repeating_changes_nothing(customer, partner, admin, maja, web):
    attach(customer, partner, admin)
    one = newest(maja)

    page = web.post(f"{INBOX}{one.pk}/done/", follow=True)
    assert "Message marked as done. You can find it in the Done view" in page.text
    assert lines(web) == []
    assert lines(web, "?view=done") == [["You were attached as the partner of record."]]
    one.refresh_from_db()
    since = one.done_at
    web.post(f"{INBOX}{one.pk}/done/")
    one.refresh_from_db()
    assert one.done_at == since

    page = web.post(f"{INBOX}{one.pk}/reopen/?view=done", follow=True)
    assert "The message is open again." in page.text
    assert page.redirect_chain == [(f"{INBOX}?view=done", 302)]
    web.post(f"{INBOX}{one.pk}/reopen/")
    assert lines(web) == [["You were attached as the partner of record."]]


def test_all_lines_of_a_subscription_are_marked_as_done_except_newer_ones(customer, partner, admin, maja, web):
    subscription = attach(customer, partner, admin)
    attach(customer, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    relay()
    seen = newest(maja)
    undo.undo(subscription.subscription_id, by=admin)
    relay()
    page = web.post(f"{INBOX}{seen.pk}/done/all/", follow=True)
    assert "2 messages marked as done." in page.text
    assert lines(web) == [
        ["Your removal was undone. You are the partner of record again, without a gap."],
        ["You were attached as the partner of record."],
    ]


def test_member_cannot_change_the_lines_of_a_colleague(customer, partner, admin, maja):
    attach(customer, partner, admin)
    colleague = signed_in(make_member(partner.organisation))
    one = newest(maja)
    for verb in ("done", "done/all", "reopen"):
        assert colleague.post(f"{INBOX}{one.pk}/{verb}/").status_code == 404
    one.refresh_from_db()
    assert one.done_at is None


def test_get_request_leads_to_the_inbox_and_changes_nothing(customer, partner, admin, maja, web):
    attach(customer, partner, admin)
    one = newest(maja)
    for verb in ("done", "done/all", "reopen"):
        assert web.get(f"{INBOX}{one.pk}/{verb}/").status_code == 302
    one.refresh_from_db()
    assert one.done_at is None


def test_htmx_gets_the_list_alone_with_the_count_for_the_navigation(customer, partner, admin, maja, web):
    attach(customer, partner, admin)
    part = web.post(f"{INBOX}{newest(maja).pk}/done/", headers={"HX-Request": "true"}, follow=True)
    assert "<html" not in part.text
    assert 'id="list"' in part.text
    assert re.search(r'id="waiting"\s+hx-swap-oob="true"\s*></span>', part.text)
    assert "Message marked as done." in part.text


# --- The API ----------------------------------------------------------------------------------------------------


def test_api_returns_the_same_lines_with_a_filter(customer, partner, admin, maja):
    subscription = attach(customer, partner, admin)
    api = Api(maja)
    one = api.get("notifications/").json()["results"][0]
    assert one["object"] == {
        "kind": "subscription",
        "id": str(subscription.subscription_id),
        "name": subscription.name,
    }
    assert (one["verb"], one["status"], one["done_at"]) == ("partner_of_record.attached", "open", None)
    assert one["sentence"] == "You were attached as the partner of record."
    assert one["url"] == f"http://testserver/p/subscriptions/{subscription.subscription_id}/"
    assert len(api.get("notifications/", {"status": "open"}).json()["results"]) == 1
    assert api.get("notifications/", {"status": "done"}).json()["results"] == []
    assert api.get("notifications/", {"status": "new"}).status_code == 422
    assert b"You were attached as the partner of record." in b"".join(api.get("notifications/", {"format": "csv"}))


def test_api_marks_a_line_as_done_once_however_often_it_is_called(customer, partner, admin, maja):
    attach(customer, partner, admin)
    api, one, key = Api(maja), newest(maja), str(uuid.uuid4())
    first = api.post(f"notifications/{one.pk}/done/", Idempotency_Key=key)
    again = api.post(f"notifications/{one.pk}/done/")
    assert (first.status_code, first.json()) == (200, again.json())
    assert first.json()["status"] == "done"
    assert api.post(f"notifications/{one.pk}/reopen/", {}).json()["done_at"] is None
    replayed = api.post(f"notifications/{one.pk}/done/", Idempotency_Key=key)
    assert (replayed["Idempotent-Replayed"], replayed.json()) == ("true", first.json())
    assert newest(maja).done_at is None


def test_api_refuses_strangers_read_only_tokens_and_unknown_fields(customer, partner, admin, maja):
    attach(customer, partner, admin)
    path = f"notifications/{newest(maja).pk}/done/"
    stranger = Api(make_member(partner.organisation))
    assert stranger.post(path).status_code == 404
    assert stranger.post("notifications/4711/done/").json()["code"] == "not_found"
    assert Api(maja, read_only=True).post(path).json()["code"] == "token_is_read_only"
    assert Api(maja).post(path, {"at": "now"}).json()["code"] == "unknown_field"
    assert Api().post(path).status_code == 401
    assert newest(maja).done_at is None
