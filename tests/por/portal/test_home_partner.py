"""A partner's dashboard: what needs it comes first, and each figure leads to exactly what it counts."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client

from associations.attaching.actions.attach import attach
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import signed_in

TABLE = re.compile(r'<section class="card" aria-labelledby="rows-t">.*?</section>', re.DOTALL)


@pytest.fixture
def reader(amira: Actor) -> Actor:
    return amira


def held(customer: Customer, partner: Partner, admin: Actor, **fields: object) -> Subscription:
    status = fields.pop("status", "active")
    subscription = make_subscription(customer, **fields)
    attach(subscription.subscription_id, partner.mpn_id, by=admin)
    Subscription.objects.filter(pk=subscription.pk).update(status=status)
    return subscription


@pytest.fixture
def estate(customer: Customer, partner: Partner, admin: Actor, reader: Actor) -> dict[str, Subscription]:
    soon = reader.today + timedelta(days=30)
    found = {
        "quiet": held(customer, partner, admin),
        "renewing": held(customer, partner, admin, renews_on=soon),
        "suspended": held(customer, partner, admin, status="suspended"),
        "renewing and in grace": held(customer, partner, admin, renews_on=soon, status="grace"),
        "expired": held(customer, partner, admin, renews_on=soon, status="expired"),
        "asked": held(customer, partner, admin),
    }
    attach(found["asked"].subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)
    return found


NEEDING = {"renewing", "suspended", "renewing and in grace", "asked"}


def names(page, estate: dict[str, Subscription]) -> list[str]:
    by_key = {one.pk: name for name, one in estate.items()}
    return [by_key[row.subscription.pk] for row in page.context["rows"]]


def test_what_needs_attention_comes_first_each_once_and_equals_its_list(web: Client, estate):
    home = web.get("/p/")
    assert sorted(names(home, estate)) == sorted(NEEDING)
    assert home.context["tabs"][0].count == len(NEEDING)
    listed = web.get("/p/subscriptions/?view=attention")
    assert sorted(names(listed, estate)) == sorted(NEEDING)
    assert f'href="{home.context["tabs"][0].url}"' in home.text


def test_dashboard_says_why_a_row_needs_attention(web: Client, estate):
    table = " ".join(TABLE.findall(web.get("/p/").text)[0].split())
    for why in ("in 30 days", "Suspended", "Grace period", "Change request"):
        assert why in table, why


def test_partner_with_nothing_to_do_sees_all_it_is_of_record_for(web: Client, customer, partner, admin):
    quiet = held(customer, partner, admin)
    home = web.get("/p/")
    assert [row.subscription for row in home.context["rows"]] == [quiet]
    assert [tab.current for tab in home.context["tabs"]] == [True, False, False]
    assert "Needs attention" not in home.text


def test_another_location_is_named_in_the_rows_and_the_readers_own_name_is_not(customer, admin):
    above = make_partner("Hela Norden AB", kind="global")
    location = make_partner("Norden Syd AB", parent=above.organisation)
    held(customer, location, admin)
    for reader, shown in ((above, True), (location, False)):
        web = signed_in(make_member(reader.organisation))
        for page in ("/p/", "/p/subscriptions/"):
            rows = re.findall(r"<tbody>.*?</tbody>", web.get(page).text, re.DOTALL)
            assert rows
            assert ("Norden Syd AB" in "".join(rows)) == shown, (reader, page)


def test_gaps_are_a_figure_that_leads_to_them(web: Client, customer, estate):
    home = web.get("/p/")
    [figure] = re.findall(r'<a href="/p/gaps/">\s*(\d+)\s*</a>', home.text)
    assert int(figure) == home.context["counts"]["gaps"] == web.get("/p/gaps/").context["tabs"][0].count > 0


def test_three_change_requests_at_most_have_cards(web: Client, partner, admin, customer):
    rival = make_partner("Halden Konsult AB")
    for _one in range(4):
        attach(held(customer, partner, admin).subscription_id, rival.mpn_id, by=admin)
    text = web.get("/p/").text
    assert text.count("We have asked") == 3
    assert "View change requests" in text


def test_only_those_who_may_invite_are_led_to_it(web: Client, partner):
    assert "Invite a customer" in web.get("/p/").text
    viewer = signed_in(make_member(partner.organisation, "viewer"))
    assert "Invite a customer" not in viewer.get("/p/").text


def test_only_those_who_may_write_a_statement_are_asked_for_one(web: Client, estate, partner):
    assert "Tell the customer what you do" in web.get("/p/").text
    viewer = signed_in(make_member(partner.organisation, "viewer")).get("/p/").text
    assert "Tell the customer what you do" not in viewer
    assert "View change request" in viewer


def test_filter_of_the_dashboard_leads_to_the_list(web: Client, estate, partner):
    other = make_customer("Ekholmen AB")
    held(other, partner, make_member(other.organisation))
    table = TABLE.findall(web.get("/p/").text)[0]
    assert 'action="/p/subscriptions/"' in table
    assert len(web.get("/p/subscriptions/?search=Ekholmen&product=office365&agreement=&status=").context["rows"]) == 1
