"""Files of other programs are mapped by hand in the browser, and the mapping is kept for the next time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from por.accounts.models import Actor
from por.directory.models import Customer, Subscription, Usage
from por.errors import Refused, VersionConflict
from por.history.models import Event
from por.imports import rules, tasks, whole
from por.imports.actions import mappings
from por.imports.building import guesses
from por.imports.formats import UNSAID, Formats
from por.imports.models import Import, KeptMapping
from por.imports.reading import Cells, faults_of
from tests.estates import (
    OTHER_SUBSCRIPTION,
    OTHER_TENANT,
    SUBSCRIPTION,
    TENANT,
    UNKNOWN,
    customer,
    load,
    load_one,
    subscription,
)
from tests.factories import make_staff
from tests.pages import signed_in

LOADS = "/a/loads/"
#: As a distributor might write it, in Excel of Sweden.
LICENCES = (
    "Avtalsnr;Kund;Licens;Antal;Läge;Produkt;Från;Till;Färg",
    f"1;{TENANT};{SUBSCRIPTION};1 250;i drift;Microsoft 365 E3;01/02/2024;01/02/2027;röd",
    f"2;{TENANT};{OTHER_SUBSCRIPTION};3;vilande;Azure;02/03/2024;02/03/2027;blå",
    f"3;{OTHER_TENANT};{UNKNOWN};3;avförd;Azure;02/03/2024;02/03/2027;blå",
)
COLUMNS = {
    "from_subscription_id": "Licens",
    "from_tenant_id": "Kund",
    "from_product": "Produkt",
    "value_agreement": "CSP",
    "from_seats": "Antal",
    "from_started_on": "Från",
    "from_renews_on": "Till",
    "from_status": "Läge",
    "rows": "all",
    "title": "Licences of Alm",
}
#: The values in the order of the page: the most frequent first, then as in the file.
VALUES = {
    "is_second": "1",
    "word_product_0": "azure",
    "word_product_1": "office365",
    "word_status_0": "active",
    "word_status_1": "suspended",
    "word_status_2": "no row",
    "days": "day-first",
}


@pytest.fixture(autouse=True)
def kept(settings: Any, tmp_path: Path) -> Path:
    place = tmp_path / "kept"
    directory = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(place)}}
    settings.STORAGES = settings.STORAGES | {"default": directory}
    return place


@pytest.fixture
def reader() -> Actor:
    return make_staff("programme_administrator")


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    place = tmp_path / "estate"
    place.mkdir()
    load_one(place, "customers", customer(), customer(OTHER_TENANT, name="Ek AB"))
    return place


def csv_of(*lines: str, name: str = "Licenser.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, "\r\n".join(lines).encode("utf-8-sig"))


def upload(web: Client, *files: SimpleUploadedFile) -> Any:
    return web.post(LOADS, {"file": list(files), "manner": "load"}, follow=True)


def test_unknown_file_is_mapped_by_hand_tried_and_imported(web, estate):
    page = upload(web, csv_of(*LICENCES))
    tried = Import.objects.get()
    address = f"{LOADS}{tried.pk}/files/1/"
    assert page.redirect_chain == [(address, 302)]
    assert (tried.status, tried.dry_run) == ("asking", True), "even if somebody asks to import at once"
    assert "We do not know this file." in page.text
    assert "Microsoft 365 E3" in page.text, "the first rows"
    tasks.run()
    assert Import.objects.get().status == "asking"

    page = web.get(f"{address}?to=subscriptions.csv")
    assert page.text.count("Guessed by its name. Check it.") == 3
    page = web.post(f"{address}?to=subscriptions.csv", COLUMNS)
    assert "Läge: which status is it?" in page.text
    assert "What comes first in “01/02/2024”?" in page.text
    page = web.post(f"{address}?to=subscriptions.csv", COLUMNS | VALUES, follow=True)
    assert page.redirect_chain == [(f"{LOADS}{tried.pk}/", 302)]
    tasks.run()

    page = web.get(f"{LOADS}{tried.pk}/")
    assert "so nothing was saved" in page.text
    assert "Licenser.csv → subscriptions.csv" in page.text
    assert "Licenser.csv is read as: Licences of Alm." in page.text
    assert "1 row of Licenser.csv has no row in subscriptions.csv: Läge avförd (1)." in page.text
    assert "These columns of Licenser.csv are not imported: Avtalsnr, Färg." in page.text
    assert not Subscription.objects.exists()

    web.post(f"{LOADS}{tried.pk}/load/")
    tasks.run()
    names = ("product", "agreement", "seats", "status", "started_on", "renews_on")
    assert list(Subscription.objects.order_by("subscription_id").values_list(*names)) == [
        ("office365", "CSP", 1250, "active", date(2024, 2, 1), date(2027, 2, 1)),
        ("azure", "CSP", 3, "suspended", date(2024, 3, 2), date(2027, 3, 2)),
    ]
    verbs = Event.objects.filter(chain="house", object_kind="mapping").values_list("verb", "changes")
    assert [verb for verb, _changes in verbs] == ["estate.mapping_kept"]
    assert verbs[0][1]["files"] == ["subscriptions.csv"]


def map_licences(web: Client) -> Import:
    upload(web, csv_of(*LICENCES))
    tried = Import.objects.latest("pk")
    web.post(f"{LOADS}{tried.pk}/files/1/?to=subscriptions.csv", COLUMNS | VALUES)
    return tried


def test_next_file_with_the_same_columns_is_known_and_only_tried(web, estate):
    map_licences(web)
    page = upload(web, csv_of(LICENCES[0] + ";Ny", *(line + ";1" for line in LICENCES[1:]), name="December.csv"))
    second = Import.objects.latest("pk")
    assert page.redirect_chain == [(f"{LOADS}{second.pk}/", 302)]
    assert (second.status, second.dry_run) == ("queued", True)
    tasks.run()
    page = web.get(f"{LOADS}{second.pk}/").text
    assert "December.csv is read as: Licences of Alm." in page
    assert "These columns of December.csv are not imported: Avtalsnr, Färg, Ny." in page


def test_kept_mapping_is_used_by_the_command(web, estate):
    map_licences(web)
    (estate / "licences.csv").write_text("\n".join(LICENCES), encoding="utf-8")
    loaded = load(estate)
    assert "licences.csv is read as: Licences of Alm." in loaded.out
    assert Subscription.objects.count() == 2


def test_mapping_is_changed_after_the_dry_run_and_the_same_files_are_tried_again(web, estate):
    tried = map_licences(web)
    tasks.run()
    address = f"{LOADS}{tried.pk}/files/1/"
    assert address in web.get(f"{LOADS}{tried.pk}/").text
    page = web.get(f"{address}?to=subscriptions.csv")
    assert '<option value="Licens" selected>' in page.text
    page = web.post(f"{address}?to=subscriptions.csv", COLUMNS | {"value_agreement": "EA"})
    assert '<option value="no row" selected>' in page.text, "what was chosen before"
    page = web.post(f"{address}?to=subscriptions.csv", COLUMNS | VALUES | {"value_agreement": "EA"}, follow=True)
    second = Import.objects.latest("pk")
    assert second.pk != tried.pk
    assert (second.folder, second.dry_run, second.status) == (tried.folder, True, "queued")
    tasks.run()
    web.post(f"{LOADS}{second.pk}/load/")
    tasks.run()
    assert {one.agreement for one in Subscription.objects.all()} == {"EA"}
    (mapping,) = KeptMapping.objects.all()
    assert mapping.version == 2


def test_page_shows_again_what_was_chosen(web, estate):
    address = upload(web, csv_of(*LICENCES)).redirect_chain[-1][0] + "?to=subscriptions.csv"
    chosen = {"rows": "newest", "newest": "Från", "is_last_day": "on", "is_complete": "on", "value_seats": "7"}
    page = web.post(address, COLUMNS | VALUES | chosen, follow=True)
    tasks.run()
    page = web.get(address).context["columns"]
    found = {name: page[name].initial for name in (*chosen, "from_seats", "value_agreement", "title")}
    assert found == {
        **chosen,
        "is_last_day": True,
        "is_complete": True,
        "from_seats": "Antal",
        "value_agreement": "CSP",
        "title": "Licences of Alm",
    }


def test_one_file_becomes_several_tables(web):
    lines = ("Kund;Kundnamn;Licens;Läge", f"{TENANT};Alm AB;{SUBSCRIPTION};active", f"{TENANT};Alm AB;{UNKNOWN};grace")
    page = upload(web, csv_of(*lines))
    address = page.redirect_chain[-1][0]
    customers = {"from_tenant_id": "Kund", "from_name": "Kundnamn", "rows": "first", "title": "Alm", "more": "1"}
    page = web.post(f"{address}?to=customers.csv", customers, follow=True)
    assert page.redirect_chain == [(address, 302)]
    assert "This file is read as: Alm" in page.text
    assert Import.objects.get().status == "asking"
    subscriptions = {
        "from_subscription_id": "Licens",
        "from_tenant_id": "Kund",
        "from_status": "Läge",
        "value_product": "ems",
        "value_agreement": "EA",
        "value_started_on": "2024-03-01",
        "rows": "all",
        "title": "Alm",
        "is_second": "1",
        "word_status_0": "active",
        "word_status_1": "grace",
    }
    web.post(f"{address}?to=subscriptions.csv", subscriptions)
    tasks.run()
    assert {name: one["created"] for name, one in Import.objects.get().figures.items()} == {
        "Licenser.csv → customers.csv": 1,
        "Licenser.csv → subscriptions.csv": 2,
    }


def test_export_with_the_name_of_one_of_our_files_is_read_by_its_columns(web):
    lines = ("Microsoft ID,Company name,Primary domain name,Relationship", f"{TENANT},Alm AB,alm.example,Reseller")
    content = csv_of(*lines, name="customers.csv")
    page = upload(web, content)
    assert page.status_code == 200
    assert Import.objects.get().names == ["Customers.csv"]
    tasks.run()
    assert Import.objects.get().total.created == 1


def test_what_a_known_file_does_not_say_is_asked_once(web, estate):
    lines = (
        "CreatedDateTime;SkuPartNumber;SkuId;TotalLicenses;NextLifecycleDateTime;Status;Id",
        f"01.02.2024 00:00:00;EMS;;12;01.03.2027 00:00:00;Enabled;{SUBSCRIPTION}",
    )
    page = upload(web, csv_of(*lines))
    address = page.redirect_chain[-1][0]
    assert "This file is read as: Microsoft Graph, subscriptions of one tenant" in page.text
    assert web.post(address, {"tenant_id": TENANT, "agreement": "EA"}).status_code == 422, "days are asked too"
    web.post(address, {"tenant_id": TENANT, "agreement": "EA", "days": "month-first"})
    tasks.run()
    web.post(f"{LOADS}{Import.objects.get().pk}/load/")
    tasks.run()
    assert [(one.started_on, one.renews_on) for one in Subscription.objects.all()] == [
        (date(2024, 1, 2), date(2027, 1, 3))
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"from_subscription_id": ""}, "subscription_id: choose a column, or a value for all rows."),
        ({"from_tenant_id": ""}, "tenant_id: choose a column, or a value for all rows."),
        ({"from_product": ""}, "product: choose a column, or a value for all rows."),
        ({"rows": "newest"}, "Choose the column that tells which row is the newest."),
        ({"title": ""}, "This field is required."),
        ({"from_status": "Nowhere"}, "Select a valid choice."),
    ],
)
def test_columns_that_do_not_suffice_are_refused(web, estate, change, text):
    page = upload(web, csv_of(*LICENCES))
    page = web.post(page.redirect_chain[-1][0] + "?to=subscriptions.csv", COLUMNS | change)
    assert page.status_code == 422
    assert text in page.text
    assert not KeptMapping.objects.exists()


def test_value_that_nobody_chose_is_refused(web, estate):
    address = upload(web, csv_of(*LICENCES)).redirect_chain[-1][0] + "?to=subscriptions.csv"
    page = web.post(address, COLUMNS | VALUES | {"word_status_1": ""})
    assert page.status_code == 422
    assert not KeptMapping.objects.exists()
    page = web.post(address, COLUMNS | VALUES | {"back": "1"})
    assert page.status_code == 200
    assert '<option value="Licens" selected>' in page.text


def test_column_with_too_many_values_is_no_closed_one(web):
    rows = [f"{TENANT};{number}" for number in range(rules.VALUES_SHOWN + 1)]
    address = upload(web, csv_of("Kund;Läge", *rows)).redirect_chain[-1][0]
    columns = COLUMNS | dict.fromkeys((name for name in COLUMNS if name.startswith("from_")), "")
    page = web.post(f"{address}?to=subscriptions.csv", columns | {"from_status": "Läge", "from_tenant_id": "Kund"})
    assert "status: “Läge” has more than 60 different values." in page.text


# --- What is kept ---------------------------------------------------------------------------------------------------


def test_kept_mapping_is_looked_at_changed_and_removed(web, estate, reader):
    map_licences(web)
    (mapping,) = KeptMapping.objects.all()
    assert "Licences of Alm" in web.get(f"{LOADS}mappings/").text
    address = f"{LOADS}mappings/{mapping.pk}/"
    page = web.get(address)
    assert "subscription_id: Licens" in page.text
    fields = {"title": "Alm", "text": mapping.text.replace("value: CSP", "value: MOSP"), "version": "1"}
    assert web.post(address, fields | {"text": "files: ["}).status_code == 422
    assert web.post(address, fields | {"text": mapping.text.replace("seats:", "saets:")}).status_code == 422
    assert "Mapping saved." in web.post(address, fields, follow=True).text
    assert web.post(address, fields | {"text": mapping.text}).status_code == 409, "an outdated page changes nothing"
    assert "This mapping has changed" in web.post(f"{address}remove/", {"version": "1"}).text
    mapping.refresh_from_db()
    assert (mapping.name, mapping.version) == ("Alm", 2)
    assert yaml.safe_load(mapping.text)["files"]["subscriptions.csv"]["columns"]["agreement"] == {"value": "MOSP"}
    assert "Mapping removed." in web.post(f"{address}remove/", {"version": "2"}, follow=True).text
    assert web.get(address).status_code == 404
    verbs = Event.objects.filter(chain="house", object_kind="mapping").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["estate.mapping_kept", "estate.mapping_changed", "estate.mapping_removed"]
    auditor = signed_in(make_staff("auditor"))
    assert auditor.get(f"{LOADS}mappings/").status_code == 200


TEXT = "recognise: [A]\nfiles: {customers.csv: {columns: {name: A}}}\n"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_keep_the_last_mapping_at_once_one_is_refused(monkeypatch):
    by = make_staff("programme_administrator")
    monkeypatch.setattr(mappings, "MOST_KEPT", KeptMapping.objects.count() + 1)
    start = Barrier(2)

    def keep(name: str) -> str:
        try:
            start.wait(20)
            mappings.keep(name, TEXT, by=by)
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "kept"

    with ThreadPoolExecutor(2) as threads:
        answers = sorted(threads.map(keep, [f"One {uuid4()}", f"Two {uuid4()}"]))
    assert answers == ["kept", "too_many_mappings"]


def test_number_of_kept_mappings_is_bounded(reader, monkeypatch):
    monkeypatch.setattr(mappings, "MOST_KEPT", 2)
    mappings.keep("One", TEXT, by=reader)
    mappings.keep("Two", TEXT, by=reader)
    with pytest.raises(Refused, match="You keep 2 mappings already"):
        mappings.keep("Three", TEXT, by=reader)
    mappings.keep("Two", TEXT + "# ours", version=1, by=reader)
    with pytest.raises(VersionConflict):
        mappings.keep("Two", TEXT, version=1, by=reader)
    assert KeptMapping.objects.count() == 2


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a",
        "[" * 10_000,
        "x" * 70_000,
        "recognise: [A]\nfiles: {customers.csv: {columns: {name: 2026-99-99}}}",
        "!!python/object/apply:os.system [ls]",
        TEXT + "formats: {decimals: ';'}",
        TEXT.replace("columns: {name: A}", "columns: {name: A}, sum: [seats]"),
    ],
)
def test_text_that_is_no_mapping_is_not_kept(reader, text):
    with pytest.raises(Refused, match="is not a mapping"):
        mappings.keep("One", text, by=reader)
    assert not KeptMapping.objects.exists()


def test_name_of_another_mapping_is_refused(web, estate, reader):
    mappings.keep("Licences of Alm", TEXT, by=reader)
    address = upload(web, csv_of(*LICENCES)).redirect_chain[-1][0]
    page = web.post(f"{address}?to=subscriptions.csv", COLUMNS | VALUES)
    assert page.status_code == 422
    assert "Another mapping has this name." in page.text
    assert KeptMapping.objects.get().text == TEXT


# --- What the page rests on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [one for one in whole.files() if one.columns.closed], ids=lambda one: one.name)
def test_columns_with_closed_values_are_those_that_a_row_is_refused_for(file):
    cells = Cells(2, dict.fromkeys(file.columns.every, "no such word"), Formats(list, list, UNSAID))
    refused = {fault.column: fault.reason for fault in faults_of(cells, file.parse) if fault.code == "unknown_value"}
    assert refused.keys() == file.columns.closed.keys()
    for column, (allowed, _table) in file.columns.closed.items():
        assert ", ".join(allowed) in refused[column]


def test_column_is_guessed_by_its_name_and_once():
    subscriptions = next(one for one in whole.files() if one.name == "subscriptions.csv")
    names = ["SUBSCRIPTION-ID", "Kund", "Sku Part Number", "Antal", "Something", "Quantity"]
    assert guesses(subscriptions, names) == {
        "subscription_id": "SUBSCRIPTION-ID",
        "sku_string_id": "Sku Part Number",
        "seats": "Quantity",
    }


def test_customers_are_not_imported_while_their_file_is_asked_about(web):
    upload(web, csv_of(*LICENCES), csv_of("tenant_id,name", f"{TENANT},Alm AB", name="customers.csv"))
    tasks.run()
    assert Import.objects.get().status == "asking"
    assert not Customer.objects.exists()
    page = web.post(f"{LOADS}{Import.objects.get().pk}/cancel/", follow=True)
    assert "Cancelled before it started." in page.text


SKUS = (
    '"AccountId","AccountName","CapabilityStatus","ConsumedUnits","Id","PrepaidUnits","SkuId","SkuPartNumber"',
    f'"{TENANT}","Alm AB","Enabled","12","{TENANT}_05e9a617","class LicenseUnitsDetail {{',
    "  Enabled: 25",
    '}","05e9a617-0261-4cee-bb44-138d3ef5d965","SPE_E3"',
)


def test_objects_over_several_lines_do_not_hide_the_columns(web):
    page = upload(web, csv_of(*SKUS, name="skus of Alm.csv"))
    assert page.context["names"][-2:] == ["SkuId", "SkuPartNumber"]
    assert "class LicenseUnitsDetail {   Enabled: 25 }" in page.context["rows"][0][5].replace("\n", " ")
    address = page.redirect_chain[-1][0] + "?to=customers.csv"
    web.post(address, {"from_tenant_id": "AccountId", "from_name": "AccountName", "rows": "first", "title": "Skus"})
    tasks.run()
    import_ = Import.objects.get()
    assert [(one.created, one.failed) for one in import_.tallies.values()] == [(1, 0)]
    assert "ConsumedUnits" in import_.notes[1]


EA = (
    "Enrolment 0067891234;;;;",
    "Usage of October;;;;",
    "",
    "SubscriptionGuid;Date;ServiceName;ConsumedQuantity;Cost",
    f"{{{SUBSCRIPTION.upper()}}};10/13/2026;Compute;24;1.250,40",
    f"{SUBSCRIPTION};10/2/2026;Storage;1;0,60",
    f"{SUBSCRIPTION};10/31/2026;Storage;1;-1,00",
    ";;;;",
    "Total;;;;1.250,00",
)


def test_usage_of_an_enterprise_agreement_with_titles_and_a_total_is_added_up(web, estate):
    load_one(estate, "subscriptions", subscription(product="azure"))
    address = upload(web, csv_of(*EA, name="Usage.csv")).redirect_chain[-1][0] + "?to=usage.csv"
    page = web.get(address).context["columns"]
    assert {name: page[f"from_{name}"].initial for name in ("month", "subscription_id", "consumed_usd")} == {
        "month": "Date",
        "subscription_id": "SubscriptionGuid",
        "consumed_usd": "Cost",
    }
    columns = {"from_month": "Date", "from_subscription_id": "SubscriptionGuid", "from_consumed_usd": "Cost"}
    web.post(address, columns | {"value_workload": "azure", "rows": "sum", "title": "EA"})
    tasks.run()
    tried = Import.objects.get()
    assert {error.line for error in tried.row_errors} == {9}, "the total is refused"
    web.post(f"{LOADS}{tried.pk}/load/")
    tasks.run()
    assert [(one.month, one.consumed_usd) for one in Usage.objects.all()] == [(date(2026, 10, 1), 1250)]
