"""Exports of other programs, with everything that is awkward in them, are imported in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Subscription, Usage
from por.imports import tasks
from por.imports.models import Import
from tests.factories import make_partner, make_staff

EXPORTS = Path(__file__).with_name("exports")
LOADS = "/a/loads/"


@pytest.fixture(autouse=True)
def kept(settings: Any, tmp_path: Path) -> None:
    directory = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(tmp_path / "kept")}}
    settings.STORAGES = settings.STORAGES | {"default": directory}


@pytest.fixture
def reader() -> Actor:
    return make_staff("programme_administrator")


@pytest.fixture(autouse=True)
def partners(reader: Actor) -> None:
    """Make the partners of the exports, but for 7100002, and a global account."""
    for mpn_id in ("7100001", "7200001", "7300001"):
        make_partner(f"Partner {mpn_id}", mpn_id=mpn_id)
    make_partner("Fjordmoln AS", mpn_id="7100000", kind="global")


def load(web: Client, name: str, *answers: dict[str, str], to: str = "") -> Import:
    """Upload an export, answer the questions about it, try it, import it; return the import."""
    file = SimpleUploadedFile(f"{name}.csv", (EXPORTS / f"{name}.csv").read_bytes())
    address = web.post(LOADS, {"file": [file], "manner": "dry"}, follow=True).redirect_chain[-1][0]
    for answer in answers:
        web.post(address + (f"?to={to}" if to else ""), answer)
    tasks.run()
    web.post(f"{LOADS}{Import.objects.latest('pk').pk}/load/")
    tasks.run()
    return Import.objects.latest("pk")


#: What a person says about each export: which tenant and agreement it is, and what its unclear values mean.
ALV = {"tenant_id": "e2a214e8-bbe9-4675-9d52-490575ffc53d", "agreement": "CSP", "title": "Alv"}
INSIGHTS = {
    "word_subscriptions_agreement_0": "MOSP",  # Direct
    "word_subscriptions_agreement_1": "CSP",  # MCA
    "word_subscriptions_agreement_2": "no row",  # Others
    "word_subscriptions_status_0": "expired",  # Churned
    "word_subscriptions_status_1": "suspended",  # Disabled
    "word_subscriptions_status_2": "no row",  # Others
    "word_subscriptions_product_0": "office365",  # Power BI
    "title": "Insights",
}
CENTER = {
    "word_subscriptions_status_0": "suspended",  # Disabled
    "word_subscriptions_product_0": "office365",
    "word_subscriptions_product_1": "office365",
    "word_subscriptions_product_2": "office365",
    "title": "Center",
}


def tables(import_: Import) -> dict[str, tuple[int, int, int]]:
    """Return how many rows of each table but associations were created, were there before, and failed."""
    found = {name.partition(" → ")[2]: one for name, one in import_.tallies.items()}
    return {
        name: (one.created, one.changed + one.unchanged, one.failed)
        for name, one in found.items()
        if name != "associations.csv"
    }


def refused(import_: Import) -> set[tuple[int, str]]:
    """Return line and code of the faults, but for associations with subscriptions that have expired."""
    return {(one.line, one.code) for one in import_.row_errors if one.code != "subscription_is_expired"}


def associated() -> set[tuple[str, str, str, str]]:
    """Return what is in force: the first digits of the subscription, the partner, the kind, and when it began."""
    return {
        (
            str(one.subscription.subscription_id)[:8] if one.subscription else "",
            one.partner.mpn_id,
            one.kind,
            f"{one.began_at:%Y-%m-%d}",
        )
        for one in Association.objects.filter(ended_at=None).select_related("subscription", "partner")
    }


def test_subscription_details_of_insights(web):
    import_ = load(web, "insights-subscription-details", INSIGHTS)
    assert tables(import_) == {"customers.csv": (11, 0, 0), "subscriptions.csv": (12, 0, 0), "usage.csv": (1, 0, 0)}
    assert refused(import_) == {(11, "partner_is_global"), (15, "unknown_partner")}
    assert any("rows have no home: MPN ID 7100002 (1)." in note for note in import_.notes)
    assert associated() == {
        ("6cc3ba50", "7100001", "dpor", "2026-09-01"),
        ("dbc01b3d", "7300001", "csp", "2026-10-01"),
        ("", "7200001", "pal", "2026-10-01"),
        ("9b31f6ab", "7200001", "transacting", "2026-10-01"),
        ("60b3bedc", "7100001", "csp", "2026-10-01"),
        ("a0d0861e", "7300001", "dpor", "2026-10-01"),
        ("b3c478b6", "7100001", "dpor", "2026-10-01"),
        ("f03198c4", "7200001", "csp", "2026-10-01"),
        ("0fd539ac", "7300001", "dpor", "2026-10-01"),
    }
    assert stored("60b3bedc-e0ec-4dea-bc43-4d6e6054aa24") == ("crm_online", "CSP", 1250, "grace", "2026-10-15")
    assert stored("0fd539ac-359d-41d6-84b1-1609cef605c9") == ("office365", "CSP", 5, "suspended", "2026-10-15")
    assert Customer.objects.get(country="KR").organisation.name == "Hanok Haeun Ltd"
    assert "PGAMpnID" in import_.notes[1]
    assert "IsAutoRenew" in import_.notes[1]
    again = load(web, "insights-subscription-details")
    assert again.has_changed_nothing, "the answers were kept"


def test_customers_and_subscriptions_of_partner_center(web):
    import_ = load(web, "partner-center-customers")
    assert tables(import_) == {"customers.csv": (10, 0, 0)}
    assert Customer.objects.get(domain="tvilling.onmicrosoft.example").organisation.name == "Tvillingverken KB"
    import_ = load(web, "partner-center-subscriptions", CENTER)
    assert import_.row_errors == []
    assert tables(import_) == {"subscriptions.csv": (9, 0, 0)}
    assert associated() == {("dbc01b3d", "7300001", "csp", "2024-03-01")}
    assert stored("9b31f6ab-6745-4527-9afa-d5ab4bae8b9b") == ("azure", "CSP", None, "active", "None")
    assert "Pending (1)" in import_.notes[2]


def test_subscriptions_of_graph(web):
    load(web, "partner-center-customers")
    import_ = load(web, "graph-directory-subscriptions", ALV | {"word_subscriptions_status_0": "expired"})
    assert {(error.line, error.column, error.value) for error in import_.row_errors} == {
        (5, "product", "Microsoft_365_Copilot"),
        (6, "product", "FLOW_FREE"),
        (7, "product", "POWER_BI_STANDARD"),
        (12, "product", "MICROSOFT_365_E8_MADE_UP"),
    }
    assert tables(import_) == {"subscriptions.csv": (7, 0, 4)}
    assert stored("d719af35-e661-4b3d-ae3b-0baec64e73af") == ("office365", "CSP", 900, "active", "2027-04-05")


def test_products_that_no_sku_tells_are_chosen_by_hand(web):
    """Four rows of Graph have SKUs that tell no product. A person says it for each of them, once."""
    load(web, "partner-center-customers")
    load(web, "graph-directory-subscriptions", ALV | {"word_subscriptions_status_0": "expired"})
    dry_run = Import.objects.filter(dry_run=True).latest("pk")
    file = SimpleUploadedFile("Graph.csv", (EXPORTS / "graph-directory-subscriptions.csv").read_bytes())
    address = web.post(LOADS, {"file": [file], "manner": "dry"}, follow=True).redirect_chain[-1][0]
    assert dry_run.total.failed == 4
    columns = {
        "from_subscription_id": "Id", "value_tenant_id": ALV["tenant_id"], "value_agreement": "CSP",
        "from_product": "SkuPartNumber", "from_sku_string_id": "SkuPartNumber", "from_seats": "TotalLicenses",
        "from_trial": "IsTrial", "from_started_on": "CreatedDateTime", "from_status": "Status", "rows": "all",
        "title": "Graph with products",
    }  # fmt: skip
    asked = web.post(f"{address}?to=subscriptions.csv", columns).context["values"]
    chosen = {"is_second": "1", "days": "day-first"}
    for fields in asked.fields_of().values():
        for field in fields:
            chosen[field.html_name] = field.initial or ("expired" if "status" in field.html_name else "office365")
    web.post(f"{address}?to=subscriptions.csv", columns | chosen)
    tasks.run()
    web.post(f"{LOADS}{Import.objects.latest('pk').pk}/load/")
    tasks.run()
    import_ = Import.objects.latest("pk")
    assert (import_.status, import_.row_errors) == ("done", [])
    assert import_.tallies["Graph.csv → subscriptions.csv"].created == 11
    assert stored("634d2cd5-003d-4d18-8a66-7601d3fa4b2c")[0] == "office365"


def test_azure_usage_of_insights_counts_each_service_once(web):
    import_ = load(web, "insights-azure-usage", {"word_subscriptions_agreement_0": "MOSP", "title": "Azure"})
    assert refused(import_) == {(9, "unknown_partner")}
    assert associated() == {
        ("", "7200001", "pal", "2026-09-01"),
        ("9b31f6ab", "7200001", "transacting", "2026-09-01"),
        ("fe399f93", "7300001", "csp", "2026-08-01"),
        ("fe399f93", "7200001", "csp", "2026-09-01"),
        ("", "7100001", "pal", "2026-09-01"),
    }, "a link with the role Reader is worth nothing"
    assert tables(import_) == {"customers.csv": (4, 0, 0), "subscriptions.csv": (4, 0, 0), "usage.csv": (5, 0, 0)}
    assert consumed() == {
        ("9b31f6ab", "2026-09"): "412.337953",
        ("fe399f93", "2026-09"): "1204.5",
        ("fe399f93", "2026-08"): "-88.12",
        ("2a2d67ff", "2026-09"): "17.25",
        ("a92d9e0f", "2026-09"): "999",
    }


def test_customers_of_microsoft_365_usage(web):
    import_ = load(web, "insights-office365-usage", {"days": "month-first"})
    assert tables(import_) == {"customers.csv": (7, 0, 0)}
    assert "WorkloadName, PaidAvailableUnits, MonthlyActiveUsers" in import_.notes[1], "the usage has no home"


def test_licence_based_reconciliation_takes_the_newest_charge(web):
    import_ = load(web, "recon-license-based")
    assert [(error.column, error.value) for error in import_.row_errors] == [("product", "POWER BI PRO")]
    assert tables(import_) == {"customers.csv": (8, 0, 0), "subscriptions.csv": (5, 0, 1)}
    assert associated() == {
        ("64cec5fe", "7300001", "csp", "2026-02-01"),
        ("4de44049", "7300001", "csp", "2026-10-03"),
    }
    assert stored("64cec5fe-01d8-4fbc-b398-97dbbf44e1ec") == ("office365", "CSP", 62, "active", "2027-02-01")
    assert stored("0ff98a77-2f76-42fa-b861-240d6e3be66f")[3] == "expired"


def test_daily_usage_is_added_up_by_a_mapping_made_by_hand(web):
    load(web, "insights-azure-usage", {"word_subscriptions_agreement_0": "MOSP", "title": "Azure"})
    before = consumed()
    import_ = load(
        web,
        "daily-rated-usage",
        {
            "from_month": "UsageDate",
            "from_subscription_id": "EntitlementId",
            "value_workload": "azure",
            "from_consumed_usd": "PricingPreTaxTotal",
            "rows": "sum",
            "title": "Daily",
        },
        to="usage.csv",
    )
    assert import_.row_errors == []
    changed = {key: amount for key, amount in consumed().items() if before.get(key) != amount}
    assert changed == {
        ("9b31f6ab", "2026-09"): "0.972104393030498",
        ("fe399f93", "2026-09"): "25.7",
        ("fe399f93", "2026-10"): "38.2",
        ("2a2d67ff", "2026-09"): "0",
        ("a92d9e0f", "2026-09"): "133.9",
    }


def test_earnings_have_a_home_for_their_customers_only(web):
    import_ = load(
        web,
        "earnings-default",
        {"from_tenant_id": "customerTenantId", "from_name": "customerName", "rows": "first", "title": "Earnings"},
        to="customers.csv",
    )
    assert tables(import_)["customers.csv"][0] > 0
    assert "earningAmount" in import_.notes[1]


def stored(subscription_id: str) -> tuple[str, str, int | None, str, str]:
    one = Subscription.objects.get(subscription_id=subscription_id)
    return one.product, one.agreement, one.seats, one.status, str(one.renews_on)


def consumed() -> dict[tuple[str, str], str]:
    """Return what was consumed, by the first digits of the subscription and the month."""
    newest = Usage.objects.current().select_related("subscription")
    return {
        (str(one.subscription.subscription_id)[:8], f"{one.month:%Y-%m}"): f"{one.consumed_usd.normalize():f}"
        for one in newest
        if one.consumed_usd is not None
    }
