"""The lists of customers and of partners over the API."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.record.models import Association
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription


def listed(api: Api, path: str, **query: str) -> list[dict[str, Any]]:
    response = api.get(path, query)
    assert response.status_code == 200, response.text
    return response.json()["results"]


def test_staff_lists_all_customers_a_partner_its_own_and_a_customer_itself(api, customer, partner, amira, admin):
    other = make_customer("Almviks kommun", domain="almvik.example")
    attaching.attach(make_subscription(customer).subscription_id, partner.mpn_id, by=admin)
    make_subscription(customer)

    def ids(rows: list[dict[str, Any]]) -> set[str]:
        return {row["tenant_id"] for row in rows}

    assert ids(listed(Api(make_staff()), "customers/")) == {str(customer.tenant_id), str(other.tenant_id)}
    assert ids(listed(api, "customers/")) == {str(customer.tenant_id)}
    (seen,) = listed(Api(amira), "customers/")
    assert (seen["tenant_id"], seen["subscriptions"], seen["without_partner"]) == (str(customer.tenant_id), 1, 0)
    (own,) = listed(api, "customers/")
    assert (own["subscriptions"], own["without_partner"]) == (2, 1)


def test_customers_are_found_by_name_domain_and_tenant():
    api, one = Api(make_staff()), make_customer("Almviks kommun", domain="almvik.example")
    make_customer("Other", domain="other.example")
    for query in ({"search": "almv"}, {"search": str(one.tenant_id)}, {"domain": "ALMVIK.example"}):
        assert [row["name"] for row in listed(api, "customers/", **query)] == ["Almviks kommun"]
    assert listed(api, "customers/", domain="almvik") == []


def test_staff_lists_all_partners_a_company_its_locations_and_a_customer_those_it_works_with(api, customer, admin):
    group = make_partner("Nordvik Group", kind="global")
    location = make_partner("Nordvik AB", parent=group.organisation)
    rival = make_partner("Halden Konsult AB", status="suspended", market="developing")
    attaching.attach(make_subscription(customer).subscription_id, location.mpn_id, by=admin)
    Association.objects.create(
        kind="delegated_admin", customer=make_customer(), partner=location, began_at=timezone.now(), source="estate"
    )

    def ids(rows: list[dict[str, Any]]) -> set[str]:
        return {row["mpn_id"] for row in rows}

    staff = Api(make_staff())
    assert ids(listed(staff, "partners/")) == {group.mpn_id, location.mpn_id, rival.mpn_id}
    assert ids(listed(staff, "partners/", status="suspended")) == {rival.mpn_id}
    assert ids(listed(staff, "partners/", market="developing")) == {rival.mpn_id}
    assert ids(listed(staff, "partners/", search=location.mpn_id)) == {location.mpn_id}
    own = {row["mpn_id"]: row for row in listed(Api(make_member(group.organisation)), "partners/")}
    assert own.keys() == {group.mpn_id, location.mpn_id}
    assert own[location.mpn_id]["company"] == {"mpn_id": group.mpn_id, "name": "Nordvik Group"}
    assert (own[group.mpn_id]["locations"], own[group.mpn_id]["customers"]) == (1, 2)
    (seen,) = listed(api, "partners/")
    figures = (seen["mpn_id"], seen["customers"], seen["partner_of_record_for"])
    assert figures == (location.mpn_id, 1, 1), "a customer reads nothing of a partner's other customers"


def test_lists_of_customers_and_partners_are_files_too():
    make_customer("Almviks kommun")
    make_partner("Nordvik AB", parent=make_partner("Nordvik Group", kind="global").organisation)
    api = Api(make_staff())
    assert "Almviks kommun" in api.get("customers/", {"format": "csv"}).getvalue().decode()
    lines = api.get("partners/", {"format": "csv"}).getvalue().decode().splitlines()
    assert lines[0].startswith("mpn_id,name,kind,company_mpn_id,")
    assert len(lines) == 3
