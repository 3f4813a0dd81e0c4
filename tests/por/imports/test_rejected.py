"""Failed rows come back as they were sent, with all their faults; corrected and sent again they load."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from por.directory.models import Customer, Subscription
from por.imports.actions import running
from por.imports.models import Import
from tests.estates import OTHER_TENANT, SUBSCRIPTION, TENANT, UNKNOWN, customer, load, load_one, subscription, write
from tests.factories import make_staff
from tests.pages import signed_in


def test_all_faults_of_a_row_are_reported_with_their_values(tmp_path: Path) -> None:
    row = subscription("no guid", product="x", seats="some", trial="perhaps", started_on="2024-02-30", status="")
    errors = load_one(tmp_path, "subscriptions", row).errors
    assert [(one["line"], one["column"], one["code"], one["value"]) for one in errors] == [
        ("2", "subscription_id", "malformed_guid", "no guid"),
        ("2", "product", "unknown_value", "x"),
        ("2", "seats", "malformed_number", "some"),
        ("2", "trial", "unknown_value", "perhaps"),
        ("2", "started_on", "malformed_date", "2024-02-30"),
        ("2", "status", "missing_value", ""),
    ]


def test_row_with_several_faults_counts_once(tmp_path: Path) -> None:
    loaded = load_one(tmp_path, "customers", customer("no guid", name=""), customer())
    assert loaded.failure == "1 row of 2 could not be imported."
    assert len(loaded.errors) == 2


def test_faults_of_several_associations_cells_are_found(tmp_path: Path) -> None:
    row = {"subscription_id": "x", "tenant_id": "", "mpn_id": "12", "kind": "y", "began_on": "z", "ended_on": ""}
    assert [column for _line, column, _code in load_one(tmp_path, "associations", row).codes] == [
        *("subscription_id", "mpn_id", "kind", "began_on"),
    ]


def test_rejected_rows_keep_their_shape_and_load_once_they_are_corrected(tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.mkdir()
    text = f'sep=;\nTags;Tenant ID;NAME\n"a;b";{TENANT};Ek\n"""c""";no guid;Älv\n;{OTHER_TENANT};\n'
    (sent / "customers (1).csv").write_bytes(text.encode("utf-16"))
    assert load(sent, "--rejected", str(back)).failure == "2 rows of 3 could not be imported."
    rows = (back / "customers.csv").read_bytes().decode("utf-8-sig").splitlines()
    assert rows == [
        "Tags;Tenant ID;NAME;errors",
        '"""c""";no guid;Älv;tenant_id: Enter a GUID: 32 hexadecimal digits with hyphens. (“no guid”)',
        f";{OTHER_TENANT};;name: Enter a value.",
    ]

    again = load(back, "--rejected", str(tmp_path / "third"))
    assert len(again.errors) == 2
    third = (tmp_path / "third" / "customers.csv").read_bytes().decode("utf-8-sig")
    assert third.splitlines() == rows, "the column of errors is not added twice"

    corrected = third.replace("no guid", UNKNOWN).replace(f"{OTHER_TENANT};;", f"{OTHER_TENANT};Alm;")
    (back / "customers.csv").write_text(corrected, encoding="utf-8-sig")
    loaded = load(back)
    assert "2 created" in loaded.out
    assert "errors" not in loaded.out
    assert sorted(Customer.objects.values_list("organisation__name", flat=True)) == ["Alm", "Ek", "Älv"]


def test_row_that_is_refused_late_comes_back_too(tmp_path: Path) -> None:
    load_one(tmp_path, "customers", customer())
    (tmp_path / "customers.csv").unlink()
    write(tmp_path, subscriptions=[subscription(), subscription(UNKNOWN, tenant_id=UNKNOWN), subscription(seats="9")])
    load(tmp_path, "--rejected", str(tmp_path / "back"))
    rows = (tmp_path / "back" / "subscriptions.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [row.split(",")[0] for row in rows] == ["subscription_id", UNKNOWN, SUBSCRIPTION]
    assert rows[1].endswith(',"tenant_id: No customer has this tenant ID, or the row for that customer failed."')
    assert rows[2].endswith("This line repeats line 2. Keep only one of them.")
    assert Subscription.objects.get().seats == 420


def test_row_that_cannot_be_split_comes_back_as_it_is(tmp_path: Path) -> None:
    content = b'tenant_id,name\nx,"Ek\nx,\xe5\n' + TENANT.encode() + b",Ek\n"
    (tmp_path / "customers.csv").write_bytes(content)
    load(tmp_path, "--rejected", str(tmp_path / "back"))
    rows = (tmp_path / "back" / "customers.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows[1].startswith('x,"Ek,The quotation marks')
    assert rows[2].startswith("x,\ufffd,The line is not in UTF-8.")
    assert len(rows) == 3


def test_nothing_comes_back_if_nothing_failed_or_the_header_did(tmp_path: Path) -> None:
    back = tmp_path / "back"
    write(tmp_path, customers=[customer()])
    assert load(tmp_path, "--rejected", str(back)).failure == ""
    (tmp_path / "customers.csv").write_text("colour\nred\n", encoding="utf-8")
    load(tmp_path, "--rejected", str(back))
    assert list(back.iterdir()) == []


def test_rejected_rows_overwrite_no_file(tmp_path: Path) -> None:
    write(tmp_path, customers=[customer("no guid")])
    before = (tmp_path / "customers.csv").read_bytes()
    failure = load(tmp_path, "--rejected", str(tmp_path)).failure
    assert failure.endswith("already holds customers.csv. Choose another folder for the rejected rows.")
    assert (tmp_path / "customers.csv").read_bytes() == before


def test_rows_to_correct_are_downloaded_and_uploaded_again(tmp_path: Path, settings: Any) -> None:
    directory = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(tmp_path / "kept")}}
    settings.STORAGES = settings.STORAGES | {"default": directory}
    web = signed_in(make_staff("programme_administrator"))

    def upload(*files: SimpleUploadedFile) -> Import:
        web.post("/a/loads/", {"file": files, "manner": "load"})
        running.run()
        return Import.objects.latest("pk")

    content = f"Tenant ID;Name\n{TENANT};Ek\nno guid;Alm\n".encode()
    first = upload(SimpleUploadedFile("customers (1).csv", content))
    page = web.get(f"/a/loads/{first.pk}/")
    assert "Download the rows to correct" in page.text
    answer = web.get(f"/a/loads/{first.pk}/?format=zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as packed:
        assert packed.namelist() == ["customers.csv"]
        rows = packed.read("customers.csv")
    again = upload(SimpleUploadedFile("customers.csv", rows.replace(b"no guid", OTHER_TENANT.encode())))
    assert (again.total.created, again.total.failed, again.rejected_file) == (1, 0, "")
    assert web.get(f"/a/loads/{again.pk}/?format=zip").status_code == 404
    assert Customer.objects.count() == 2

    Import.objects.update(ended_at=timezone.now() - timedelta(days=8))
    running.forget_rejected()
    first.refresh_from_db()
    assert (first.rejected_file, storages["default"].exists(f"load-errors/{first.pk}.zip")) == ("", False)
    assert "Download the rows to correct" not in web.get(f"/a/loads/{first.pk}/").text


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_rejected_rows_have_the_separator_that_was_sent(tmp_path: Path, separator: str) -> None:
    text = "\n".join(separator.join(row) for row in (["tenant_id", "name"], ["x", "Ek"]))
    (tmp_path / "customers.csv").write_text(text, encoding="utf-8")
    load(tmp_path, "--rejected", str(tmp_path / "back"))
    header = (tmp_path / "back" / "customers.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert header == separator.join(["tenant_id", "name", "errors"])
