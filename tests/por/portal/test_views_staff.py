"""The staff's home, the partners, and the search over all events."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from por.accounts.models import SYSTEM, Actor
from por.history.actions import recording as history
from por.history.actions import relaying
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

HISTORY, PARTNERS = "/a/history/", "/a/partners/"


@pytest.fixture
def reader() -> Actor:
    return make_staff("auditor")


def attach(partner: Any = None, customer: Any = None, by: Actor | None = None, **given: Any) -> Event:
    customer, partner = customer or make_customer(), partner or make_partner()
    by = by or make_member(customer.organisation)
    attaching.attach(make_subscription(customer).subscription_id, partner.mpn_id, by=by, **given)
    return Event.objects.newest_first()[0]


def found(web: Client, query: str) -> list[int]:
    page = web.get(HISTORY + query)
    assert page.status_code == 200, page.text
    return [event.pk for event, _organisation in page.context["rows"]]


# --- Home -------------------------------------------------------------------------------------------------------


def test_home_shows_that_all_is_well(web):
    text = web.get("/a/").text
    assert "No action needed" in text
    assert "No events yet" in text


@pytest.mark.parametrize("role", ["programme_administrator", "auditor", "reviewer", "support"])
def test_home_repeats_nothing_of_the_navigation_but_the_whole_history(role):
    attach()
    web = signed_in(make_staff(role))
    page = web.get("/a/")
    main = page.text.split("<main")[1]
    links = [link.url for group in page.context["navigation"] for link in group.links]
    assert [url for url in links if f'href="{url}"' in main] == [HISTORY]
    assert str(page.context["role_name"]) not in main


def test_home_shows_what_failed_is_stuck_or_has_waited_too_long():
    event = attach(make_partner(contact_email="hello@nordvik.example"))
    relaying.relay()
    long_ago = timezone.now() - timedelta(hours=1)
    dead, *_ = Delivery.objects.all()
    Delivery.objects.update(created_at=long_ago)
    Delivery.objects.filter(pk=dead.pk).update(status="dead")
    stuck = attach()
    Outbox.objects.filter(pk=stuck.pk).update(dead_at=timezone.now())

    text = signed_in(make_staff("programme_administrator")).get("/a/").text

    assert "1 message was not delivered" in text
    assert "1 event is stuck" in text
    assert "Emails are waiting to be sent" in text
    assert "Events are waiting to be processed" not in text
    assert "/a/deliveries/?view=failed" in text
    assert event.object_name in text


def test_reader_without_the_right_sees_figures_without_links():
    attach()
    Outbox.objects.update(dead_at=timezone.now())
    text = signed_in(make_staff("reviewer")).get("/a/").text
    assert "1 event is stuck" in text
    assert "/a/outbox/" not in text
    assert "/a/deliveries/" not in text


# --- Partners ---------------------------------------------------------------------------------------------------


def test_partners_are_found_by_name_number_kind_status_market_and_country(web):
    nordvik = make_partner("Nordvik Cloud AB", market="developed")
    halden = make_partner("Halden Konsult AS", market="developing", status="suspended")
    group = make_partner("Global group", kind="global")

    def names(query: str) -> set[str]:
        return {row.partner.mpn_id for row in web.get(PARTNERS + query).context["rows"]}

    assert names("") == {nordvik.mpn_id, halden.mpn_id, group.mpn_id}
    assert names("?search=nordvik") == {nordvik.mpn_id}
    assert names(f"?search={halden.mpn_id}") == {halden.mpn_id}
    assert names("?kind=global") == {group.mpn_id}
    assert names("?status=suspended") == {halden.mpn_id}
    assert names("?market=developing") == {halden.mpn_id}
    assert len(names("?country=SE")) == 3
    assert web.get(f"{PARTNERS}?kind=moon").status_code == 422
    assert "No partners match" in web.get(f"{PARTNERS}?search=nobody").text


def test_global_account_has_the_figures_of_its_locations_with_each_customer_counted_once(web):
    group = make_partner("Nordvik Group", kind="global")
    one, other = (make_partner(name, parent=group.organisation) for name in ("Nordvik AB", "Nordvik Oy"))
    customer = make_customer()
    for partner in (one, one, other):
        attach(partner, customer)

    rows = {row.partner.mpn_id: row for row in web.get(PARTNERS).context["rows"]}

    assert [
        (rows[p.mpn_id].locations, rows[p.mpn_id].customers, rows[p.mpn_id].of_record) for p in (group, one, other)
    ] == [
        (2, 1, 3),
        (0, 1, 2),
        (0, 1, 1),
    ]


def test_partners_page_shows_its_company_its_kinds_and_what_it_is_party_to(web):
    group = make_partner("Nordvik Group", kind="global")
    partner = make_partner("Nordvik AB", parent=group.organisation)
    event = attach(partner)

    page = web.get(f"{PARTNERS}{partner.mpn_id}/")

    assert f"{PARTNERS}{group.mpn_id}/" in page.text
    assert f"{HISTORY}{event.pk}/" in page.text
    assert [(one["kind"], one["now"], one["customers"]) for one in page.context["kinds"]] == [("dpor", 1, 1)]
    assert "Nordvik AB" in web.get(f"{PARTNERS}{group.mpn_id}/").text
    assert web.get(f"{PARTNERS}0000/").status_code == 404


def test_queries_of_the_partner_list_do_not_grow_with_its_rows(web, django_assert_num_queries):
    group = make_partner("Group", kind="global")
    attach(make_partner("One", parent=group.organisation))
    with CaptureQueriesContext(connection) as few:
        web.get(PARTNERS)
    for number in range(6):
        attach(make_partner(f"Partner {number}", parent=group.organisation))
    with django_assert_num_queries(len(few)):
        web.get(PARTNERS)


# --- History ----------------------------------------------------------------------------------------------------


def test_events_are_found_by_type_object_and_actor(web):
    customer, partner = make_customer("Ekholmen Logistik AB"), make_partner("Halden Konsult AS")
    by = make_member(customer.organisation, name="Astrid Lindahl")
    event = attach(partner, customer, by)
    other = attach()

    assert found(web, "") == [other.pk, event.pk]
    assert found(web, "?search=astrid") == [event.pk]
    assert found(web, f"?search={event.object_id}") == [event.pk]
    assert found(web, f"?search={event.object_id.upper()}") == [event.pk]
    assert found(web, "?verb=partner_of_record.attached") == [other.pk, event.pk]
    assert found(web, "?verb=partner_of_record.removed") == []
    assert found(web, f"?person={by.user_id}") == [event.pk]
    assert found(web, f"?object={event.object_id}") == [event.pk]


def test_events_are_found_by_number_or_name_of_the_organisation_or_a_party(web):
    customer, partner = make_customer("Ekholmen Logistik AB"), make_partner("Halden Konsult AS")
    event = attach(partner, customer)
    attach()

    for text in ("ekholmen", customer.tenant_id, str(customer.tenant_id).upper(), "halden", partner.mpn_id):
        assert found(web, f"?organisation={text}") == [event.pk], text
    assert found(web, "?organisation=nobody") == []


@pytest.mark.usefixtures("any_time")
def test_events_are_found_by_request_and_by_days_of_the_reader(web):
    about = history.ObjectRef("thing", "7", "The seventh thing")
    first, second, third = (
        history.record("thing.done", about, by=SYSTEM, at=at, chain=None)
        for at in (
            datetime(2026, 3, 1, 22, 59, 59, tzinfo=UTC),  # a second before midnight in Stockholm
            datetime(2026, 3, 1, 23, tzinfo=UTC),
            datetime(2026, 3, 2, 23, tzinfo=UTC),
        )
    )

    assert found(web, "?since=2026-03-02&until=2026-03-02") == [second]
    assert found(web, "?until=2026-03-01") == [first]
    assert found(web, "?since=2026-03-03") == [third]
    assert web.get(f"{HISTORY}?since=2026-03-03&until=2026-03-02").status_code == 422
    assert web.get(f"{HISTORY}?since=yesterday").status_code == 422

    web.post("/a/people/add/", headers={"X-Request-ID": "from-the-desk-0001"})
    boss = signed_in(make_staff("programme_administrator"))
    person = make_staff("support").user_id
    boss.post(f"/a/people/{person}/suspend/", headers={"X-Request-ID": "from-the-desk-0002"})
    suspended = Event.objects.newest_first()[0].pk
    assert found(web, "?request_id=from-the-desk-0002") == [suspended]
    assert found(web, "?search=from-the-desk-0002") == [suspended]


def test_slow_search_is_stopped_with_a_message(web, monkeypatch):
    from por.db import locks
    from por.web import lists

    attach()
    monkeypatch.setattr(lists, "statement_timeout", lambda: locks.statement_timeout(0.05))
    monkeypatch.setattr(lists, "read_part", lambda *_: connection.cursor().execute("SELECT pg_sleep(5)"))

    page = web.get(f"{HISTORY}?search=something")

    assert page.status_code == 422
    assert "takes too long" in page.text
    assert "We could not search" in page.text
    assert "No events match" not in page.text  # the search did not finish


def test_search_resets_the_statement_timeout(web):
    web.get(f"{HISTORY}?search=something")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] == "0"


def test_csv_of_events_has_the_chain_and_the_changes(web):
    event = attach()
    lines = b"".join(web.get(f"{HISTORY}?format=csv")).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(lines))
    assert (row["id"], row["hash"], row["chain"]) == (str(event.pk), event.hash, event.chain)
    assert json.loads(row["changes"]) == event.changes


def test_event_pages_follow_each_other_and_queries_do_not_grow(web, monkeypatch, django_assert_num_queries):
    attach()
    with CaptureQueriesContext(connection) as few:
        web.get(HISTORY)
    events = [attach().pk for _ in range(5)]
    with django_assert_num_queries(len(few)):
        web.get(HISTORY)
    monkeypatch.setattr("por.web.lists.PAGE_SIZE", 3)
    for query in ("?", "?since=2020-01-01&"):
        assert found(web, query) == events[:-4:-1]
        assert found(web, web.get(HISTORY + query).context["page"].next) == [*events[-4::-1], events[0] - 1]


def test_event_page_shows_all_that_is_stored_and_its_messages():
    partner = make_partner("Halden Konsult AS")
    event = attach(partner, note="They know our mail")
    relaying.relay()
    event.refresh_from_db()

    text = signed_in(make_staff("auditor")).get(f"{HISTORY}{event.pk}/").text

    for words in (event.hash, event.chain, event.object_id, "partner.mpn_id", partner.mpn_id, "They know our mail"):
        assert words in text
    assert "Halden Konsult AS" in text
    assert "None (first event)" in text
    recipient = Delivery.objects.filter(event=event).exclude(recipient="")[0].recipient
    assert recipient in text
    assert recipient not in signed_in(make_staff("reviewer")).get(f"{HISTORY}{event.pk}/").text


def test_unregistered_event_shows_its_verb(web):
    about = history.ObjectRef("thing", "7", "")
    event_id = history.record(
        "thing.done", about, by=SYSTEM, at=timezone.now(), chain=None, changes={"a": {"b": [1, 2]}}
    )
    text = web.get(f"{HISTORY}{event_id}/").text
    assert "thing.done" in text
    assert "a.b" in text
    assert web.get(HISTORY).status_code == 200
    assert web.get(f"{HISTORY}404/").status_code == 404


def test_pages_are_translated_to_swedish():
    event, web = attach(), signed_in(make_staff("auditor"), language="sv")
    assert "Plattformens status" in web.get("/a/").text
    assert "Alla marknader" in web.get(PARTNERS).text
    assert "Plats i kedjan" in web.get(f"{HISTORY}{event.pk}/").text


def test_search_box_in_the_header_leads_to_the_search_and_from_there_to_events(web):
    assert 'action="/a/find/"' in web.get("/a/people/").text
    assert 'href="/a/history/?search=nordvik"' in web.get("/a/find/?search=nordvik").text
