from __future__ import annotations

import csv
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from associations.record.policies import digital_only
from por.accounts.models import LANGUAGES
from por.directory.models import Customer, Partner, Sku, Subscription
from por.directory.rules import Agreement, Product, Workload, normal_mpn_id
from por.management.estates import cast

TODAY = date(2026, 1, 1)
FILES = (
    *("partners", "customers", "subscriptions", "enrolments", "credentials", "holdings", "associations", "claims"),
    *("usage", "revenue", "consumption", "corrections/usage"),
)
Row = dict[str, str]
Estate = dict[str, list[Row]]


def make(directory: Path, *more: Any, subscriptions: int = 3000, seed: int = 7) -> Path:
    call_command("make_estate", directory, "--subscriptions", subscriptions, "--seed", seed, *more, verbosity=0)
    return directory


def rows(directory: Path) -> Estate:
    estate = {}
    for name in FILES:
        with (directory / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            estate[name] = list(csv.DictReader(file))
    return estate


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return rows(make(tmp_path_factory.mktemp("estate")))


def periods_of_record(estate: Estate) -> Iterator[tuple[str, list[Row]]]:
    found = defaultdict(list)
    for row in estate["associations"]:
        if row["kind"] == "dpor":
            found[row["subscription_id"]].append(row)
    for subscription_id, periods in found.items():
        yield subscription_id, sorted(periods, key=lambda row: row["began_on"])


def test_same_arguments_give_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    first, again, other = (
        make(tmp_path / name, subscriptions=90, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    for name in FILES:
        content = (first / f"{name}.csv").read_bytes()
        assert content == (again / f"{name}.csv").read_bytes()
        assert content != (other / f"{name}.csv").read_bytes()


def test_requested_numbers_are_written(tmp_path: Path) -> None:
    estate = rows(make(tmp_path, "--customers", 20, "--partners", 15, "--months", 3, subscriptions=40))
    assert [len(estate[name]) for name in FILES[:3]] == [15, 20, 40]
    assert {row["month"] for row in estate["usage"]} == {"2025-10", "2025-11", "2025-12"}


def test_smallest_estate_is_the_beginning_of_the_cast(tmp_path: Path) -> None:
    estate = rows(make(tmp_path, subscriptions=1))
    assert [row["sku_string_id"] for row in estate["subscriptions"]] == ["ENTERPRISEPACK"]


def test_keys_are_unique_and_every_reference_is_to_an_existing_row(estate: Estate) -> None:
    def once(file: str, *columns: str) -> set[str]:
        keys = Counter(tuple(row[column] for column in columns) for row in estate[file])
        assert not [key for key, count in keys.items() if count > 1]
        return {key[0] for key in keys}

    partners, tenants = once("partners", "mpn_id"), once("customers", "tenant_id")
    once("partners", "name")
    once("associations", "subscription_id", "tenant_id", "mpn_id", "kind", "began_on")
    once("usage", "month", "subscription_id", "workload")
    once("revenue", "month", "subscription_id", "kind")
    once("consumption", "month", "subscription_id", "service")
    once("credentials", "person", "mpn_id", "credential", "valid_from")
    once("holdings", "mpn_id", "program", "anniversary_on")
    subscriptions = once("subscriptions", "subscription_id")
    for row in estate["partners"]:
        assert row["parent_mpn_id"] in partners | {""}
        assert row["tenant_id"] in tenants | {""}
    for row in estate["subscriptions"]:
        assert row["tenant_id"] in tenants
    for row in estate["associations"]:
        assert row["mpn_id"] in partners
        assert bool(row["subscription_id"]) != bool(row["tenant_id"])
        assert row["subscription_id"] in subscriptions | {""}
        assert row["tenant_id"] in tenants | {""}
    assert {row["subscription_id"] for row in estate["usage"]} <= subscriptions


def test_product_knows_every_value(estate: Estate) -> None:
    skus = set(Sku.objects.values_list("string_id", flat=True))
    languages = {language for language, _ in LANGUAGES}
    for row in estate["partners"]:
        assert normal_mpn_id(row["mpn_id"]) == row["mpn_id"]
        assert row["kind"] in Partner.Kind.values
        assert row["status"] in Partner.Status.values
        assert row["market"] in Partner.Market.values
    for row in estate["customers"]:
        assert uuid.UUID(row["tenant_id"]).version == 4
        assert row["segment"] in {*Customer.Segment.values, ""}
    for row in [*estate["partners"], *estate["customers"]]:
        assert row["country"].isalpha()
        assert len(row["country"]) == 2
        assert row["language"] in languages
        assert row["contact_email"] == "" or row["contact_email"].endswith(".example")
    for row in estate["subscriptions"]:
        assert row["product"] in Product.values
        assert row["agreement"] in Agreement.values
        assert row["status"] in Subscription.Status.values
        assert row["sku_string_id"] in skus if row["product"] != "azure" else row["sku_string_id"] == ""
    assert {row["workload"] for row in estate["usage"]} == set(Workload.values)


def test_every_edge_of_the_model_occurs(estate: Estate) -> None:
    def seen(file: str, column: str) -> set[str]:
        return {row[column] for row in estate[file]}

    assert seen("subscriptions", "product") == set(Product.values)
    assert seen("subscriptions", "agreement") == set(Agreement.values)
    assert seen("subscriptions", "status") == set(Subscription.Status.values)
    assert seen("subscriptions", "trial") == {"0", "1"}
    assert seen("partners", "status") == set(Partner.Status.values)
    assert seen("partners", "kind") == set(Partner.Kind.values)
    assert seen("partners", "market") == set(Partner.Market.values)
    tenant_kinds = {"delegated_admin", "pal", "fasttrack"}
    assert {row["kind"] for row in estate["associations"] if row["tenant_id"]} == tenant_kinds
    kinds = defaultdict(set)
    for row in estate["associations"]:
        kinds[row["subscription_id"]].add(row["kind"])
    assert set.union(*(kinds[one] for one in kinds if one)) == {"dpor", "transacting", "csp", "osa_form"}
    assert any(len(kinds[one]) > 2 for one in kinds if one)
    forms = [row for row in estate["associations"] if row["kind"] == "osa_form"]
    for column in ("began_on", "ended_on"):
        assert {row[column] < "2016-01-01" for row in forms if row[column]} == {True, False}
    assert any(
        earlier["ended_on"] == later["began_on"] and earlier["mpn_id"] != later["mpn_id"]
        for _, periods in periods_of_record(estate)
        for earlier, later in pairwise(periods)
    )
    assert sum(row["tenant_id"] != "" for row in estate["partners"]) > 1
    months = Counter((row["subscription_id"], row["workload"]) for row in estate["usage"])
    assert {11, 12} <= set(months.values())


def test_every_partner_of_record_is_valid(estate: Estate) -> None:
    subscriptions = {row["subscription_id"]: row for row in estate["subscriptions"]}
    partners = {row["mpn_id"]: row for row in estate["partners"]}
    for subscription_id, periods in periods_of_record(estate):
        subscription = subscriptions[subscription_id]
        for earlier, later in pairwise(periods):
            assert earlier["ended_on"] != ""
            assert earlier["ended_on"] <= later["began_on"]
        for row in periods:
            assert row["began_on"] >= subscription["started_on"]
            assert partners[row["mpn_id"]]["kind"] == "location"
        if subscription["status"] == "expired":
            assert all(row["ended_on"] != "" for row in periods)
            assert max(row["ended_on"] for row in periods) <= subscription["renews_on"]
    for row in estate["associations"]:
        if partners[row["mpn_id"]]["status"] == "closed":
            assert row["ended_on"] != ""
        if row["kind"] == "osa_form":
            deal = subscriptions[row["subscription_id"]]
            assert not digital_only(deal["agreement"], date.fromisoformat(deal["started_on"]))


@pytest.mark.parametrize("today", ["2017-01-01", "2024-02-29", "2026-11-24"])
def test_only_renewals_are_in_the_future(tmp_path: Path, today: str) -> None:
    estate = rows(make(tmp_path, "--today", today, subscriptions=600))
    for row in estate["subscriptions"]:
        assert row["started_on"] < row["renews_on"]
        assert row["started_on"] <= today
        assert (row["renews_on"] < today) == (row["status"] != "active")
    for row in estate["associations"]:
        assert row["began_on"] <= today
        assert row["ended_on"] == "" or row["began_on"] < row["ended_on"] <= today
    assert max(row["month"] for row in estate["usage"]) < today[:7]


def test_replacement_comes_after_the_expired_subscription(estate: Estate) -> None:
    earlier: dict[str, Row] = {}
    replacing = 0
    for row in estate["subscriptions"]:
        if row["replaces_subscription_id"]:
            replaced = earlier[row["replaces_subscription_id"]]
            assert replaced["status"] == "expired"
            assert replaced["tenant_id"] == row["tenant_id"]
            assert replaced["product"] == row["product"]
            assert replaced["renews_on"] == row["started_on"]
            replacing += 1
        earlier[row["subscription_id"]] = row
    assert replacing > 1


def test_usage_stays_within_what_is_paid_for_and_azure_counts_money_alone(estate: Estate) -> None:
    subscriptions = {row["subscription_id"]: row for row in estate["subscriptions"]}
    for row in estate["usage"] + estate["corrections/usage"]:
        if row["workload"] == "azure":
            assert subscriptions[row["subscription_id"]]["product"] == "azure"
            assert (row["paid_units"], row["active_users"]) == ("", "")
            assert float(row["consumed_usd"]) >= 0
        else:
            assert row["consumed_usd"] == ""
            assert row["paid_units"] == subscriptions[row["subscription_id"]]["seats"]
            if row["paid_units"] and row["active_users"]:
                assert int(row["active_users"]) <= int(row["paid_units"])


def test_some_months_are_corrected_later_with_other_figures(estate: Estate) -> None:
    def months(file: str) -> dict[tuple[str, ...], tuple[str, ...]]:
        figures = ("paid_units", "active_users", "consumed_usd")
        return {
            (row["subscription_id"], row["month"], row["workload"]): tuple(row[name] for name in figures)
            for row in estate[file]
        }

    first, again = months("usage"), months("corrections/usage")
    assert len(again) == len(estate["corrections/usage"]) > len(first) / 500
    assert again.keys() <= first.keys()
    changed = [key for key in again if again[key] != first[key]]
    assert len(changed) > len(again) / 2  # where all paid units are in use, there is nothing to correct


def test_cast_comes_first(estate: Estate) -> None:
    assert [row["name"] for row in estate["partners"][:3]] == ["Nordvik Group", "Nordvik Cloud AB", "Halden Konsult AB"]
    customer = estate["customers"][0]
    assert customer["name"] == "Västerhamn Energi AB"
    own = {row["tenant_id"]: row["name"] for row in estate["customers"]}[estate["partners"][1]["tenant_id"]]
    assert own == "Nordvik Cloud AB"
    theirs = [row for row in estate["subscriptions"] if row["tenant_id"] == customer["tenant_id"]]
    assert {row["product"] for row in theirs} == set(Product.values)
    assert (theirs[0]["sku_string_id"], theirs[0]["agreement"], theirs[0]["seats"]) == ("ENTERPRISEPACK", "EA", "420")
    record = dict(periods_of_record(estate))
    (once,) = record[theirs[0]["subscription_id"]]
    assert once["mpn_id"] == "4410237"
    assert TODAY - timedelta(60) < date.fromisoformat(once["ended_on"]) < TODAY


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--customers", "2"], "at least 10 customers"),
        (["--partners", "2"], "at least 10 customers and 6 partners"),
        (["--months", "99"], "0 to 60 months"),
        (["--today", "2012-01-01"], "before 2017-01-01"),
    ],
)
def test_invalid_arguments_are_refused_with_a_message(tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        make(tmp_path, *options, subscriptions=30)


def test_directory_that_cannot_be_written_is_refused_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written"):
        make(tmp_path / "file", subscriptions=30)


def test_enrolments_are_of_locations_and_some_are_not_complete(estate: Estate) -> None:
    locations = {row["mpn_id"] for row in estate["partners"] if row["kind"] == "location"}
    enrolled = estate["enrolments"]
    assert {row["mpn_id"] for row in enrolled} <= locations
    assert len({(row["mpn_id"], row["program"]) for row in enrolled}) == len(enrolled)
    assert (
        {bool(row["tax_ok_on"]) for row in enrolled} == {bool(row["bank_ok_on"]) for row in enrolled} == {True, False}
    )
    assert all(day <= f"{TODAY}" for row in enrolled for day in (row["tax_ok_on"], row["bank_ok_on"]) if day)


def test_estates_of_two_seeds_have_no_claim_number_in_common(tmp_path: Path) -> None:
    made = [rows(make(tmp_path / str(seed), subscriptions=300, seed=seed)) for seed in (1, 2)]
    first, second = ({row["claim_number"] for row in one["claims"]} for one in made)
    assert first
    assert second
    assert not first & second


def test_claims_are_of_what_the_customer_has_and_some_were_migrated_without_proof(estate: Estate) -> None:
    numbers = [row["claim_number"] for row in estate["claims"]]
    assert len(numbers) == len(set(numbers)) > 20
    migrated = [row for row in estate["claims"] if "FRP Migrated FRP" in row["name"]]
    assert len(migrated) > 5
    assert all("2019-10-01" <= row["approved_on"] <= "2020-06-01" for row in migrated)
    assert {row["program"] for row in estate["claims"]} == {"osu_m365", "osu_bizapps"}
    tenant_of = {row["subscription_id"]: row["tenant_id"] for row in estate["subscriptions"]}
    held = set()
    for row in estate["claims"]:
        assert bool(row["workloads"]) != bool(row["subscription_ids"])
        for one in filter(None, row["subscription_ids"].split(";")):
            assert tenant_of[one] == row["tenant_id"]
        units = {(row["tenant_id"], one) for one in (row["workloads"] or row["subscription_ids"]).split(";")}
        assert not units & held
        held |= units


def people(estate: Estate) -> dict[str, dict[str, set[str]]]:
    """Return the credentials of each person, by location."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in estate["credentials"]:
        found[row["mpn_id"]][row["person"]].add(row["credential"])
    return found


def test_locations_have_people_on_both_sides_of_a_threshold(estate: Estate) -> None:
    locations = {row["mpn_id"] for row in estate["partners"] if row["kind"] == "location"}
    found = people(estate)
    assert found.keys() < locations  # some have nobody
    both = {"exam:70-346", "exam:70-347"}
    certified = {
        mpn_id: sum(both <= names or "cert:MCSA-O365" in names for names in of_person.values())
        for mpn_id, of_person in found.items()
    }
    assert {0, 1, 2} <= set(certified.values())
    assert any(len(names & both) == 1 for of_person in found.values() for names in of_person.values())
    for row in estate["credentials"]:
        assert row["valid_from"] <= f"{TODAY}"
        assert not row["valid_to"] or row["valid_to"] > row["valid_from"]
    assert {bool(row["valid_to"]) for row in estate["credentials"]} == {True, False}


def test_cast_has_a_partner_at_every_stage(estate: Estate) -> None:
    found, held = people(estate), defaultdict(set)
    for row in estate["holdings"]:
        held[row["mpn_id"]].add((row["program"], row["level"]))
    assert any({"exam:70-346", "exam:70-347", "cert:MCSA-O365"} <= names for names in found[cast.NORDVIK].values())
    assert list(found[cast.HALDEN].values()) == [{"exam:70-347"}]
    assert ("competency.smcs", "gold") in held[cast.NORDVIK]
    assert ("competency.smcs", "silver") in held[cast.HALDEN]
    assert cast.SULDAL not in held
    assert cast.LYNGBY not in found


def test_holdings_end_are_open_or_wait_for_their_fee(estate: Estate) -> None:
    held = estate["holdings"]
    assert {row["level"] for row in held} == {"silver", "gold", "qualified"}
    assert {row["anniversary_on"] > f"{TODAY}" for row in held} == {True, False}
    for row in held:
        assert not row["fee_paid_on"] or row["fee_paid_on"] <= min(row["anniversary_on"], f"{TODAY}")
        assert row["program"].startswith("pcs.") == (row["level"] == "qualified")
        assert row["program"].startswith("pcs.") or row["anniversary_on"] <= "2022-10-02"


def test_services_of_a_month_are_at_most_its_consumption(estate: Estate) -> None:
    whole = {(row["month"], row["subscription_id"]): Decimal(row["consumed_usd"] or 0) for row in estate["usage"]}
    parts: Counter[tuple[str, str]] = Counter()
    for row in estate["consumption"]:
        parts[row["month"], row["subscription_id"]] += Decimal(row["amount_usd"])
    assert parts.keys() <= whole.keys()
    assert all(part <= whole[key] + Decimal("0.05") for key, part in parts.items())
    assert len({row["service"] for row in estate["consumption"] if row["service"].startswith("Virtual Machines")}) > 1


def test_revenue_is_of_crm_online_from_its_start_and_the_first_month_is_net_new(estate: Estate) -> None:
    started = {
        row["subscription_id"]: row["started_on"] for row in estate["subscriptions"] if row["product"] == "crm_online"
    }
    first = {row["subscription_id"]: row["month"] for row in estate["revenue"] if row["kind"] == "net_new_cloud"}
    assert {row["subscription_id"] for row in estate["revenue"]} <= started.keys()
    assert first
    assert all(started[subscription_id][:7] == month for subscription_id, month in first.items())
    assert len({row["currency"] for row in estate["revenue"]}) == 3
