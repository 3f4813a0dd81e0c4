from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from associations.models import Association
from por.accounts.models import Membership, Organisation, User
from por.directory.models import Customer, Partner, Subscription, Usage
from por.estate import loading
from por.history.actions import verify
from por.history.models import Event
from tests.estates import (
    OTHER_TENANT,
    TENANT,
    association,
    customer,
    load,
    load_one,
    partner,
    subscription,
    usage,
    write,
)

EVERYTHING = (Organisation, User, Membership, Partner, Customer, Subscription, Association, Usage)
HEADER = "tenant_id,name,domain,country,segment,contact_email,language"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """The five files, with good rows only."""
    return write(
        tmp_path,
        partners=[partner(contact_email="arvid@people.example")],
        customers=[customer(contact_email="elin@people.example")],
        subscriptions=[subscription()],
        associations=[association()],
        usage=[usage()],
    )


def made_estate(directory: Path, subscriptions: int = 60) -> Path:
    call_command("make_estate", str(directory), subscriptions=subscriptions, seed=5, stdout=StringIO())
    return directory


def content() -> list[list[dict[str, Any]]]:
    """Every row there is, but for keys and clocks, which two loads need not share."""
    own = {"id", "password", "date_joined", "attached_at", "known_from", "superseded_at"}
    rows = []
    for model in EVERYTHING:
        table = [{k: str(v) for k, v in row.items() if k not in own} for row in model._default_manager.values()]
        rows.append(sorted(table, key=str))
    return rows


def test_a_load_tells_of_each_file_and_how_fast_it_was(estate: Path) -> None:
    loaded = load(estate)
    assert (loaded.failure, loaded.err, loaded.errors) == ("", "", [])
    lines = loaded.out.splitlines()
    names = ["partners.csv:", "customers.csv:", "subscriptions.csv:", "usage.csv:", "associations.csv:"]
    assert [line.split()[0] for line in lines[:5]] == names
    assert {line.partition(":")[2].strip() for line in lines[:5]} == {"1 created, 0 changed, 0 unchanged, 0 failed"}
    assert lines[5].endswith("5 created, 0 changed, 0 unchanged, 0 failed")
    assert "rows per second" in lines[6]


def test_a_second_load_changes_nothing_and_says_so(tmp_path: Path) -> None:
    made_estate(tmp_path)
    assert load(tmp_path).failure == ""
    before, events = content(), Event.objects.count()
    again = load(tmp_path)
    assert "Nothing has changed." in again.out
    assert content() == before
    assert Event.objects.count() == events
    assert list(verify()) == []


def test_a_load_that_was_killed_and_is_repeated_ends_in_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = made_estate(tmp_path / "whole"), tmp_path / "part"
    part.mkdir()
    for name in ("partners", "customers", "subscriptions"):
        lines = (whole / f"{name}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        # A prefix: what stood in the batches that were committed. Rows may refer to some that are still to come.
        (part / f"{name}.csv").write_text("".join(lines[: len(lines) // 2 + 1]), encoding="utf-8")
    load(part)
    monkeypatch.setattr(loading, "BATCH", 7)  # and other edges between batches than those of the first try
    assert load(whole).failure == ""
    repeated = load(whole)
    assert "Nothing has changed." in repeated.out
    counts = [model._default_manager.count() for model in (Partner, Customer, Subscription, Association, Usage)]
    files = ("partners", "customers", "subscriptions", "associations", "usage")
    assert counts == [len((whole / f"{name}.csv").read_text(encoding="utf-8").splitlines()) - 1 for name in files]


def test_a_dry_run_reports_the_same_and_keeps_nothing(estate: Path) -> None:
    before = content()
    dry = load(estate, "--dry-run")
    assert content() == before
    assert not Event.objects.exists()
    wet = load(estate)
    assert dry.out.splitlines()[:6] == wet.out.splitlines()[:6]
    assert dry.out.splitlines()[-1] == "This was a dry run: nothing of it was kept."


def test_the_application_role_loads(estate: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)")
        name, is_superuser = cursor.fetchone()
    assert (name, is_superuser) == ("por_app", False)
    assert load(estate).failure == ""


def test_files_that_are_absent_are_left_out(tmp_path: Path) -> None:
    assert load_one(tmp_path, "customers", customer()).failure == ""
    assert Customer.objects.count() == 1


def test_a_folder_without_any_of_the_files_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds none of the files of an estate: partners\.csv, .*\.$"):
        call_command("load_estate", str(tmp_path / "nowhere"))


def test_a_file_of_errors_that_cannot_be_written_is_one_sentence(estate: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be written: .*\.$"):
        call_command("load_estate", str(estate), "--errors", str(estate / "no" / "errors.csv"))
    assert not Customer.objects.exists()


def test_only_one_load_runs_at_a_time(estate: Path) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('load of an estate'))")
            assert load(estate).failure == "Another load is running. Wait until it has ended."
            cursor.execute("SELECT pg_advisory_unlock(hashtext('load of an estate'))")
    finally:
        other.close()
    assert load(estate).failure == ""


def test_the_terminal_shows_the_first_rows_that_failed_and_the_file_has_all(tmp_path: Path) -> None:
    loaded = load_one(tmp_path, "customers", *(customer(f"bad {number}") for number in range(25)), customer())
    assert loaded.failure == "25 rows of 26 could not be loaded."
    shown = loaded.err.splitlines()
    assert len(shown) == 21
    assert shown[0].startswith("customers.csv, line 2, tenant_id: malformed_guid: ")
    assert shown[20] == "… and 5 more."
    assert len(loaded.errors) == 25
    assert loaded.errors[0] == {
        "file": "customers.csv",
        "line": "2",
        "column": "tenant_id",
        "code": "malformed_guid",
        "reason": loaded.errors[0]["reason"],
    }
    assert Customer.objects.count() == 1


def load_bytes(directory: Path, content: bytes) -> list[tuple[str, str, str]]:
    (directory / "customers.csv").write_bytes(content)
    return load(directory).codes


def test_a_byte_order_mark_and_other_line_ends_are_welcome(tmp_path: Path) -> None:
    row = f"{TENANT},Västerhamn Energi AB,,,,,\r\n"
    assert load_bytes(tmp_path, f"\ufeff{HEADER}\r\n{row}\r\n".encode()) == []
    assert Customer.objects.get().organisation.name == "Västerhamn Energi AB"


def test_columns_may_stand_in_any_order_and_cells_in_quotes(tmp_path: Path) -> None:
    header = ",".join(reversed(HEADER.split(",")))
    assert load_bytes(tmp_path, f'{header}\n,,,,,"Ek, Alm & ""Co""",{TENANT}\n'.encode()) == []
    assert Customer.objects.get().organisation.name == 'Ek, Alm & "Co"'


@pytest.mark.parametrize(
    "header",
    [
        "",
        HEADER.removesuffix(",language"),
        HEADER + ",colour",
        HEADER + ",name",
        HEADER.replace("name", "title"),
        HEADER.replace("name", "tenant_id"),
    ],
)
def test_a_wrong_header_costs_the_file(tmp_path: Path, header: str) -> None:
    assert load_bytes(tmp_path, f"{header}\n{TENANT},Name,,,,,\n".encode()) == [("1", "", "wrong_header")]
    assert not Customer.objects.exists()


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (f"{TENANT},Name,,,,\n".encode(), "", "wrong_number_of_cells"),
        (f"{TENANT},Name,,,,,,\n".encode(), "", "wrong_number_of_cells"),
        (f"{TENANT},N\xe5me,,,,,\n".encode("latin-1"), "", "not_utf8"),
        (f"{TENANT},Na\0me,,,,,\n".encode(), "name", "control_character"),
        (f'{TENANT},"Name,,,,,\n'.encode(), "", "bad_quoting"),
        (f'{TENANT},"Na"me,,,,,\n'.encode(), "", "bad_quoting"),
        (TENANT.encode() + b"," + b"n" * 70_000 + b",,,,,\n", "", "line_too_long"),
    ],
)
def test_a_broken_row_costs_only_itself(tmp_path: Path, row: bytes, column: str, code: str) -> None:
    content = f"{HEADER}\n".encode() + row + f"{OTHER_TENANT},Next,,,,,\n".encode()
    assert load_bytes(tmp_path, content) == [("2", column, code)]
    assert Customer.objects.get().organisation.name == "Next"


def test_files_in_error_leave_the_others_alone(estate: Path) -> None:
    (estate / "usage.csv").write_bytes(b"nonsense")
    loaded = load(estate)
    assert loaded.failure == "1 row of 5 could not be loaded."
    assert Association.objects.count() == 1


CODE = re.compile(r'Unfit\(\s*(?:column|"\w*"),\s*"(\w+)"')


def test_every_code_is_explained() -> None:
    """Programs rely on the codes, so each that the source knows stands in the documentation, and no other."""
    root = Path(__file__).parents[3]
    sources = [*(root / "por/estate").glob("*.py"), *(root / "por/directory/estate").glob("*.py")]
    found = {"unknown_partner", "unknown_customer", "unknown_subscription"}
    for source in [*sources, root / "associations/estate.py"]:
        found |= set(CODE.findall(source.read_text(encoding="utf-8")))
    _columns, codes = (root / "docs/estates.md").read_text(encoding="utf-8").split("## Codes of failed rows")
    explained = re.findall(r"^\| `(\w+)` \|", codes, re.MULTILINE)
    assert sorted(explained) == sorted(found)
