"""Imports of partners, customers, subscriptions and usage."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from por.accounts.models import Membership, Organisation, User
from por.directory.models import Customer, Partner, Subscription, Usage
from por.history.models import Event
from tests.estates import (
    GLOBAL,
    OTHER_SUBSCRIPTION,
    OTHER_TENANT,
    PARTNER,
    RIVAL,
    SUBSCRIPTION,
    TENANT,
    UNKNOWN,
    Row,
    customer,
    load,
    load_one,
    partner,
    subscription,
    usage,
    write,
)


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A partner, two customers and a subscription, imported."""
    files = {"partners": [partner()], "customers": [customer(), customer(OTHER_TENANT)]}
    assert load(write(tmp_path, subscriptions=[subscription()], **files)).failure == ""
    return tmp_path


# --- partners.csv


def test_partner_is_imported_below_its_global_account_in_any_order(tmp_path: Path) -> None:
    rows = [partner(parent_mpn_id=GLOBAL, tenant_id=TENANT), partner(GLOBAL, kind="global")]
    assert load_one(tmp_path, "partners", *rows).failure == ""
    location = Partner.objects.select_related("organisation__parent").get(mpn_id=PARTNER)
    assert location.organisation.parent == Organisation.objects.get(number=GLOBAL)
    assert (location.organisation.kind, location.organisation.number) == ("partner", PARTNER)
    assert (location.organisation.name, location.organisation.language) == (f"Nordvik {PARTNER}", "sv")
    assert (location.city, location.country, location.market) == ("Göteborg", "SE", "developed")
    assert location.own_tenant_id == uuid.UUID(TENANT)


def test_changed_partner_is_updated(estate: Path) -> None:
    result = load_one(estate, "partners", partner(name="Nordvik AB", status="suspended", city=""))
    assert "0 created, 1 changed, 0 unchanged, 0 failed" in result.out
    stored = Partner.objects.select_related("organisation").get(mpn_id=PARTNER)
    assert (stored.organisation.name, stored.status, stored.city) == ("Nordvik AB", "suspended", "")


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"mpn_id": ""}, "mpn_id", "missing_value"),
        ({"mpn_id": "447"}, "mpn_id", "mpn_id_malformed"),
        ({"mpn_id": "44719o2"}, "mpn_id", "mpn_id_malformed"),
        ({"parent_mpn_id": "nowhere"}, "parent_mpn_id", "mpn_id_malformed"),
        ({"parent_mpn_id": "9999999"}, "parent_mpn_id", "parent_not_found"),
        ({"parent_mpn_id": RIVAL}, "parent_mpn_id", "parent_is_not_global"),
        ({"parent_mpn_id": PARTNER}, "parent_mpn_id", "cycle_of_parents"),
        ({"kind": "global", "parent_mpn_id": GLOBAL}, "parent_mpn_id", "parent_of_global"),
        ({"name": ""}, "name", "missing_value"),
        ({"name": "=1+1"}, "name", "formula_cell"),
        ({"name": "-1+1"}, "name", "formula_cell"),
        ({"name": "\u202eBA kivdroN"}, "name", "direction_mark"),
        ({"name": "a\tb"}, "name", "control_character"),
        ({"name": "n" * 201}, "name", "too_long"),
        ({"kind": "office"}, "kind", "unknown_value"),
        ({"market": "big"}, "market", "unknown_value"),
        ({"status": "open"}, "status", "unknown_value"),
        ({"language": "de"}, "language", "unknown_value"),
        ({"country": "Swedeland"}, "country", "malformed_country"),
        ({"contact_email": "nobody"}, "contact_email", "malformed_email"),
        ({"tenant_id": "1234"}, "tenant_id", "malformed_guid"),
    ],
)
def test_bad_row_of_partners_is_reported_with_its_reason(tmp_path: Path, cells: Row, column: str, code: str) -> None:
    load_one(tmp_path, "partners", partner(RIVAL), partner(GLOBAL, kind="global"))
    result = load_one(tmp_path, "partners", partner("5550001"), partner() | cells)
    assert result.codes == [("3", column, code)]
    assert Partner.objects.filter(mpn_id="5550001").exists(), "a bad row skips only itself"
    assert not Partner.objects.filter(mpn_id=PARTNER).exists()


def test_partners_above_each_other_are_a_cycle(tmp_path: Path) -> None:
    rows = [partner(parent_mpn_id=RIVAL), partner(RIVAL, parent_mpn_id=PARTNER)]
    result = load_one(tmp_path, "partners", *rows)
    assert {code for _line, _column, code in result.codes} == {"cycle_of_parents"}
    assert len(result.codes) == 2


# --- customers.csv and the contacts


def test_customer_needs_only_its_tenant_and_its_name(tmp_path: Path) -> None:
    row = customer(domain="", country="", segment="", language="")
    assert load_one(tmp_path, "customers", row).failure == ""
    stored = Customer.objects.select_related("organisation").get(tenant_id=TENANT)
    assert (stored.domain, stored.country, stored.segment, stored.organisation.language) == ("", "", "", "en")


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"tenant_id": ""}, "tenant_id", "missing_value"),
        ({"tenant_id": "not-a-guid"}, "tenant_id", "malformed_guid"),
        ({"segment": "huge"}, "segment", "unknown_value"),
        ({"domain": "=cmd()"}, "domain", "formula_cell"),
        ({"contact_email": "a@b@c"}, "contact_email", "malformed_email"),
    ],
)
def test_bad_row_of_customers_is_reported_with_its_reason(tmp_path: Path, cells: Row, column: str, code: str) -> None:
    assert load_one(tmp_path, "customers", customer() | cells).codes == [("2", column, code)]
    assert not Customer.objects.exists()


def test_same_row_twice_is_reported_with_the_line_of_the_first(tmp_path: Path) -> None:
    result = load_one(tmp_path, "customers", customer(), customer(OTHER_TENANT), customer(name="Another"))
    assert result.codes == [("4", "", "duplicate_row")]
    assert "2" in result.errors[0]["reason"]
    assert Customer.objects.get(tenant_id=TENANT).organisation.name == "Västerhamn Energi AB"


def test_contact_becomes_an_administrator_without_a_password(tmp_path: Path) -> None:
    load_one(tmp_path, "customers", customer(contact_email="Elin.Sandberg@vasterhamn.example", language="sv"))
    membership = Membership.objects.select_related("user", "organisation").get()
    assert membership.role == "administrator"
    assert membership.organisation.contact_email == "Elin.Sandberg@vasterhamn.example"
    assert membership.user.email == "elin.sandberg@vasterhamn.example"
    assert membership.user.language == "sv"
    assert not membership.user.has_usable_password()


def test_one_address_of_several_organisations_is_one_person(tmp_path: Path) -> None:
    address = {"contact_email": "elin@people.example"}
    rows = [customer(**address), customer(OTHER_TENANT, **address)]
    load_one(tmp_path, "customers", *rows)
    assert User.objects.count() == 1
    assert Membership.objects.count() == 2
    assert "Nothing has changed." in load_one(tmp_path, "customers", *rows).out
    assert Membership.objects.count() == 2


def test_known_user_keeps_name_password_and_role(tmp_path: Path) -> None:
    load_one(tmp_path, "customers", customer())
    elin = User.objects.create_user("elin@people.example", "four quiet words here", name="Elin")
    Membership.objects.create(user=elin, organisation=Customer.objects.get().organisation, role="viewer")
    load_one(tmp_path, "customers", customer(contact_email="ELIN@people.example"))
    elin.refresh_from_db()
    assert elin.name == "Elin"
    assert elin.check_password("four quiet words here")
    assert Membership.objects.get().role == "viewer"


# --- subscriptions.csv


def test_subscription_has_the_values_of_its_row(estate: Path) -> None:
    stored = Subscription.objects.select_related("sku").get()
    assert stored.subscription_id == uuid.UUID(SUBSCRIPTION)
    assert stored.customer.tenant_id == uuid.UUID(TENANT)
    assert stored.sku is not None
    assert (stored.product, stored.sku.string_id, stored.agreement) == ("office365", "ENTERPRISEPACK", "EA")
    assert (stored.seats, stored.is_trial, stored.status, stored.version) == (420, False, "active", 1)
    assert (stored.started_on, stored.renews_on) == (date(2024, 7, 1), date(2036, 6, 30))


def test_empty_cells_are_stored_as_unknown(estate: Path) -> None:
    load_one(estate, "subscriptions", subscription(sku_string_id="", seats="", renews_on=""))
    stored = Subscription.objects.get()
    assert (stored.sku, stored.seats, stored.renews_on) == (None, None, None)


def test_change_raises_the_version_by_one_and_an_equal_row_keeps_it(estate: Path) -> None:
    load_one(estate, "subscriptions", subscription(seats="421"))
    assert Subscription.objects.get().version == 2
    load_one(estate, "subscriptions", subscription(seats="421"))
    assert Subscription.objects.get().version == 2


def test_subscription_may_replace_one_from_a_later_row(estate: Path) -> None:
    rows = [subscription(OTHER_SUBSCRIPTION, replaces_subscription_id=UNKNOWN), subscription(UNKNOWN, status="expired")]
    assert load_one(estate, "subscriptions", *rows).failure == ""
    stored = Subscription.objects.select_related("replaces").get(subscription_id=OTHER_SUBSCRIPTION)
    assert stored.replaces is not None
    assert stored.replaces.subscription_id == uuid.UUID(UNKNOWN)
    assert "Nothing has changed." in load_one(estate, "subscriptions", *rows).out


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"subscription_id": "x"}, "subscription_id", "malformed_guid"),
        ({"tenant_id": UNKNOWN}, "tenant_id", "unknown_customer"),
        ({"product": "windows"}, "product", "unknown_value"),
        ({"sku_string_id": "=1+1"}, "sku_string_id", "formula_cell"),
        ({"agreement": "barter"}, "agreement", "unknown_value"),
        ({"seats": "-1"}, "seats", "malformed_number"),
        ({"seats": "4.5"}, "seats", "malformed_number"),
        ({"seats": "99999999999"}, "seats", "malformed_number"),
        ({"trial": "perhaps"}, "trial", "unknown_value"),
        ({"started_on": ""}, "started_on", "missing_value"),
        ({"started_on": "2024-02-30"}, "started_on", "malformed_date"),
        ({"started_on": "01/07/2024"}, "started_on", "malformed_date"),
        ({"renews_on": "2024-06-30"}, "renews_on", "renews_before_start"),
        ({"status": "gone"}, "status", "unknown_value"),
        ({"replaces_subscription_id": UNKNOWN}, "replaces_subscription_id", "unknown_subscription"),
        ({"replaces_subscription_id": OTHER_SUBSCRIPTION}, "replaces_subscription_id", "cycle_of_replacements"),
        (
            {"tenant_id": OTHER_TENANT, "replaces_subscription_id": SUBSCRIPTION},
            "replaces_subscription_id",
            "replaced_of_another_customer",
        ),
    ],
)
def test_bad_row_of_subscriptions_is_reported_with_its_reason(estate: Path, cells: Row, column: str, code: str) -> None:
    result = load_one(estate, "subscriptions", subscription(OTHER_SUBSCRIPTION) | cells)
    assert result.codes == [("2", column, code)]
    assert Subscription.objects.get().version == 1


# --- usage.csv


def test_correction_of_usage_is_a_new_revision_and_an_equal_row_is_not(estate: Path) -> None:
    rows = [usage(), usage(workload="azure", paid_units="", active_users="", consumed_usd="1250.40")]
    load_one(estate, "usage", *rows)
    assert Usage.objects.get(workload="azure").consumed_usd == Decimal("1250.40")
    assert "0 created, 0 changed, 2 unchanged" in load_one(estate, "usage", *rows).out
    result = load_one(estate, "usage", usage(active_users="313"), rows[1])
    assert "0 created, 1 changed, 1 unchanged" in result.out
    old, new = Usage.objects.filter(workload="exo").order_by("revision")
    assert (old.revision, old.active_users, old.superseded_at) == (1, 312, new.known_from)
    assert (new.revision, new.active_users, new.superseded_at) == (2, 313, None)
    assert new.month == date(2025, 3, 1)


def test_usage_does_not_change_the_version_of_its_subscription(estate: Path) -> None:
    load_one(estate, "usage", usage())
    assert Subscription.objects.get().version == 1


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"month": "2025-13"}, "month", "malformed_month"),
        ({"month": "2025-03-15"}, "month", "malformed_month"),
        ({"month": "2013-12"}, "month", "month_out_of_range"),
        ({"month": "2036-01"}, "month", "month_out_of_range"),
        ({"month": "2035-12"}, "month", "month_in_future"),
        ({"month": "2024-06"}, "month", "month_before_start"),
        ({"subscription_id": UNKNOWN}, "subscription_id", "unknown_subscription"),
        ({"workload": "word"}, "workload", "unknown_value"),
        ({"paid_units": "many"}, "paid_units", "malformed_number"),
        ({"consumed_usd": "1.234"}, "consumed_usd", "malformed_number"),
        ({"paid_units": "", "active_users": ""}, "paid_units", "missing_value"),
    ],
)
def test_bad_row_of_usage_is_reported_with_its_reason(estate: Path, cells: Row, column: str, code: str) -> None:
    assert load_one(estate, "usage", usage() | cells).codes == [("2", column, code)]
    assert not Usage.objects.exists()


# --- history


def test_import_records_one_event_for_each_file_and_organisation(estate: Path) -> None:
    load_one(estate, "usage", *(usage(f"2025-{month:02}") for month in range(1, 13)))
    events = Event.objects.filter(verb="estate.loaded")
    chains = {(event.chain, event.changes["file"]): event.changes for event in events}
    assert len(chains) == events.count() == 5  # a partner, two customers, a subscription, a customer's usage
    organisation = Customer.objects.get(tenant_id=TENANT).pk
    assert chains[f"organisation:{organisation}", "usage.csv"] == {"file": "usage.csv", "created": 12, "changed": 0}
    assert {event.actor_name for event in events} == {""}
    load_one(estate, "usage", *(usage(f"2025-{month:02}") for month in range(1, 13)))
    assert events.count() == 5, "an import without changes records no event"
