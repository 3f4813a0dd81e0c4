"""Files as people have them: other encodings, separators, headers and names, and columns that are missing."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from associations.record.models import Association
from competencies.models import Holding
from por.accounts.models import Membership, Organisation
from por.directory.models import Credential, Customer, Partner, Subscription, Usage
from por.imports import opening
from por.imports.actions import running
from por.imports.models import Import
from tests.estates import (
    GLOBAL,
    OTHER_SUBSCRIPTION,
    OTHER_TENANT,
    PARTNER,
    SUBSCRIPTION,
    TENANT,
    Loaded,
    Row,
    association,
    credential,
    customer,
    holding,
    load,
    load_one,
    partner,
    subscription,
    usage,
    write,
)
from tests.factories import make_staff
from tests.pages import signed_in

HEADER = "tenant_id,name,domain,country,segment,contact_email,language"
NAME = "Västerhamn, Energi; 100 % | AB"


def load_text(directory: Path, text: str, *, name: str = "customers.csv", encoding: str = "utf-8") -> Loaded:
    for old in directory.glob("*.*"):
        old.unlink()
    (directory / name).write_bytes(text.encode(encoding))
    return load(directory)


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import one row of each file, with all its values; return the directory."""
    loaded = load(
        write(
            tmp_path,
            partners=[partner(GLOBAL, kind="global"), partner(parent_mpn_id=GLOBAL, tenant_id=TENANT)],
            customers=[customer(contact_email="elin@people.example", language="sv")],
            subscriptions=[subscription(OTHER_SUBSCRIPTION), subscription(replaces_subscription_id=OTHER_SUBSCRIPTION)],
            usage=[usage(consumed_usd="12.50")],
            associations=[association(ended_on="2025-01-01")],
            credentials=[credential(valid_to="2026-06-30")],
            holdings=[holding()],
        )
    )
    assert loaded.failure == ""
    return tmp_path


# --- Encoding, separators, line ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_is_read_in_any_common_form(tmp_path: Path, separator: str, end: str, encoding: str) -> None:
    rows = [HEADER.split(","), [TENANT, f'"{NAME}"', "", "SE", "", "", ""], [OTHER_TENANT, "Ek AB", "", "", "", "", ""]]
    loaded = load_text(tmp_path, end.join(separator.join(row) for row in rows), encoding=encoding)
    assert (loaded.failure, loaded.errors) == ("", [])
    names = Customer.objects.order_by("tenant_id").values_list("organisation__name", "country")
    assert list(names) == [(NAME, "SE"), ("Ek AB", "")]


@pytest.mark.parametrize(
    ("encoding", "end", "block", "count"),
    [
        *product(["utf-16-be", "utf-16-le", "utf-8"], ["\n", "\r\n", "\r"], [997], [400]),
        ("utf-16-le", "\r\n", opening.BLOCK, 9000),
    ],
)
def test_long_file_in_another_encoding_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, end: str, block: int, count: int
) -> None:
    """The blocks in which a file is read end within characters and within line ends."""
    monkeypatch.setattr(opening, "BLOCK", block)
    rows = [f"{number:08}-0000-4000-8000-000000000000,Ångström {number} Å,,,,," for number in range(count)]
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    text = mark + end.join([HEADER, *rows])
    assert len(text.encode(encoding)) > 3 * block
    loaded = load_text(tmp_path, text, encoding=encoding)
    assert f"{count} created, 0 changed, 0 unchanged, 0 failed" in loaded.out
    assert Organisation.objects.filter(name__regex="^Ångström [0-9]+ Å$").count() == count


def test_half_a_character_at_the_end_costs_only_its_row(tmp_path: Path) -> None:
    content = "\ufeff" + f"{HEADER}\n{TENANT},Ek,,,,,\n{OTHER_TENANT},Alm,,,,,"
    (tmp_path / "customers.csv").write_bytes(content.encode("utf-16-le") + b"\x00")
    assert load(tmp_path).codes == [("3", "", "not_utf8")]
    assert Customer.objects.count() == 1


def test_endless_line_of_another_encoding_is_refused_without_filling_the_memory(tmp_path: Path) -> None:
    row = f"{TENANT},{'n' * 3_000_000},,,,,"
    loaded = load_text(tmp_path, f"{HEADER}\n{row}\n{OTHER_TENANT},Ek,,,,,\n", encoding="utf-16")
    assert loaded.codes == [("2", "", "line_too_long")]
    assert Customer.objects.count() == 1


def test_file_in_utf_16_without_a_mark_is_refused_with_what_to_do(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, f"{HEADER}\n{TENANT},Ek,,,,,\n", encoding="utf-16-le")
    assert loaded.codes == [("1", "", "not_utf8")]
    assert loaded.errors[0]["reason"] == "The file is not text in UTF-8. Save it as CSV in UTF-8."


@pytest.mark.parametrize(
    ("first", "line"), [("sep=;", 4), ('"sep=;"', 4), ("#TYPE Selected.Customer", 4), ("", 4), ("\n;;;", 5)]
)
def test_lines_that_programs_write_before_the_header_are_skipped(tmp_path: Path, first: str, line: int) -> None:
    text = f"{first}\n{HEADER.replace(',', ';')}\n{TENANT};Ek;;;;;\nno-guid;Alm;;;;;\n;;;;;;\n"
    assert load_text(tmp_path, text).codes == [(str(line), "tenant_id", "malformed_guid")]
    assert Customer.objects.count() == 1


# --- Headers and missing columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Tenant ID,NAME,Domain,Contact e-mail", "tenantid,Name,DOMAIN,contact_email"])
def test_column_is_known_in_any_case_and_with_spaces(tmp_path: Path, header: str) -> None:
    assert load_text(tmp_path, f"{header}\n{TENANT},Ek,ek.example,elin@people.example\n").failure == ""
    stored = Customer.objects.select_related("organisation").get()
    assert (stored.domain, stored.organisation.contact_email) == ("ek.example", "elin@people.example")


def test_unknown_column_is_ignored_and_listed(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, f"tenant_id,name,Tags,,Colour\n{TENANT},Ek,Gold,x,red\n")
    assert loaded.failure == ""
    assert "We do not know these columns of customers.csv. They are ignored: Tags, Colour." in loaded.out


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("tenant_id,name,domian", "We do not know the column domian. If it is domain, write that; if not, rename it."),
        ("tenant_id,name,Contact mail", "We do not know the column Contact mail. If it is contact_email, write that"),
        ("tenant,name", "We do not know the column tenant. If it is tenant_id"),
        ("name,domain", "The first line must contain these column names: tenant_id."),
        ("colour;size", "The first line must contain these column names: tenant_id, name."),
        ("tenant_id,name,Name", "The first line names the column name twice."),
    ],
)
def test_header_that_cannot_be_meant_is_refused_with_its_reason(tmp_path: Path, header: str, reason: str) -> None:
    loaded = load_text(tmp_path, f"{header}\n{TENANT},Ek,x\n")
    assert loaded.codes == [("1", "", "wrong_header")]
    assert reason in loaded.errors[0]["reason"]
    assert not Customer.objects.exists()


#: For each file the columns that it needs, and what is left out.
NEEDED = {
    "partners": ["mpn_id", "name", "kind", "status"],
    "customers": ["tenant_id", "name"],
    "subscriptions": ["subscription_id", "tenant_id", "product", "agreement", "status"],
    "usage": ["month", "subscription_id", "workload", "active_users"],
    "associations": ["subscription_id", "mpn_id", "kind", "began_on"],
    "credentials": ["person", "mpn_id", "credential", "valid_from"],
    "holdings": ["mpn_id", "program", "level", "anniversary_on"],
}
ROWS: dict[str, list[Row]] = {
    "partners": [partner(GLOBAL, kind="global"), partner()],
    "customers": [customer()],
    "subscriptions": [subscription(OTHER_SUBSCRIPTION), subscription()],
    "usage": [usage()],
    "associations": [association()],
    "credentials": [credential(valid_to="2026-06-30")],
    "holdings": [holding()],
}


def stored() -> list[object]:
    """Return what may not change because a column is missing."""
    return [
        list(Partner.objects.order_by("pk").values()),
        list(Customer.objects.values()),
        list(Subscription.objects.order_by("pk").values()),
        list(Usage.objects.values()),
        list(Association.objects.values()),
        list(Credential.objects.values()),
        list(Holding.objects.values()),
        list(Organisation.objects.order_by("pk").values()),
        list(Membership.objects.order_by("pk").values("organisation", "user", "role")),
    ]


@pytest.mark.parametrize("file", NEEDED)
def test_missing_column_changes_nothing(estate: Path, file: str) -> None:
    before = stored()
    loaded = load_one(estate, file, *({name: row[name] for name in NEEDED[file]} for row in ROWS[file]))
    assert (loaded.failure, loaded.errors) == ("", [])
    assert "Nothing has changed." in loaded.out
    assert stored() == before


def test_missing_column_keeps_what_is_stored_beside_a_change(estate: Path) -> None:
    row = {name: subscription()[name] for name in NEEDED["subscriptions"]}
    assert load_one(estate, "subscriptions", row | {"status": "grace"}).failure == ""
    one = Subscription.objects.select_related("sku", "replaces").get(subscription_id=SUBSCRIPTION)
    assert one.sku is not None
    assert one.replaces is not None
    assert (one.status, one.seats, one.sku.string_id) == ("grace", 420, "ENTERPRISEPACK")
    load_one(
        estate, "usage", {"month": "2025-03", "subscription_id": SUBSCRIPTION, "workload": "exo", "paid_units": "9"}
    )
    month = Usage.objects.get(superseded_at=None)
    assert (month.paid_units, month.active_users, str(month.consumed_usd)) == (9, 312, "12.50")


def test_empty_cell_is_unknown_where_a_missing_column_says_nothing(estate: Path) -> None:
    load_one(estate, "customers", {"tenant_id": TENANT, "name": "Ek", "domain": ""})
    assert (Customer.objects.get().domain, Customer.objects.get().country) == ("", "SE")


def test_new_row_without_an_optional_column_knows_nothing_of_it(tmp_path: Path) -> None:
    assert load_one(tmp_path, "customers", {"tenant_id": TENANT, "name": "Ek"}).failure == ""
    one = Customer.objects.select_related("organisation").get()
    assert (one.domain, one.country, one.segment, one.organisation.language) == ("", "", "", "en")


def test_new_subscription_needs_the_day_it_started(estate: Path) -> None:
    row = {name: subscription("5e1d0f0e-7a53-4a86-8b0d-3f6f0f3f7b23")[name] for name in NEEDED["subscriptions"]}
    assert load_one(estate, "subscriptions", row).codes == [("2", "started_on", "missing_value")]


def test_renewal_before_the_stored_start_is_refused(estate: Path) -> None:
    row = {name: subscription()[name] for name in NEEDED["subscriptions"]}
    loaded = load_one(estate, "subscriptions", row | {"renews_on": "2024-06-30"})
    assert loaded.codes == [("2", "renews_on", "renews_before_start")]
    assert "0 created, 0 changed, 0 unchanged, 1 failed" in loaded.out


def test_guid_of_zeros_is_none_in_every_form(estate: Path) -> None:
    zeros = "00000000-0000-0000-0000-000000000000"
    rows = [subscription(zeros), subscription(f"{{{zeros}}}"), subscription(replaces_subscription_id=zeros)]
    loaded = load_one(estate, "subscriptions", *rows)
    assert loaded.codes == [("2", "subscription_id", "missing_value"), ("3", "subscription_id", "missing_value")]
    assert Subscription.objects.get(subscription_id=SUBSCRIPTION).replaces is None


# --- Names of files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["customers (1).csv", "Customers.CSV", "export.txt", "kunder.tsv"])
def test_file_with_another_name_is_known_by_its_header(tmp_path: Path, name: str) -> None:
    loaded = load_text(tmp_path, f"Tenant ID,Name,Tags\n{TENANT},Ek,x\n", name=name)
    assert "customers.csv:       1 created" in loaded.out


def test_two_files_with_the_same_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path, customers=[customer()])
    (tmp_path / "customers (1).csv").write_text(f"{HEADER}\n{OTHER_TENANT},Ek,,,,,\n", encoding="utf-8")
    failure = load(tmp_path).failure
    assert failure == "customers.csv and customers (1).csv have the same columns. Keep only one of them."
    assert not Customer.objects.exists()


def test_uploaded_file_is_known_by_its_header_and_its_ignored_columns_are_listed(tmp_path: Path, settings) -> None:
    directory = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(tmp_path / "kept")}}
    settings.STORAGES = settings.STORAGES | {"default": directory}
    web = signed_in(make_staff("programme_administrator"))
    content = f"Tenant ID;Name;Tags\n{TENANT};Ek;Gold\n".encode("utf-16")
    web.post("/a/loads/", {"file": [SimpleUploadedFile("customers (1).csv", content)], "manner": "load"})
    running.run()
    import_ = Import.objects.get()
    assert (import_.names, import_.total.created) == (["customers.csv"], 1)
    page = web.get(f"/a/loads/{import_.pk}/").text
    assert "We do not know these columns of customers.csv. They are ignored: Tags." in page


# --- Cells -----------------------------------------------------------------------------------------------------------


def test_numbers_and_days_are_read_as_the_file_writes_them(estate: Path) -> None:
    rows = [
        subscription(seats="1,250", started_on="1/2/2024", renews_on="9999-12-31"),
        subscription(OTHER_SUBSCRIPTION, seats="250.0", started_on="12/25/2024 12:00:00 AM", renews_on="1/1/0001"),
    ]
    assert load_one(estate, "subscriptions", *rows).failure == ""
    found = Subscription.objects.order_by("subscription_id").values_list("seats", "started_on", "renews_on")
    assert [(seats, str(day), end) for seats, day, end in found] == [
        (1250, "2024-01-02", None),
        (250, "2024-12-25", None),
    ]


def test_number_and_day_that_nothing_settles_are_refused_with_what_to_do(estate: Path) -> None:
    loaded = load_one(
        estate, "subscriptions", subscription(seats="1,250"), subscription(OTHER_SUBSCRIPTION, started_on="1/2/2025")
    )
    assert loaded.codes == [("2", "seats", "malformed_number"), ("3", "started_on", "malformed_date")]
    assert "“1,250” can be read in two ways, and the other numbers" in loaded.errors[0]["reason"]
    assert "Write it as year-month-day." in loaded.errors[1]["reason"]


def test_amount_keeps_its_decimals_and_may_be_a_credit(estate: Path) -> None:
    amounts = {"2025-04": "812.337912", "2025-05": "-0.000000000000041", "2025-06": "1250.40", "2025-07": "12.345"}
    rows = [usage(month, consumed_usd=amount) for month, amount in amounts.items()]
    assert load_one(estate, "usage", *rows).failure == ""
    found = Usage.objects.filter(month__gt="2025-03-01").order_by("month").values_list("consumed_usd", flat=True)
    assert [f"{amount:f}" for amount in found] == list(amounts.values())
    assert "Nothing has changed." in load_one(estate, "usage", *rows).out


@pytest.mark.parametrize("guid", [f"{{{TENANT.upper()}}}", TENANT.replace("-", ""), f"\u200b{TENANT}\ufeff"])
def test_guid_is_read_in_braces_without_hyphens_and_with_invisible_characters(tmp_path: Path, guid: str) -> None:
    assert load_one(tmp_path, "customers", customer(guid)).failure == ""
    assert str(Customer.objects.get().tenant_id) == TENANT


@pytest.mark.parametrize(
    "mpn_id",
    [f"{PARTNER}.0", f"{PARTNER},00", f"\u200b{PARTNER}", f"MPN ID: {PARTNER}", f"Partner ID {PARTNER}", "447 1902"],
)
def test_mpn_id_is_read_with_decimals_labels_and_invisible_characters(tmp_path: Path, mpn_id: str) -> None:
    assert load_one(tmp_path, "partners", partner(mpn_id)).failure == ""
    assert Partner.objects.get().mpn_id == PARTNER


def test_words_of_other_programs_are_read(estate: Path) -> None:
    row = subscription(product="Microsoft 365", agreement="CSP Indirect", status="In Grace Period", trial="True")
    assert load_one(estate, "subscriptions", row).failure == ""
    one = Subscription.objects.get(subscription_id=SUBSCRIPTION)
    assert (one.product, one.agreement, one.status, one.is_trial) == ("office365", "CSP", "grace", True)
    assert (
        load_one(estate, "customers", customer(country="Norway", segment="SMC Commercial", domain="N/A")).failure == ""
    )
    assert Customer.objects.values_list("country", "segment", "domain").get() == ("NO", "smb", "")


def test_word_with_several_meanings_is_refused_with_the_likeliest(estate: Path) -> None:
    loaded = load_one(estate, "subscriptions", subscription(status="Disabled"), subscription(status="Pending"))
    assert [code for _line, _column, code in loaded.codes] == ["unknown_value", "unknown_value"]
    assert "“Disabled” does not always mean the same. If it means suspended, enter that." in loaded.errors[0]["reason"]
    assert "“Pending” is none of our values." in loaded.errors[1]["reason"]


@pytest.mark.parametrize("name", ["+Plus Skola AB", "@Hemma Norden AB", "None", "Ek \u200bAB"])
def test_name_may_begin_with_a_sign_and_loses_what_nobody_sees(tmp_path: Path, name: str) -> None:
    assert load_one(tmp_path, "customers", customer(name=name)).failure == ""
    assert Customer.objects.get().organisation.name == name.replace("\u200b", "")
