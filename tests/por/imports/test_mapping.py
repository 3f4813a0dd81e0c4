"""Files of other programs become ours by a mapping."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from associations.record.models import Association
from por.directory.models import Customer, Subscription, Usage
from por.errors import Refused
from por.imports.mapping import profiles, read
from tests.estates import (
    OTHER_SUBSCRIPTION,
    OTHER_TENANT,
    SUBSCRIPTION,
    TENANT,
    UNKNOWN,
    Loaded,
    customer,
    load,
    load_one,
    partner,
    subscription,
)

INSIGHTS = (
    "SubscriptionId,SubscriptionStartDate,SubscriptionEndDate,SubscriptionState,Month,CustomerName,CustomerTenantId,"
    "CustomerSegment,CustomerMarket,Product,SKU,MPNID,PartnerAttributionType,SalesChannel,AvailableSeatsEOP,"
    "AzureConsumedRevenueUSD,EOU"
)
CENTER = (
    "CustomerId,CustomerName,BillingType,CommitmentEndDate,EffectiveStartDate,IsTrial,OfferName,PartnerId,Quantity,"
    "Status,SubscriptionId"
)
GRAPH = (
    "AdditionalProperties;CommerceSubscriptionId;CreatedDateTime;Id;IsTrial;NextLifecycleDateTime;SkuId;SkuPartNumber;"
    "Status;TotalLicenses"
)
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    load_one(tmp_path, "partners", partner("7300001"), partner("7100001"))
    load_one(tmp_path, "customers", customer(), customer(OTHER_TENANT, name="Ek AB"))
    return tmp_path


def load_lines(directory: Path, *lines: str, arguments: tuple[str, ...] = ()) -> Loaded:
    for old in directory.glob("*.csv"):
        old.unlink()
    (directory / "export.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    return load(directory, *arguments)


def columns(*names: str) -> list[tuple[Any, ...]]:
    return list(Subscription.objects.order_by("subscription_id").values_list(*names))


def test_every_profile_of_the_product_is_whole() -> None:
    assert [one.name for one in profiles()] == [
        "graph-directory-subscriptions.yaml",
        "insights-azure-usage.yaml",
        "insights-office365-usage.yaml",
        "insights-subscription-details.yaml",
        "partner-center-customers.yaml",
        "partner-center-subscriptions.yaml",
        "recon-license-based.yaml",
    ]


def test_customers_of_partner_center_are_imported_once(tmp_path: Path) -> None:
    loaded = load_lines(
        tmp_path,
        "Microsoft ID,Company name,Primary domain name,Relationship,Tags",
        f"{{{TENANT.upper()}}},+Plus Skola AB,plus.example,Cloud Reseller,Gold",
        f"{OTHER_TENANT.replace('-', '')},Ek\u200b AB,ek.example,Advisor,",
        f"{{{TENANT.upper()}}},+Plus Skola AB,plus.example,Indirect reseller,",
    )
    assert loaded.failure == ""
    assert "export.csv → customers.csv: 2 created, 0 changed, 0 unchanged, 0 failed" in loaded.out
    assert "export.csv is read as: Partner Center, customers of a partner." in loaded.out
    assert "These columns of export.csv are not imported: Relationship, Tags." in loaded.out
    names = Customer.objects.order_by("tenant_id").values_list("organisation__name", "domain")
    assert list(names) == [("+Plus Skola AB", "plus.example"), ("Ek AB", "ek.example")]


def test_subscriptions_of_partner_center_are_imported(estate: Path) -> None:
    loaded = load_lines(
        estate,
        "#TYPE Selected.Microsoft.Store.PartnerCenter.PowerShell.Models.Subscriptions.PSSubscription",
        CENTER,
        f"{TENANT},?lv,License,2/28/2027 12:00:00 AM,3/1/2024 12:00:00 AM,False,Office 365 E3,7300001,250,Active,"
        + SUBSCRIPTION.upper(),
        f"{TENANT},?lv,Usage,12/14/9999 12:00:00 AM,4/4/2018 12:00:00 AM,False,Microsoft Azure,,1,Expired,"
        + OTHER_SUBSCRIPTION,
        f"{TENANT},?lv,License,1/1/0001 12:00:00 AM,1/1/0001 12:00:00 AM,False,Office 365 E5,,3,None,{UNKNOWN}",
    )
    assert loaded.failure == ""
    assert "1 row of export.csv has no row in subscriptions.csv: Status None (1)." in loaded.out
    assert columns("product", "sku__string_id", "agreement", "seats", "started_on", "renews_on", "status") == [
        ("office365", "ENTERPRISEPACK", "CSP", 250, date(2024, 3, 1), date(2027, 3, 1), "active"),
        ("azure", "Microsoft Azure", "CSP", None, date(2018, 4, 4), None, "expired"),
    ]
    assert Customer.objects.get(tenant_id=TENANT).organisation.name == "Västerhamn Energi AB"
    assert of_partners() == [("7300001", "csp", SUBSCRIPTION, "2024-03-01")]


def test_newest_month_of_insights_is_imported_and_consumption_once(estate: Path) -> None:
    def row(
        identifier: str, month: str, seats: str, *, product: str = "Microsoft 365", spent: str = "", kind: str = "CPOR"
    ) -> str:
        return (
            f'{identifier},2024-03-01,2027-02-28,InGracePeriod,{month},"Alm, Ek & Co",{TENANT},"Small, Medium & '
            f'Corporate Commercial",Sweden,{product},OFFICE 365 E5,7100001,{kind},EA,"{seats}",{spent},'
        )

    loaded = load_lines(
        estate,
        INSIGHTS,
        row(SUBSCRIPTION, "2026-09-01", "245"),
        row(SUBSCRIPTION, "2026-10-01", "1,250"),
        row(SUBSCRIPTION, "2026-10-01", "1,250", kind="DPOR"),
        row(SUBSCRIPTION, "2026-08-01", "9"),
        row(OTHER_SUBSCRIPTION, "2026-10-01", "", product="Microsoft Azure", spent="812.337912"),
        row(OTHER_SUBSCRIPTION, "2026-10-01", "", product="Microsoft Azure", spent="812.337912", kind="TPOR"),
        row(NOBODY, "2026-10-01", "1"),
    )
    assert loaded.failure == ""
    assert columns("product", "seats", "status", "renews_on") == [
        ("office365", 1250, "grace", date(2027, 3, 1)),
        ("azure", None, "grace", date(2027, 3, 1)),
    ]
    stored = Customer.objects.select_related("organisation").get(tenant_id=TENANT)
    assert (stored.organisation.name, stored.country, stored.segment) == ("Alm, Ek & Co", "SE", "smb")
    assert (stored.domain, stored.organisation.language) == ("vasterhamn.example", "en"), "it has no such column"
    assert [str(month.consumed_usd) for month in Usage.objects.all()] == ["812.337912"]
    assert "no SubscriptionId (1)" in loaded.out
    assert of_partners() == [
        ("7100001", "dpor", SUBSCRIPTION, "2026-10-01"),
        ("7100001", "transacting", OTHER_SUBSCRIPTION, "2026-10-01"),
    ]


GRAPH_ROWS = (
    f"x;{SUBSCRIPTION};25.03.2024 00:00:00;{UNKNOWN};False;01.03.2027 00:00:00;{NOBODY};EMS;Enabled;250",
    f"System.Object[];;01.02.2024 00:00:00;{OTHER_SUBSCRIPTION};True;13.12.2026 00:00:00;{NOBODY};enterprisepremium;"
    "Warning;12,0",
)


def test_subscriptions_of_graph_are_imported_with_what_the_file_does_not_say(estate: Path) -> None:
    failure = load_lines(estate, GRAPH, *GRAPH_ROWS).failure
    assert failure == "export.csv does not say the tenant_id of its rows. Give it with --set tenant_id=VALUE."
    told = ("--set", f"tenant_id={TENANT}", "--set", "agreement=CSP")
    assert load_lines(estate, GRAPH, *GRAPH_ROWS, arguments=told).failure == ""
    assert columns("product", "seats", "is_trial", "started_on", "renews_on", "status") == [
        ("ems", 250, False, date(2024, 3, 25), date(2027, 3, 1), "active"),
        ("office365", 12, True, date(2024, 2, 1), None, "grace"),
    ]
    assert "Nothing has changed." in load_lines(estate, GRAPH, *GRAPH_ROWS, arguments=told).out


def test_what_is_told_has_a_name_and_a_value(estate: Path) -> None:
    failure = load_lines(estate, GRAPH, *GRAPH_ROWS, arguments=("--set", "tenant_id")).failure
    assert failure == "Write --set as NAME=VALUE."


def test_refused_row_has_its_line_in_the_source_and_comes_back_in_its_shape(estate: Path) -> None:
    back = estate / "back"
    told = ("--set", f"tenant_id={TENANT}", "--set", "agreement=CSP", "--rejected", str(back))
    bad = f'"a;b";{OTHER_SUBSCRIPTION};02.03.2024;;x;;;FLOW_FREE;LockedOut;1,250'
    loaded = load_lines(estate, GRAPH, GRAPH_ROWS[0].replace("25.03", "01.03"), "", bad, arguments=told)
    assert loaded.errors[0]["file"] == "export.csv → subscriptions.csv"
    assert sorted(loaded.codes) == [
        ("2", "CreatedDateTime", "malformed_date"),
        ("2", "NextLifecycleDateTime", "malformed_date"),
        ("4", "CreatedDateTime", "malformed_date"),
        ("4", "TotalLicenses", "malformed_number"),
    ]
    rows = (back / "export.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows[0] == GRAPH + ";errors"
    assert rows[2].startswith(bad + ";TotalLicenses: “1,250” can be read in two ways")
    assert "CreatedDateTime: “02.03.2024” can mean two days" in rows[2]


def test_sku_that_does_not_tell_the_product_is_refused(estate: Path) -> None:
    told = ("--set", f"tenant_id={TENANT}", "--set", "agreement=CSP")
    loaded = load_lines(estate, GRAPH, GRAPH_ROWS[0].replace("EMS", "FLOW_FREE"), arguments=told)
    assert loaded.codes == [("2", "product", "unknown_value")]
    assert loaded.errors[0]["value"] == "FLOW_FREE"


MINE = {
    "recognise": ["Nr", "Kund"],
    "needs": {"product": "Produkt"},
    "words": {"status": {"suspended": ["vilande"], "active": ["i drift"]}},
    "files": {
        "subscriptions.csv": {
            "columns": {
                "subscription_id": "Nr",
                "tenant_id": "Kund",
                "product": {"from": "Produkt", "value": "$product"},
                "agreement": {"value": "EA"},
                "status": "Läge",
                "started_on": "Start",
            }
        }
    },
}


def test_mapping_of_ones_own_is_used(estate: Path) -> None:
    mapping = estate / "mine.yaml"
    mapping.write_text(yaml.safe_dump(MINE, allow_unicode=True), encoding="utf-8")
    lines = ("nr;KUND;Läge;Start;Färg", f"{SUBSCRIPTION};{TENANT};Vilande;2024-03-01;röd")
    assert "does not say the product" in load_lines(estate, *lines, arguments=("--mapping", str(mapping))).failure
    told = ("--mapping", str(mapping), "--set", "product=intune")
    loaded = load_lines(estate, *lines, arguments=told)
    assert loaded.failure == ""
    assert "These columns of export.csv are not imported: Färg." in loaded.out
    assert columns("product", "agreement", "status") == [("intune", "EA", "suspended")]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "while parsing"),
        ("just text", "recognise"),
        ("[]", "recognise"),
        ("recognise: [A]", "files"),
        ("{recognise: [], files: {customers.csv: {columns: {name: A}}}}", "recognise"),
        ("{recognise: [A], files: {customers.csv: {columns: {name: {form: A}}}}}", "files"),
        ("{recognise: [A], files: {customers.csv: {columns: {name: 7}}}}", "files"),
        ("{recognise: [A], files: {customers.csv: {columns: {name: A}, each: 5}}}", "files"),
        ("{recognise: [A], files: {customers.csv: {columns: {name: {from: A, sure: no_table}}}}}", "files"),
        ("{recognise: [A], files: {customers.csv: {columns: {name: {from: A, only_if: {column: B}}}}}}", "files"),
        ("{recognise: [A], words: {status: [x]}, files: {customers.csv: {columns: {name: A}}}}", "words"),
        ("{recognise: [A], colour: red, files: {customers.csv: {columns: {name: A}}}}", "colour"),
    ],
)
def test_file_that_is_no_mapping_is_refused_with_the_part(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"mine\.yaml is not a mapping\. Correct this part: .*") as refused:
        read(path)
    assert part in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"customer.csv": {"columns": {"name": "Nr"}}}, {"customers.csv": {"columns": {"nmae": "Nr"}}}]
)
def test_mapping_to_a_file_or_column_that_does_not_exist_is_refused(estate: Path, change: dict[str, Any]) -> None:
    mapping = estate / "mine.yaml"
    mapping.write_text(yaml.safe_dump(MINE | {"files": change}), encoding="utf-8")
    failure = load_lines(estate, "Nr;Kund", "1;2", arguments=("--mapping", str(mapping))).failure
    assert failure == f"mine.yaml is not a mapping. Correct this part: {next(iter(change))}."


def summing(estate: Path, *rows: str) -> Loaded:
    load_one(estate, "subscriptions", subscription())
    mapping = estate / "mine.yaml"
    part = {
        "sum": ["consumed_usd"],
        "columns": {
            "month": {"from": "Day", "whole_month": True},
            "subscription_id": "Id",
            "workload": {"value": "azure"},
            "consumed_usd": "Cost",
        },
    }
    given = {"recognise": ["Day", "Id", "Cost"], "files": {"usage.csv": part}}
    mapping.write_text(yaml.safe_dump(given), encoding="utf-8")
    return load_lines(estate, "Day;Id;Cost", *rows, arguments=("--mapping", str(mapping)))


def test_rows_of_a_month_are_added_up_with_all_their_decimals(estate: Path) -> None:
    rows = [f"2025-{month}-{day};{SUBSCRIPTION};0,1" for month in ("03", "04") for day in ("07", "08", "30")]
    loaded = summing(estate, *rows, f"2025-04;{SUBSCRIPTION.upper()};4.1E-05")
    assert loaded.failure == ""
    assert [(one.month, f"{one.consumed_usd:.6f}") for one in Usage.objects.order_by("month")] == [
        (date(2025, 3, 1), "0.300000"),
        (date(2025, 4, 1), "0.300041"),
    ]


def test_sum_with_a_row_that_fails_is_not_taken_and_all_its_rows_come_back(estate: Path) -> None:
    loaded = summing(
        estate,
        f"2025-03-07;{SUBSCRIPTION};5",
        f"2025-03-08;{SUBSCRIPTION};much",
        f"2025-03-09;{SUBSCRIPTION};7",
        f"2025-04-01;{SUBSCRIPTION};1",
    )
    assert loaded.codes == [("2", "", "sum_incomplete"), ("3", "Cost", "malformed_number"), ("4", "", "sum_incomplete")]
    assert [(one.month, one.consumed_usd) for one in Usage.objects.all()] == [(date(2025, 4, 1), 1)]


def test_column_that_the_file_does_not_have_changes_nothing(estate: Path) -> None:
    load_one(estate, "subscriptions", subscription(trial="1"))
    told = ("--set", f"tenant_id={TENANT}", "--set", "agreement=CSP")
    header, row = GRAPH.replace(";IsTrial", ""), GRAPH_ROWS[0].replace(";False", "")
    assert load_lines(estate, header, row, arguments=told).failure == ""
    assert columns("agreement", "is_trial") == [("CSP", True)]


def test_formats_are_told_where_the_file_leaves_them_open(estate: Path) -> None:
    row = f"x;{SUBSCRIPTION};02.03.2024;;False;01.03.2027;;EMS;Enabled;1,250"
    told = ("--set", f"tenant_id={TENANT}", "--set", "agreement=CSP", "--set", "days=month-first")
    assert load_lines(estate, GRAPH, row, arguments=(*told, "--set", "decimals=.")).failure == ""
    assert columns("seats", "started_on") == [(1250, date(2024, 2, 3))]
    sure = row.replace("01.03.2027", "13.03.2027")
    assert load_lines(estate, GRAPH, sure, arguments=(*told, "--set", "decimals=.")).failure == ""
    assert columns("started_on") == [(date(2024, 3, 2),)], "the file tells it, so nobody else does"


def test_file_is_read_by_the_mapping_that_knows_most_of_it(estate: Path) -> None:
    loaded = load_lines(estate, INSIGHTS + ",ServiceLevel1", f"{SUBSCRIPTION}" + "," * INSIGHTS.count(",") + ",Compute")
    assert "export.csv is read as: Partner Center Insights, subscription details." in loaded.out
    header = "SubscriptionId,CustomerTenantId,PartnerAttributionType,SubscriptionState,ServiceLevel1,Month,ACR_USD"
    assert "Insights, Azure usage." in load_lines(estate, header, f"{SUBSCRIPTION},,,,,,").out


def of_partners() -> list[tuple[str, str, str, str]]:
    """Return the associations: partner, kind, subscription or tenant, and the day on which it began."""
    rows = Association.objects.select_related("partner", "customer", "subscription").order_by("pk")
    return [
        (
            one.partner.mpn_id,
            one.kind,
            str(one.subscription.subscription_id if one.subscription else one.customer.tenant_id),
            f"{one.began_at:%Y-%m-%d}",
        )
        for one in rows
    ]


def seen(identifier: str, month: str, kind: str, *, started: str = "2024-03-01", mpn_id: str = "7100001") -> str:
    return f"{identifier},{started},,Active,{month},Alm,{TENANT},,,Microsoft Azure,,{mpn_id},{kind},EA,,,"


def test_association_began_at_the_latest_in_the_first_month_that_shows_it(estate: Path) -> None:
    first = [
        seen(SUBSCRIPTION, "2026-09-01", "Partner of record"),
        seen(SUBSCRIPTION, "2026-08-01", "DPOR"),
        seen(SUBSCRIPTION, "2026-08-01", "Partner Admin Link"),
        seen(OTHER_SUBSCRIPTION, "2026-08-01", "TPOR", started="2026-08-15"),
        seen(OTHER_SUBSCRIPTION, "2026-08-01", "CPOR", started="2026-08-15"),
        seen(OTHER_SUBSCRIPTION, "2026-08-01", "CSP Tier 2", started="2026-08-15", mpn_id="-1"),
        seen(OTHER_SUBSCRIPTION, "2026-08-01", "CSP Tier 2", started="2026-08-15", mpn_id="7999999"),
    ]
    loaded = load_lines(estate, INSIGHTS, *first)
    assert {(line, code) for line, _column, code in loaded.codes} == {("8", "unknown_partner")}
    expected = [
        ("7100001", "dpor", SUBSCRIPTION, "2026-08-01"),
        ("7100001", "pal", TENANT, "2026-08-01"),
        ("7100001", "transacting", OTHER_SUBSCRIPTION, "2026-08-15"),
    ]
    assert sorted(of_partners()) == expected
    later = [seen(SUBSCRIPTION, "2026-10-01", kind) for kind in ("Partner of record", "PAL")]
    loaded = load_lines(estate, INSIGHTS, *later, seen(OTHER_SUBSCRIPTION, "2026-10-01", "TPOR", started="2026-08-15"))
    assert loaded.failure == ""
    assert "associations.csv: 0 created, 0 changed, 3 unchanged, 0 failed" in loaded.out
    assert sorted(of_partners()) == expected, "a later month is no news"


def test_another_partner_in_a_later_export_does_not_take_over_in_silence(estate: Path) -> None:
    assert load_lines(estate, INSIGHTS, seen(SUBSCRIPTION, "2026-08-01", "DPOR")).failure == ""
    loaded = load_lines(estate, INSIGHTS, seen(SUBSCRIPTION, "2026-10-01", "DPOR", mpn_id="7300001"))
    assert [code for _line, _column, code in loaded.codes] == ["overlaps_another_period"]
    assert of_partners() == [("7100001", "dpor", SUBSCRIPTION, "2026-08-01")]
