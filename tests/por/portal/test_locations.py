"""The people of a company see its locations, and the MPN ID that customers enter for each."""

from __future__ import annotations

import pytest
from django.test import Client

from associations.attaching.actions.attach import attach
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from tests.factories import make_member, make_partner, make_subscription
from tests.pages import queries, signed_in

PAGE = "/p/locations/"


@pytest.fixture
def company() -> Partner:
    return make_partner("Hela Norden AB", kind="global")


@pytest.fixture
def locations(company: Partner) -> list[Partner]:
    return [make_partner(f"Norden {name} AB", parent=company.organisation) for name in ("Norr", "Syd")]


@pytest.fixture
def web(company: Partner, locations: list[Partner]) -> Client:
    return signed_in(make_member(company.organisation, "viewer"))


def test_company_sees_each_location_with_its_id_and_what_it_is_of_record_for(
    web, locations, company, customer: Customer, admin: Actor
):
    make_partner("Främmande AB")
    attach(make_subscription(customer).subscription_id, locations[1].mpn_id, by=admin)
    page = web.get(PAGE)
    assert [(row.partner, row.customers, row.of_record) for row in page.context["rows"]] == [
        (locations[0], 0, 0),
        (locations[1], 1, 1),
    ]
    for one in locations:
        assert one.mpn_id in page.text
    assert "Partner ID, PartnerOne ID or location ID" in " ".join(page.text.split())
    link = f"/p/subscriptions/?partner_of_record={locations[1].mpn_id}"
    assert f'href="{link}"' in page.text
    assert len(web.get(link).context["rows"]) == 1


def test_location_is_found_by_name_and_by_id(web, locations):
    for search in ("syd", locations[1].mpn_id):
        assert [row.partner for row in web.get(PAGE, {"search": search}).context["rows"]] == [locations[1]]
    assert "No locations match" in web.get(PAGE, {"search": "främmande"}).text


def test_navigation_leads_companies_there_and_a_location_alone_not(web, locations):
    assert f'href="{PAGE}"' in web.get("/p/").text
    alone = signed_in(make_member(locations[0].organisation))
    assert f'href="{PAGE}"' not in alone.get("/p/").text
    assert [row.partner for row in alone.get(PAGE).context["rows"]] == [locations[0]], "its own, and no other one"


def test_queries_do_not_grow_with_the_locations(web, company):
    few = queries(lambda: web.get(PAGE))
    for number in range(5):
        make_partner(f"Norden {number} AB", parent=company.organisation)
    assert queries(lambda: web.get(PAGE)) == few
