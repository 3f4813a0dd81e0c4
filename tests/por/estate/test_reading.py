"""A bad line costs itself only, and says where and why it is bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from por.directory.models import Customer
from tests.estates import LINES, TENANT, load, write

HEADER = ",".join(LINES["customers"])
GOOD = f"{TENANT},Västerhamn Energi AB,vasterhamn.example,SE,enterprise,,sv"
OTHER = "d23f0824-128b-4f33-8c5c-7fd0a6a3a450"


def file_of(directory: Path, content: bytes) -> None:
    (directory / "customers.csv").write_bytes(content)


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        (OTHER.encode() + b",Alm,,SE", "", "wrong_number_of_cells"),
        (OTHER.encode() + b",Alm,,SE,enterprise,,sv,more", "", "wrong_number_of_cells"),
        (OTHER.encode() + b',"Alm,,SE,enterprise,,sv', "", "bad_quoting"),
        (OTHER.encode() + b',"Alm"x,,SE,enterprise,,sv', "", "bad_quoting"),
        (OTHER.encode() + b",V\xe4sterhamn,,SE,enterprise,,sv", "", "not_utf8"),
        (OTHER.encode() + b"," + b"a" * 10_000_000 + b",,SE,enterprise,,sv", "", "line_too_long"),
        (OTHER.encode() + b"," + b"a" * 201 + b",,SE,enterprise,,sv", "name", "too_long"),
        (OTHER.encode() + b",Alm\x00vik,,SE,enterprise,,sv", "name", "control_character"),
        (OTHER.encode() + b",=1+1,,SE,enterprise,,sv", "name", "formula"),
        (OTHER.encode() + b",,,SE,enterprise,,sv", "name", "missing_value"),
        (b",Alm,,SE,enterprise,,sv", "tenant_id", "missing_value"),
        (b"12,Alm,,SE,enterprise,,sv", "tenant_id", "not_a_guid"),
        (OTHER.encode() + b",Alm,,Sweden,enterprise,,sv", "country", "not_a_country"),
        (OTHER.encode() + b",Alm,,SE,huge,,sv", "segment", "unknown_value"),
        (OTHER.encode() + b",Alm,,SE,enterprise,nobody,sv", "contact_email", "not_an_email"),
        (OTHER.encode() + b",Alm,,SE,enterprise,,xx", "language", "unknown_value"),
        (GOOD.encode(), "", "duplicate_key"),
    ],
)
def test_a_bad_line_is_named_and_skips_only_itself(tmp_path: Path, line: bytes, column: str, code: str) -> None:
    last = GOOD.replace(TENANT, "9531985d-5d9d-49f8-9818-e811892f902b").encode()
    file_of(tmp_path, b"\n".join([HEADER.encode(), GOOD.encode(), line, last, b""]))
    assert load(tmp_path).errors == [("customers.csv", 3, column, code)]
    assert Customer.objects.count() == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "wrong_header"),
        (b"tenant_id,name\n", "wrong_header"),
        (HEADER.encode() + b",more\n", "wrong_header"),
        ((HEADER + "\n").encode("utf-16"), "not_utf8"),
        (bytes(range(256)), "not_utf8"),
    ],
)
def test_a_file_that_is_not_of_an_estate_is_refused_at_its_first_line(
    tmp_path: Path, content: bytes, code: str
) -> None:
    file_of(tmp_path, content)
    assert load(tmp_path).errors == [("customers.csv", 1, "", code)]


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}\n{GOOD}\n",
        f"{HEADER}\r\n{GOOD}\r\n",
        f"{HEADER}\n\n{GOOD}",
        "name,tenant_id,domain,country,segment,contact_email,language\n" + f' "A, B" ,{TENANT},,,,,\n',
    ],
)
def test_what_spreadsheets_do_to_a_file_does_no_harm(tmp_path: Path, content: str) -> None:
    file_of(tmp_path, content.encode())
    assert load(tmp_path).errors == []
    assert Customer.objects.get().tenant_id.hex == TENANT.replace("-", "")


def test_a_partner_may_stand_before_the_account_above_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        partners=[{"parent_mpn_id": "4471000"}, {"mpn_id": "4471000", "kind": "global", "name": "Nordvik Group"}],
    )
    assert load(tmp_path).errors == []
