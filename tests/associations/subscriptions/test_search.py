"""What searches and filters of lists find, and that indexes are used, for few rows and for many."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from associations.record import access
from associations.record.models import Association
from associations.subscriptions import searching
from associations.subscriptions.searching import matches_of
from por.accounts.models import Organisation, User
from por.directory.models import Customer, Subscription
from por.history.models import Event
from tests.api import Api
from tests.databases import clear_statistics
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in


@pytest.fixture
def estate():
    """Nordvik is partner of record for Almvik's mail. Halden sold Almvik's Azure and administers Ekeby's tenant."""
    almvik, ekeby = make_customer("Almviks kommun", domain="almvik.example"), make_customer("Ekeby AB")
    nordvik, halden = make_partner("Nordvik Cloud AB"), make_partner("Halden Konsult AB")
    rows = {
        "mail": make_subscription(almvik),
        "azure": make_subscription(almvik, product="azure", sku=None, agreement="CSP", status="grace"),
        "intune": make_subscription(ekeby, product="intune", sku_string_id="INTUNE_A", renews_on=None),
    }
    began = {"began_at": datetime(2025, 1, 1, tzinfo=UTC), "source": "estate"}
    Association.objects.create(kind="dpor", partner=nordvik, customer=almvik, subscription=rows["mail"], **began)
    Association.objects.create(kind="pal", partner=nordvik, customer=almvik, **began)
    Association.objects.create(kind="delegated_admin", partner=halden, customer=ekeby, **began)
    Association.objects.create(kind="csp", partner=halden, customer=almvik, subscription=rows["azure"], **began)
    readers = {
        "staff": make_staff(),
        "almvik": make_member(almvik.organisation),
        "nordvik": make_member(nordvik.organisation),
        "halden": make_member(halden.organisation),
    }
    return rows, {name: Api(reader) for name, reader in readers.items()}, nordvik


@pytest.mark.parametrize("few", [1000, 0])
def test_search_finds_the_same_whether_few_or_many_names_match(estate, monkeypatch, few):
    for module in (access, searching):
        monkeypatch.setattr(module, "FEW", few)
    rows, readers, nordvik = estate
    names = {str(row.subscription_id): name for name, row in rows.items()}

    def found(reader: str, **filters: str) -> set[str]:
        return {names[row["id"]] for row in readers[reader].get("subscriptions/", filters).json()["results"]}

    everything = {"mail", "azure", "intune"}
    assert found("staff") == everything
    assert found("almvik") == found("nordvik") == {"mail", "azure"}
    assert found("halden") == {"azure", "intune"}
    assert found("staff", search="ALMVIK") == {"mail", "azure"}
    assert found("staff", search="vik.exa") == {"mail", "azure"}
    assert found("halden", search="almvik") == {"azure"}
    assert found("staff", search="nordvik") == found("nordvik", search="nordvik") == {"mail"}
    assert found("halden", search="nordvik") == set()
    assert found("staff", search=nordvik.mpn_id) == {"mail"}
    assert found("staff", search="office 365") == {"mail"}
    assert found("staff", search="azure") == {"azure"}
    assert found("staff", search="nothing") == set()
    assert found("staff", search="100%") == set()
    mail = rows["mail"]
    for begun in (str(mail.subscription_id), str(mail.subscription_id)[:13], mail.subscription_id.hex[:8].upper()):
        assert found("staff", search=begun) == {"mail"}
    assert (
        found("staff", search=str(mail.subscription_id)[:7]) == set()
    )  # too short for an id, so it is searched in names
    assert found("halden", search=str(mail.subscription_id)) == set()
    assert found("staff", search=str(mail.customer.tenant_id)[:9]) == {"mail", "azure"}
    assert found("staff", partner_of_record=nordvik.mpn_id) == {"mail"}
    assert found("halden", partner_of_record=nordvik.mpn_id) == set()
    assert found("staff", partner_of_record="9999999") == set()
    assert found("nordvik", partner_of_record="none") == {"azure"}
    assert found("staff", product="azure", status="grace", agreement="CSP") == {"azure"}
    assert found("staff", renews_before="2037-01-01") == {"mail", "azure"}


def test_two_characters_are_enough_within_an_organisation_and_too_few_for_all(estate):
    rows, readers, nordvik = estate
    names = {str(row.subscription_id): name for name, row in rows.items()}

    def found(reader: str, text: str) -> set[str]:
        return {names[row["id"]] for row in readers[reader].get("subscriptions/", {"search": text}).json()["results"]}

    assert found("almvik", "E3") == {"mail"}
    assert found("nordvik", "vi") == {"mail", "azure"}, "both are Almvik's"
    assert found("halden", "ek") == {"intune"}
    assert found("almvik", "no") == {"mail"}, "its partner of record is Nordvik"
    assert found("halden", "no") == set(), "whoever may not know the partner does not find it"
    assert found("almvik", "xq") == set()
    refused = readers["staff"].get("subscriptions/", {"search": "E3"})
    assert (refused.status_code, refused.json()["code"]) == (422, "search_too_short")
    assert refused.json()["errors"][0]["field"] == "search"
    page = signed_in(make_staff("auditor")).get("/a/subscriptions/?search=E3")
    assert page.status_code == 422
    assert "Enter at least 3 characters" in page.text


def plan(queryset) -> str:
    """Return how the database finds the rows if it avoids reading the whole table."""
    sql, parameters = queryset.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.django_db
def test_parts_of_words_are_found_by_index():
    clear_statistics("accounts_organisation", "directory_customer")
    assert "organisations_by_part_of_name" in plan(Organisation.objects.filter(name__icontains="vik"))
    assert "customers_by_part_of_domain" in plan(Customer.objects.filter(domain__icontains="vik"))
    events = Event.objects.filter(object_name__icontains="vik") | Event.objects.filter(actor_name__icontains="vik")
    assert plan(events).count("events_by_part_of_name") == 2
    both = User.objects.filter(name__icontains="vik") | User.objects.filter(email__icontains="vik")
    assert plan(both).count("people_by_part_of_name") == 2


@pytest.mark.django_db
def test_tenant_of_a_partner_is_found_by_its_own_index():
    clear_statistics("associations_association")
    own = Association.objects.not_undone().filter(partner=1, customer=2, subscription=None)
    assert "Index Only Scan using tenants_of_a_partner" in plan(own.filter(workload="").values("customer", "ended_at"))
    assert "tenants_of_a_partner" not in plan(own.values("customer", "ended_at")), "it has no claims of workloads"


@pytest.mark.django_db
def test_page_of_a_list_is_read_from_an_index_in_order(django_assert_num_queries):
    # Sorting few rows is as cheap as an index. Now it is chosen only if there is no index.
    clear_statistics("directory_subscription")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off")
    agreement, status = {"agreement": "CSP"}, {"status": "grace"}
    for filters in (agreement, status, {"product": "azure", **agreement, **status}):
        page = plan(Subscription.objects.filter(**filters, pk__gt=7).order_by("pk")[:51])
        assert "subscriptions_by_" in page
        assert "Sort" not in page
    assert "subscriptions_by_renewal" in plan(Subscription.objects.filter(renews_on__lt="2001-01-01"))
    staff = make_staff()
    with django_assert_num_queries(1):  # for all kinds of names together
        matches_of("vik", staff, None)
