"""SKUs: the catalogue, those that only a file names, and what `skus.csv` adds."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from por.directory.models import ServicePlan, Sku, Subscription
from por.directory.rules import DATA
from tests.estates import Row, customer, load, load_one, subscription, write
from tests.factories import make_staff
from tests.pages import signed_in

NEW = "5f1d0f0e-7a53-4a86-8b0d-3f6f0f3f7b31"
PLAN = "5f1d0f0e-7a53-4a86-8b0d-3f6f0f3f7b32"


def sku(**cells: str) -> Row:
    return {
        "sku_string_id": "MADE_UP_E8", "sku_id": NEW, "sku_name": "Microsoft 365 E8",
        "service_plan_string_id": "PLAN_8", "service_plan_id": PLAN, "service_plan_name": "Plan 8",
    } | cells  # fmt: skip


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    assert load(write(tmp_path, customers=[customer()])).failure == ""
    return tmp_path


def imported(directory: Path, string_id: str) -> Sku:
    """Import a subscription with this SKU; return the SKU that it has."""
    assert load_one(directory, "subscriptions", subscription(sku_string_id=string_id)).failure == ""
    found = Subscription.objects.select_related("sku").get().sku
    assert found is not None
    return found


def test_catalogue_has_every_sku_of_the_newest_list() -> None:
    with (DATA / "skus-2026-08.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    stored = {str(one.sku_id): one for one in Sku.objects.all()}
    assert len(stored) == 620
    assert {(row["sku_id"], row["sku_name"]) for row in rows} == {(pk, one.name) for pk, one in stored.items()}
    pairs = set(Sku.plans.through.objects.values_list("sku__sku_id", "serviceplan__string_id"))
    assert {(row["sku_id"], row["service_plan_string_id"]) for row in rows} <= {(str(a), b) for a, b in pairs}
    assert ServicePlan.objects.get(string_id="TEAMS_DESKLESS").workload == "teams"


def test_two_skus_with_one_string_are_told_apart_by_their_ids(estate: Path) -> None:
    ids = ["54a152dc-90de-4996-93d2-bc47e670fc06", "d43177b5-475b-4880-92d4-d54c27b5efbd"]
    found = list(Sku.objects.filter(sku_id__in=ids).order_by("string_id"))
    assert [one.string_id for one in found] == ["MCOPSTN5", f"MCOPSTN5 {found[1].sku_id}"]
    assert ids == [str(one.sku_id) for one in found]
    for one in found:
        assert imported(estate, str(one.sku_id)) == one


@pytest.mark.parametrize(
    "written",
    [
        *("enterprisepremium", "C7DF2760-2C81-4EF7-B578-5B5392B571DF", "{c7df2760-2c81-4ef7-b578-5b5392b571df}"),
        "OFFICE 365 E5",
    ],
)
def test_sku_is_found_by_its_string_its_guid_and_its_name(estate: Path, written: str) -> None:
    assert imported(estate, written).string_id == "ENTERPRISEPREMIUM"


def test_sku_is_found_by_its_former_name(estate: Path) -> None:
    assert imported(estate, "Azure Active Directory Premium P2").string_id == "AAD_PREMIUM_P2"


@pytest.mark.parametrize("written", ["NULL", "n/a", "None", "NOT_AVAILABLE"])
def test_word_for_unknown_is_no_sku(estate: Path, written: str) -> None:
    assert load_one(estate, "subscriptions", subscription(sku_string_id=written)).failure == ""
    assert Subscription.objects.get().sku is None


def test_unknown_sku_is_kept_and_counted_until_the_catalogue_has_it(estate: Path) -> None:
    web = signed_in(make_staff("programme_administrator"))
    assert "not in the catalogue" not in web.get("/a/").text
    loaded = load_one(estate, "subscriptions", subscription(sku_string_id="MADE_UP_E8"))
    assert "1 SKU is not in the catalogue, and was kept with its ID: MADE_UP_E8." in loaded.out
    one = Subscription.objects.select_related("sku").get()
    assert (one.name, one.product) == ("MADE_UP_E8", "office365")
    assert "1 SKU is not in the catalogue" in web.get("/a/").text
    assert "Nothing has changed." in load_one(estate, "subscriptions", subscription(sku_string_id="MADE_UP_E8")).out

    loaded = load_one(estate, "skus", sku())
    assert "skus.csv:            1 created, 0 changed, 0 unchanged, 0 failed" in loaded.out
    one.refresh_from_db()
    assert (one.name, str(Sku.objects.get(string_id="MADE_UP_E8").sku_id)) == ("Microsoft 365 E8", NEW)
    assert "not in the catalogue" not in web.get("/a/").text


def test_list_of_skus_adds_names_and_keeps_the_former_ones(estate: Path) -> None:
    load_one(estate, "skus", sku())
    loaded = load_one(
        estate, "skus", sku(sku_name="Microsoft 365 E9"), sku(service_plan_id=NEW, sku_name="Microsoft 365 E9")
    )
    assert "skus.csv:            0 created, 1 changed, 1 unchanged, 0 failed" in loaded.out
    one = Sku.objects.get(sku_id=NEW)
    assert (one.name, one.former_name) == ("Microsoft 365 E9", "Microsoft 365 E8")
    assert [plan.string_id for plan in one.plans.all()] == ["PLAN_8"]
    assert imported(estate, "microsoft 365 e8") == one


def test_dry_run_keeps_no_sku(estate: Path) -> None:
    for old in estate.glob("*.csv"):
        old.unlink()
    write(estate, subscriptions=[subscription(sku_string_id="MADE_UP_E8")])
    assert "was kept with its ID" in load(estate, "--dry-run").out
    assert not Sku.objects.filter(string_id="MADE_UP_E8").exists()
