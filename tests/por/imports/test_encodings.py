"""Files that are not in Unicode are asked about and never guessed, and the line with the column names is chosen."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from por.accounts.models import Actor
from por.directory.models import Customer, Subscription
from por.imports import tasks
from por.imports.models import Import, KeptMapping
from por.imports.opening import as_utf8
from por.imports.sampling import Table, encodings_of
from tests.estates import OTHER_TENANT, SUBSCRIPTION, TENANT, customer, load, load_one
from tests.factories import make_staff

LOADS = "/a/loads/"
CUSTOMERS = f"tenant_id;name;country\r\n{TENANT};Västerhamn Energi AB;SE\r\n{OTHER_TENANT};Ek AB;NO\r\n"


@pytest.fixture(autouse=True)
def kept(settings: Any, tmp_path: Path) -> None:
    directory = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(tmp_path / "kept")}}
    settings.STORAGES = settings.STORAGES | {"default": directory}


@pytest.fixture
def reader() -> Actor:
    return make_staff("programme_administrator")


def upload(web: Client, name: str, content: bytes) -> Any:
    return web.post(LOADS, {"file": [SimpleUploadedFile(name, content)], "manner": "load"}, follow=True)


def import_tried(web: Client) -> Import:
    tasks.run()
    web.post(f"{LOADS}{Import.objects.latest('pk').pk}/load/")
    tasks.run()
    return Import.objects.latest("pk")


# --- On the command line --------------------------------------------------------------------------------------------


def test_encoding_is_told_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_bytes(CUSTOMERS.encode("cp1252"))
    assert load(tmp_path).codes == [("2", "", "not_utf8")], "nobody has said it"
    assert load(tmp_path, "--set", "encoding=windows-1252").failure == ""
    assert Customer.objects.get(tenant_id=TENANT).organisation.name == "Västerhamn Energi AB"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_in_unicode_is_read_as_what_it_is_whatever_was_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "customers.csv").write_bytes(CUSTOMERS.encode(encoding))
    assert load(tmp_path, "--set", "encoding=windows-1252").failure == ""
    assert Customer.objects.get(tenant_id=TENANT).organisation.name == "Västerhamn Energi AB"


def test_encoding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
    assert "--set encoding=… takes one of these: windows-1252," in load(tmp_path, "--set", "encoding=latin").failure


def test_rows_of_another_encoding_come_back_and_load(tmp_path: Path) -> None:
    bad = CUSTOMERS.replace(OTHER_TENANT, "?").encode("cp1252") + "!;Åre AB;SE\r\n".encode("cp1252")
    (tmp_path / "customers.csv").write_bytes(bad)
    load(tmp_path, "--set", "encoding=windows-1252", "--rejected", str(tmp_path / "back"))
    text = (tmp_path / "back" / "customers.csv").read_text(encoding="utf-8-sig")
    assert "Åre AB" in text


def test_mapping_names_the_encoding_of_its_files(tmp_path: Path) -> None:
    mapping = {
        "recognise": ["Kund", "Företag"],
        "encoding": "windows-1252",
        "files": {"customers.csv": {"columns": {"tenant_id": "Kund", "name": "Företag"}}},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(mapping, allow_unicode=True), encoding="utf-8")
    text = f"Kund;Företag\r\n{TENANT};Västerhamn\r\n"
    for encoding in ("cp1252", "utf-8"):
        (tmp_path / "Kunder.csv").write_bytes(text.encode(encoding))
        assert load(tmp_path, "--mapping", str(tmp_path / "map.yaml")).failure == ""
        assert Customer.objects.get().organisation.name == "Västerhamn"


def test_byte_that_stands_for_nothing_costs_its_line_only() -> None:
    assert as_utf8(b"V\xe4ster", "windows-1252").decode() == "Väster"
    assert as_utf8("Väster".encode(), "windows-1252").decode() == "Väster"
    with pytest.raises(UnicodeDecodeError):
        as_utf8(b"V\xe4ster \x81", "windows-1252").decode()


# --- What it looks like ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding", "likeliest"),
    [
        ("Västerhamn Åre Öl", "cp1252", "windows-1252"),
        ("Västerhamn Åre Öl", "cp850", "ibm850"),
        ("Müller Straße", "cp1252", "windows-1252"),
        ("Västerhamn Åre", "utf-8", None),
        ("Ek AB", "ascii", None),
    ],
)
def test_encoding_is_suggested_by_the_letters(text: str, encoding: str, likeliest: str | None) -> None:
    found = encodings_of(BytesIO(f"name\n{text}\n".encode(encoding)))
    assert next(iter(found), None) == likeliest
    if likeliest:
        assert text.split()[0] in found[likeliest]


def test_one_bad_line_among_others_in_utf_8_is_no_other_encoding() -> None:
    assert encodings_of(BytesIO("name\nVäster\nÅre\n".encode() + b"V\xe4st\n")) == {}


# --- In the browser -------------------------------------------------------------------------------------------------


def test_file_of_an_estate_that_is_not_in_unicode_is_asked_about(web: Client) -> None:
    page = upload(web, "customers.csv", CUSTOMERS.encode("cp1252"))
    address = page.redirect_chain[-1][0]
    assert "It looks like Windows-1252 (Western European)." in page.text
    assert "Västerhamn – Windows-1252 (Western European)" in page.text
    assert Import.objects.get().status == "asking", "it is never guessed in silence"
    assert web.post(address, {}).status_code == 422
    web.post(address, {"encoding": "windows-1252"})
    assert import_tried(web).status == "done"
    assert {one.organisation.name for one in Customer.objects.all()} == {"Västerhamn Energi AB", "Ek AB"}
    upload(web, "customers.csv", CUSTOMERS.replace("Ek AB", "Eken").encode())
    tasks.run()
    assert Customer.objects.get(tenant_id=OTHER_TENANT).organisation.name == "Eken", (
        "a file in UTF-8 is not asked about"
    )


LICENCES = (
    "Licenser hos Alm;;;;\r\nUtskrivet 2026-11-29;;;;\r\n;;;;\r\n"
    "Kund;Licens;Från;Läge;Ämne\r\n"
    f"{TENANT};{SUBSCRIPTION};2024-02-01;i drift;blå\r\n"
)
COLUMNS = {
    "from_subscription_id": "Licens",
    "from_tenant_id": "Kund",
    "value_product": "ems",
    "value_agreement": "CSP",
    "from_started_on": "Från",
    "from_status": "Läge",
    "rows": "all",
    "title": "Alm",
    "is_second": "1",
    "word_status_0": "active",
}


def test_encoding_is_a_part_of_a_mapping_made_by_hand(web: Client, tmp_path: Path) -> None:
    load_one(tmp_path, "customers", customer())
    address = upload(web, "Licenser.csv", LICENCES.encode("cp1252")).redirect_chain[-1][0]
    assert '<td class="nowrap">blå</td>' in web.get(address).text
    page = web.post(f"{address}?to=subscriptions.csv", COLUMNS)
    assert page.status_code == 422
    assert "encoding" in page.context["columns"].errors
    web.post(f"{address}?to=subscriptions.csv", COLUMNS | {"encoding": "windows-1252"})
    assert yaml.safe_load(KeptMapping.objects.get().text)["encoding"] == "windows-1252"
    assert import_tried(web).row_errors == []
    assert Subscription.objects.get().status == "active"
    second = upload(web, "December.csv", LICENCES.replace("Alm", "Ek").encode("cp1252"))
    assert "The dry run starts" not in second.text, "its encoding is known"
    third = upload(web, "January.csv", LICENCES.encode())
    tasks.run()
    assert Import.objects.latest("pk").row_errors == [], "and a later file may be in UTF-8"
    assert third.status_code == 200


def test_line_with_the_names_is_suggested_by_known_names_and_can_be_chosen(web: Client, tmp_path: Path) -> None:
    load_one(tmp_path, "customers", customer())
    titles = "".join(f"Rapport;om;allt;{number};;;;\r\n" for number in range(14))
    address = upload(web, "Licenser.csv", (titles + LICENCES).encode()).redirect_chain[-1][0]
    page = web.get(address)
    assert page.context["header_line"] == 18
    assert '<option value="18" selected>' in page.text
    assert page.context["names"][:2] == ["Kund", "Licens"]
    other = web.get(f"{address}?to=subscriptions.csv&header=1")
    assert other.context["names"][:3] == ["Rapport", "om", "allt"]
    web.post(f"{address}?to=subscriptions.csv&header=18", COLUMNS)
    assert yaml.safe_load(KeptMapping.objects.get().text)["header_line"] == 18
    assert import_tried(web).row_errors == []
    assert Subscription.objects.count() == 1


def test_line_of_names_is_found_where_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("Rapport\nx;y;z\n1;2;3\n", encoding="utf-8")
    assert (Table(path).names, Table(path).header_line) == (["x", "y", "z"], 2)
    assert Table(path, header_line=3).names == ["1", "2", "3"]
    assert Table(path).first_lines == [(1, "Rapport"), (2, "x;y;z"), (3, "1;2;3")]
