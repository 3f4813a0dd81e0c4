from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError
from django.db import connection, transaction
from django.utils import timezone

from associations.claims.models import Claim
from associations.record.models import Association
from competencies.models import Holding
from por.accounts.models import Membership, Organisation, User
from por.directory.models import (
    Consumption,
    Credential,
    Customer,
    Enrolment,
    Partner,
    Revenue,
    Subscription,
    Usage,
)
from por.history.actions.verifying import verify
from por.history.models import Event
from por.imports import loading, staging, whole
from por.imports.loading import File, only_import
from por.ops import checks
from tests.databases import clear_statistics
from tests.estates import (
    GLOBAL,
    OTHER_SUBSCRIPTION,
    OTHER_TENANT,
    PARTNER,
    RIVAL,
    SUBSCRIPTION,
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
from tests.rivals import end_lock

EVERYTHING = (Organisation, User, Membership, Partner, Customer, Subscription, Association, Usage)
HEADER = "tenant_id,name,domain,country,segment,contact_email,language"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Write the five files, with valid rows only; return their directory."""
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
    """Return every row, without keys and times, which may differ between two imports."""
    own = {"id", "password", "date_joined", "attached_at", "known_from", "superseded_at"}
    rows = []
    for model in EVERYTHING:
        table = [{k: str(v) for k, v in row.items() if k not in own} for row in model._default_manager.values()]
        rows.append(sorted(table, key=str))
    return rows


def test_import_reports_each_file_and_its_speed(estate: Path) -> None:
    loaded = load(estate)
    assert (loaded.failure, loaded.err, loaded.errors) == ("", "", [])
    lines = loaded.out.splitlines()
    names = ["partners.csv:", "customers.csv:", "subscriptions.csv:", "usage.csv:", "associations.csv:"]
    assert [line.split()[0] for line in lines[:5]] == names
    assert {line.partition(":")[2].strip() for line in lines[:5]} == {"1 created, 0 changed, 0 unchanged, 0 failed"}
    assert lines[5].endswith("5 created, 0 changed, 0 unchanged, 0 failed")
    assert "rows per second" in lines[6]


def test_second_import_changes_nothing_and_reports_that(tmp_path: Path) -> None:
    made_estate(tmp_path)
    assert load(tmp_path).failure == ""
    before, events = content(), Event.objects.count()
    again = load(tmp_path)
    assert "Nothing has changed." in again.out
    assert content() == before
    assert Event.objects.count() == events
    assert list(verify()) == []


def test_killed_import_that_is_repeated_ends_in_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete, part = made_estate(tmp_path / "complete"), tmp_path / "part"
    part.mkdir()
    for name in ("partners", "customers", "subscriptions"):
        lines = (complete / f"{name}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        # A prefix, as if only the first batches were committed. Its rows may refer to rows that are missing.
        (part / f"{name}.csv").write_text("".join(lines[: len(lines) // 2 + 1]), encoding="utf-8")
    load(part)
    monkeypatch.setattr(loading, "BATCH", 7)  # so that batches end at other rows than in the first try
    assert load(complete).failure == ""
    repeated = load(complete)
    assert "Nothing has changed." in repeated.out
    models = (Partner, Customer, Subscription, Usage, Claim, Credential, Holding, Revenue, Consumption)
    counts = [model._default_manager.count() for model in models]
    counts.append(Association.objects.filter(program="").count())  # the others are of claims
    files = (
        *("partners", "customers", "subscriptions", "usage", "claims", "credentials", "holdings", "revenue"),
        *("consumption", "associations"),
    )
    assert counts == [len((complete / f"{name}.csv").read_text(encoding="utf-8").splitlines()) - 1 for name in files]


def test_dry_run_reports_the_same_and_saves_nothing(estate: Path) -> None:
    before = content()
    dry = load(estate, "--dry-run")
    assert content() == before
    assert not Event.objects.exists()
    wet = load(estate)
    assert dry.out.splitlines()[:6] == wet.out.splitlines()[:6]
    assert dry.out.splitlines()[-1] == "This was a dry run, so nothing was saved."


def test_role_of_the_worker_can_import(estate: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)")
        name, is_superuser = cursor.fetchone()
    assert (name, is_superuser) == ("por_worker", False)
    assert load(estate).failure == ""


FILLED = {"directory_partner", "directory_customer", "directory_subscription", "associations_association"}


def tables_with_statistics() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tablename FROM pg_stats WHERE tablename = ANY(%s)", [list(FILLED)])
        return {name for (name,) in cursor.fetchall()}


def test_import_leaves_statistics_of_the_tables_it_filled(estate: Path) -> None:
    clear_statistics(*FILLED)
    before = tables_with_statistics()
    assert load(estate).failure == ""
    assert (before, tables_with_statistics()) == (set(), FILLED)


def test_import_leaves_out_the_statistics_of_a_table_that_is_in_use(estate: Path) -> None:
    clear_statistics(*FILLED)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE directory_subscription IN SHARE UPDATE EXCLUSIVE MODE")  # as autovacuum does
            assert load(estate).failure == ""
            assert tables_with_statistics() == FILLED - {"directory_subscription"}
        other.rollback()
    finally:
        other.close()


@pytest.mark.django_db(transaction=True)
def test_batches_do_not_wait_for_the_disk_but_the_events_after_them_do(
    estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit of the events is on disk, and with it all commits before. The servers of the tests wait for none."""
    found: dict[str, set[tuple[str, bool]]] = {"batch": set(), "events": set()}

    def noted(step: str, call: Callable[..., None]) -> Callable[..., None]:
        def noting(*given: Any, **more: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT setting, source = 'session' FROM pg_settings WHERE name = 'synchronous_commit'")
                if more.get("events", True):
                    found[step].add(cursor.fetchone())
            call(*given, **more)

        return noting

    monkeypatch.setattr(loading, "_count", noted("batch", loading._count))
    monkeypatch.setattr(loading.history, "record_each", noted("events", loading.history.record_each))
    assert load(estate).failure == ""
    assert found == {"batch": {("off", True)}, "events": {("off", False)}}, "whether the import has set it"


def test_import_is_refused_with_the_wrong_driver(estate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs our own checks, without Django's."""
    monkeypatch.setattr(checks, "find_spec", lambda name: object())
    with pytest.raises(SystemCheckError, match=r"por\.E001"):
        call_command("load_estate", str(estate), skip_checks=False)


def test_missing_files_are_skipped(tmp_path: Path) -> None:
    assert load_one(tmp_path, "customers", customer()).failure == ""
    assert Customer.objects.count() == 1


def test_folder_without_any_of_the_files_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds none of the files of an estate: partners\.csv, .*\.$"):
        call_command("load_estate", str(tmp_path / "nowhere"))


def test_file_of_errors_that_cannot_be_written_is_reported(estate: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be written: .*\.$"):
        call_command("load_estate", str(estate), "--errors", str(estate / "no" / "errors.csv"))
    assert not Customer.objects.exists()


def test_only_one_import_runs_at_a_time(estate: Path) -> None:
    with only_import():
        assert load(estate).failure == "Another import is running. Wait until it finishes."
    assert load(estate).failure == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["fill", "_count", "_record"])
def test_import_that_has_lost_its_lock_saves_nothing_more(estate: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    """Another import may have the lock by now, and all use the same tables for the lines of a file."""
    place: Any = staging.Staged if step == "fill" else loading
    call = getattr(place, step)

    def lost(*given: Any) -> None:
        end_lock("load of an estate")
        call(*given)

    with monkeypatch.context() as patched:
        patched.setattr(place, step, lost)
        assert load(estate).failure.startswith("The database stopped the import")
    assert not Event.objects.exists()
    assert Partner.objects.exists() == (step == "_record")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM estate_staged_partners")
        assert bool(cursor.fetchone()[0]) == (step == "_count")
    assert load(estate).failure == ""


def test_terminal_shows_the_first_failed_rows_and_the_file_has_all(tmp_path: Path) -> None:
    loaded = load_one(tmp_path, "customers", *(customer(f"bad {number}") for number in range(25)), customer())
    assert loaded.failure == "25 rows of 26 could not be imported."
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
        "value": "bad 0",
    }
    assert Customer.objects.count() == 1


def load_bytes(directory: Path, content: bytes) -> list[tuple[str, str, str]]:
    (directory / "customers.csv").write_bytes(content)
    return load(directory).codes


def test_byte_order_mark_and_other_line_ends_are_accepted(tmp_path: Path) -> None:
    row = f"{TENANT},Västerhamn Energi AB,,,,,\r\n"
    assert load_bytes(tmp_path, f"\ufeff{HEADER}\r\n{row}\r\n".encode()) == []
    assert Customer.objects.get().organisation.name == "Västerhamn Energi AB"


def test_columns_may_be_in_any_order_and_cells_in_quotes(tmp_path: Path) -> None:
    header = ",".join(reversed(HEADER.split(",")))
    assert load_bytes(tmp_path, f'{header}\n,,,,,"Ek, Alm & ""Co""",{TENANT}\n'.encode()) == []
    assert Customer.objects.get().organisation.name == 'Ek, Alm & "Co"'


@pytest.mark.parametrize(
    "header",
    [
        "",
        HEADER.replace("domain", "domian"),
        HEADER + ",name",
        HEADER.replace("name", "title"),
        HEADER.replace("name", "tenant_id"),
    ],
)
def test_wrong_header_refuses_the_file(tmp_path: Path, header: str) -> None:
    assert load_bytes(tmp_path, f"{header}\n{TENANT},Name,,,,,\n".encode()) == [("1", "", "wrong_header")]
    assert not Customer.objects.exists()


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (f"{TENANT},Name,,,,\n".encode(), "", "wrong_number_of_cells"),
        (f"{TENANT},Name,,,,,,more\n".encode(), "", "wrong_number_of_cells"),
        (f"{TENANT},N\xe5me,,,,,\n".encode("latin-1"), "", "not_utf8"),
        (f"{TENANT},Na\0me,,,,,\n".encode(), "name", "control_character"),
        (f'{TENANT},"Name,,,,,\n'.encode(), "", "bad_quoting"),
        (f'{TENANT},"Na"me,,,,,\n'.encode(), "", "bad_quoting"),
        (TENANT.encode() + b"," + b"n" * 70_000 + b",,,,,\n", "", "line_too_long"),
    ],
)
def test_broken_row_affects_only_itself(tmp_path: Path, row: bytes, column: str, code: str) -> None:
    content = f"{HEADER}\n".encode() + row + f"{OTHER_TENANT},Next,,,,,\n".encode()
    assert load_bytes(tmp_path, content) == [("2", column, code)]
    assert Customer.objects.get().organisation.name == "Next"


def test_empty_file_has_the_wrong_header(tmp_path: Path) -> None:
    assert load_bytes(tmp_path, b"") == [("1", "", "wrong_header")]


def test_broken_file_does_not_affect_the_others(estate: Path) -> None:
    (estate / "usage.csv").write_bytes(b"nonsense")
    loaded = load(estate)
    assert loaded.failure == "1 row of 5 could not be imported."
    assert Association.objects.count() == 1


S, S2, T, T2, P, P2, G = SUBSCRIPTION, OTHER_SUBSCRIPTION, TENANT, OTHER_TENANT, PARTNER, RIVAL, GLOBAL
Z = "0000000f-0000-4000-8000-000000000000"  # no row has it


def new(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


#: For each file its valid lines, then one line of each invalid kind with its column and code.
BAD: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "skus": (
        [f"NEW_SKU,{new(31)},New,PLAN,{new(32)},Plan"],
        [
            (f"NEW_SKU,{new(31)},New,PLAN,{new(32)},Plan", " duplicate_row"),
            (f"NEW_SKU,,New,PLAN,{new(33)},Plan", "sku_id missing_value"),
            (f"NEW_SKU,{new(34)},,PLAN,{new(33)},Plan", "sku_name missing_value"),
        ],
    ),
    "partners": (
        [
            f"{G},Group,global,,,,,active,,,",
            f"{P},Nordvik,location,{G},,,,active,,,",
            f"{P2},Rival,location,,,,,active,,,",
        ],
        [
            (f"{P},Again,location,,,,,active,,,", " duplicate_row"),
            ("4001,No status,location,,,,,,,,", "status missing_value"),
            ("400,Short,location,,,,,active,,,", "mpn_id mpn_id_malformed"),
            ("4002,Kind,office,,,,,active,,,", "kind unknown_value"),
            ("4003,Orphan,location,9999999,,,,active,,,", "parent_mpn_id parent_not_found"),
            (f"4004,Below a location,location,{P},,,,active,,,", "parent_mpn_id parent_is_not_global"),
            (f"4005,Global below,global,{G},,,,active,,,", "parent_mpn_id parent_of_global"),
            ("4006,Circle,location,4007,,,,active,,,", "parent_mpn_id cycle_of_parents"),
            ("4007,Circle,location,4006,,,,active,,,", "parent_mpn_id cycle_of_parents"),
            ("4008,=1+1,location,,,,,active,,,", "name formula_cell"),
            ("4009,Country,location,,,Swedeland,,active,,,", "country malformed_country"),
            ("4010,Mail,location,,,,,active,nobody,,", "contact_email malformed_email"),
        ],
    ),
    "customers": (
        [f"{T},Ek AB,,,,,", f"{T2},Alm AB,,,,,"],
        [
            ("not-a-guid,Name,,,,,", "tenant_id malformed_guid"),
            (f"{new(1)},{'n' * 201},,,,,", "name too_long"),
            (f"{new(1)},Na\x07me,,,,,", "name control_character"),
            (f'{new(1)},"Name,,,,,', " bad_quoting"),
            (f'{new(1)},"Na"me,,,,,', " bad_quoting"),
            (f"{new(1)},Name,,,,", " wrong_number_of_cells"),
            (f"{new(1)},{'n' * 10_000_000},,,,,", " line_too_long"),
            (f"{new(1)},N\udce5me,,,,,", " not_utf8"),
        ],
    ),
    "subscriptions": (
        [f"{S},{T},office365,,EA,10,0,2024-07-01,,active,", f"{S2},{T},azure,,EA,,0,2020-01-01,2023-01-01,expired,"],
        [
            (f"{new(1)},{T},office365,=1+1,EA,10,0,2024-07-01,,active,", "sku_string_id formula_cell"),
            (f"{new(2)},{Z},office365,,EA,10,0,2024-07-01,,active,", "tenant_id unknown_customer"),
            (f"{new(3)},{T},office365,,EA,10.5,0,2024-07-01,,active,", "seats malformed_number"),
            (f"{new(4)},{T},office365,,EA,10,0,2024-02-30,,active,", "started_on malformed_date"),
            (f"{new(5)},{T},office365,,EA,10,0,01/07/2024,,active,", "started_on malformed_date"),
            (f"{new(6)},{T},office365,,EA,10,0,2024-07-01,2024-06-30,active,", "renews_on renews_before_start"),
            (f"{new(7)},{T},office365,,EA,10,perhaps,2024-07-01,,active,", "trial unknown_value"),
            (
                f"{new(8)},{T},office365,,EA,10,0,2024-07-01,,active,{Z}",
                "replaces_subscription_id unknown_subscription",
            ),
            (
                f"{Z},{T2},office365,,EA,10,0,2024-07-01,,active,{S}",
                "replaces_subscription_id replaced_of_another_customer",
            ),
            (
                f"{new(17)},{T},ems,,EA,,0,2024-07-01,,active,{new(18)}",
                "replaces_subscription_id cycle_of_replacements",
            ),
            (
                f"{new(18)},{T},ems,,EA,,0,2024-07-01,,active,{new(17)}",
                "replaces_subscription_id cycle_of_replacements",
            ),
        ],
    ),
    "usage": (
        [f"2025-03,{S},exo,10,5,"],
        [
            (f"2025-13,{S},exo,10,5,", "month malformed_month"),
            (f"2025-03-15,{S},exo,10,5,", "month malformed_month"),
            (f"2013-12,{S},exo,10,5,", "month month_out_of_range"),
            (f"2035-12,{S},exo,10,5,", "month month_in_future"),
            (f"2024-06,{S},exo,10,5,", "month month_before_start"),
            (f"2025-03,{Z},exo,10,5,", "subscription_id unknown_subscription"),
            (f"2025-03,{S},spo,,,", "paid_units missing_value"),
            (f"2025-03,{S},azure,,,12.345", "consumed_usd malformed_number"),
            (f"2025-03,{S},azure,,,some", "consumed_usd malformed_number"),
            (f"2025-03,{S},exo,10,6,", " duplicate_row"),
        ],
    ),
    "enrolments": (
        [f"{P},incentive.osu_m365,2024-07-01,,"],
        [
            (f"{P},incentive.osu_m365,2024-07-02,,", " duplicate_row"),
            (f"{P},osu_m365,2024-07-01,,", "program program_malformed"),
            (f"{P},,2024-07-01,,", "program missing_value"),
            (f"{G},incentive.osa_sell,2024-07-01,,", "mpn_id partner_is_global"),
            ("9999999,incentive.osa_sell,2024-07-01,,", "mpn_id unknown_partner"),
            (f"{P},incentive.osa_sell,2024-07-01,2999-01-01,", "bank_ok_on day_in_future"),
            (f"{P},incentive.osa_sell,soon,,", "agreement_signed_on malformed_date"),
        ],
    ),
    "credentials": (
        [f"Tove Lind,{P},exam:70-347,2024-07-01,2026-06-30"],
        [
            (f"Tove Lind,{P},exam:70-347,2024-07-01,", " duplicate_row"),
            (f",{P},exam:70-346,2024-07-01,", "person missing_value"),
            (f"{'n' * 201},{P},exam:70-346,2024-07-01,", "person too_long"),
            (f"=Tove,{P},exam:70-346,2024-07-01,", "person formula_cell"),
            (f"Tove Lind,{G},exam:70-346,2024-07-01,", "mpn_id partner_is_global"),
            ("Tove Lind,9999999,exam:70-346,2024-07-01,", "mpn_id unknown_partner"),
            (f"Tove Lind,{P},70-346,2024-07-01,", "credential credential_malformed"),
            (f"Tove Lind,{P},exam:{'7' * 41},2024-07-01,", "credential credential_malformed"),
            (f"Tove Lind,{P},,2024-07-01,", "credential missing_value"),
            (f"Tove Lind,{P},exam:70-346,,", "valid_from missing_value"),
            (f"Tove Lind,{P},exam:70-346,2024-02-30,", "valid_from malformed_date"),
            (f"Tove Lind,{P},exam:70-346,2999-01-01,", "valid_from day_far_ahead"),
            (f"Tove Lind,{P},exam:70-346,2024-07-01,2024-06-30", "valid_to ends_before_it_begins"),
        ],
    ),
    "revenue": (
        [f"2025-03,{S},12.5,EUR,total"],
        [
            (f"2025-03,{S},13,EUR,total", " duplicate_row"),
            (f"2025-13,{S},12.5,EUR,total", "month malformed_month"),
            (f"2013-12,{S},12.5,EUR,total", "month month_out_of_range"),
            (f"2035-12,{S},12.5,EUR,total", "month month_in_future"),
            (f"2024-06,{S},12.5,EUR,total", "month month_before_start"),
            (f"2025-03,{Z},12.5,EUR,total", "subscription_id unknown_subscription"),
            (f"2025-04,{S},much,EUR,total", "amount malformed_number"),
            (f"2025-04,{S},,EUR,total", "amount missing_value"),
            (f"2025-04,{S},1234567890123,EUR,total", "amount malformed_number"),
            (f"2025-04,{S},12.5,€,total", "currency malformed_currency"),
            (f"2025-04,{S},12.5,ABC,total", "currency malformed_currency"),
            (f"2025-04,{S},12.5,,total", "currency missing_value"),
            (f"2025-04,{S},12.5,EUR,profit", "kind unknown_value"),
            (f"2025-04,{S},12.5,EUR,", "kind missing_value"),
        ],
    ),
    "consumption": (
        [f"2025-03,{S},Azure App Service,12.5"],
        [
            (f"2025-03,{S},Azure App Service,13", " duplicate_row"),
            (f"March,{S},Azure App Service,12.5", "month malformed_month"),
            (f"2035-12,{S},Azure App Service,12.5", "month month_in_future"),
            (f"2024-06,{S},Azure App Service,12.5", "month month_before_start"),
            (f"2025-03,{Z},Azure App Service,12.5", "subscription_id unknown_subscription"),
            ("2025-03,S-1,Azure App Service,12.5", "subscription_id malformed_guid"),
            (f"2025-04,{S},,12.5", "service missing_value"),
            (f"2025-04,{S},{'s' * 101},12.5", "service too_long"),
            (f"2025-04,{S},=Azure,12.5", "service formula_cell"),
            (f"2025-04,{S},Azure App Service,", "amount_usd missing_value"),
            (f"2025-04,{S},Azure App Service,1e", "amount_usd malformed_number"),
        ],
    ),
    "holdings": (
        [f"{P},competency.smcs,silver,2025-06-30,2024-07-01", f"{G},pcs.modern_work,qualified,2025-06-30,"],
        [
            (f"{P},competency.smcs,gold,2025-06-30,2024-07-01", " duplicate_row"),
            ("9999999,competency.smcs,silver,2026-06-30,", "mpn_id unknown_partner"),
            (f"{P},smcs,silver,2026-06-30,", "program program_malformed"),
            (f"{P},competency.Small Business,silver,2026-06-30,", "program program_malformed"),
            (f"{P},competency.{'s' * 60},silver,2026-06-30,", "program program_malformed"),
            (f"{P},,silver,2026-06-30,", "program missing_value"),
            (f"{P},competency.smcs,bronze,2026-06-30,", "level unknown_value"),
            (f"{P},competency.smcs,,2026-06-30,", "level missing_value"),
            (f"{P},competency.smcs,silver,,", "anniversary_on missing_value"),
            (f"{P},competency.smcs,silver,2999-01-01,", "anniversary_on anniversary_far_ahead"),
            (f"{P},competency.smcs,silver,2024-06-30,2024-07-01", "fee_paid_on fee_after_anniversary"),
            (f"{P},competency.smcs,silver,2024-06-30,2999-07-01", "fee_paid_on day_in_future"),
            (f"{P},competency.smcs,silver,2024-06-30,soon", "fee_paid_on malformed_date"),
        ],
    ),
    "associations": (
        [f"{S},,{P},dpor,2024-08-01,2025-01-01", f",{T},{P},pal,2024-08-01,"],
        [
            (f"{S},{T},{P},transacting,2024-08-01,", "subscription_id one_of_subscription_and_tenant"),
            (f",,{P},transacting,2024-08-01,", "subscription_id one_of_subscription_and_tenant"),
            (f",{T},{P},transacting,2024-08-01,", "tenant_id wrong_unit_for_kind"),
            (f"{S},,{P},pal,2024-08-01,", "subscription_id wrong_unit_for_kind"),
            (f"{S},,{G},transacting,2024-08-01,", "mpn_id partner_is_global"),
            (f"{S},,9999999,transacting,2024-08-01,", "mpn_id unknown_partner"),
            (f"{S},,{P},transacting,2024-06-30,", "began_on began_before_subscription"),
            (f"{S},,{P},transacting,2999-01-01,", "began_on began_in_future"),
            (f"{S},,{P},csp,2024-08-01,2024-08-01", "ended_on ended_not_after_began"),
            (f"{S},,{P2},dpor,2024-12-31,", "began_on overlaps_another_period"),
            (f"{S},,{P2},osa_form,2024-08-01,", "kind digital_only"),
            (f"{S},,{P},cpor,2024-08-01,", "kind cpor_comes_from_claims"),
            (f",{T},{P},claiming partner of record,2024-08-01,", "kind cpor_comes_from_claims"),
        ],
    ),
    "claims": (
        [f"CPR-1,Mail FRP Migrated FRP,{P},{T},osu_m365,exo;teams,,2024-08-01"],
        [
            (f"CPR-1,Mail,{P},{T},osu_m365,spo,,2024-08-01", " duplicate_row"),
            (f",Mail,{P},{T},osu_m365,spo,,2024-08-01", "claim_number missing_value"),
            (f"CPR-2,,{P},{T},osu_m365,spo,,2024-08-01", "name missing_value"),
            (f"CPR-3,Mail,{G},{T},osu_m365,spo,,2024-08-01", "mpn_id partner_is_global"),
            (f"CPR-4,Mail,9999999,{T},osu_m365,spo,,2024-08-01", "mpn_id unknown_partner"),
            (f"CPR-5,Mail,{P},{Z},osu_m365,spo,,2024-08-01", "tenant_id unknown_customer"),
            (f"CPR-6,Mail,{P},{T},osu,spo,,2024-08-01", "program unknown_value"),
            (f"CPR-7,Mail,{P},{T},osu_m365,mail,,2024-08-01", "workloads unknown_workload"),
            (f"CPR-8,Mail,{P},{T},osu_m365,spo;SharePoint,,2024-08-01", "workloads unit_twice"),
            (f"CPR-9,Mail,{P},{T},osu_m365,,,2024-08-01", "workloads missing_value"),
            (f"CPR-10,Mail,{P},{T},osu_m365,crm,,2024-08-01", "workloads wrong_unit_for_program"),
            (f"CPR-11,Mail,{P},{T},osu_m365,spo,{S},2024-08-01", "subscription_ids wrong_unit_for_program"),
            (f"CPR-12,CRM,{P},{T},osu_bizapps,,{S},2024-08-01", "subscription_ids wrong_unit_for_program"),
            (f"CPR-13,CRM,{P},{T},osu_bizapps,,CRM Online,2024-08-01", "subscription_ids malformed_guid"),
            (f"CPR-14,CRM,{P},{T},osa_sell,,{Z},2024-08-01", "subscription_ids unknown_subscription"),
            (f"CPR-15,CRM,{P},{T2},osa_sell,,{S},2024-08-01", "subscription_ids not_on_tenant"),
            (f"CPR-16,CRM,{P},{T},osa_sell,,{S},2024-06-30", "approved_on began_before_subscription"),
            (f"CPR-17,Mail,{P},{T},osu_m365,spo,,2999-01-01", "approved_on day_in_future"),
            (f"CPR-18,Mail,{P2},{T},osu_m365,spo;exo,,2024-08-02", "approved_on overlaps_another_period"),
        ],
    ),
}


def test_every_kind_of_bad_line_has_its_reason_and_affects_only_itself(tmp_path: Path) -> None:
    wanted, good = [], 0
    for file in whole.files():
        fit, bad = BAD[file.stem]
        lines = [file.header, *fit, *(line for line, _code in bad)]
        content = "\n".join(lines).encode("utf-8", "surrogateescape")  # \udce5 is the byte E5
        (tmp_path / file.name).write_bytes(content)
        good += len(fit)
        wanted += [(file.name, str(place), *code.split(" ")) for place, (_l, code) in enumerate(bad, len(fit) + 2)]
    loaded = load(tmp_path)
    found = [(row["file"], row["line"], row["column"], row["code"]) for row in loaded.errors]
    assert sorted(found) == sorted(wanted)
    assert len({(file, *what) for file, _line, *what in found}) >= 40
    assert f"{good} created, 0 changed, 0 unchanged, {len(wanted)} failed" in loaded.out
    assert all(row["reason"].endswith(".") for row in loaded.errors)


CODE = re.compile(r'(?:Unfit|refuse)\(\s*(?:column|"\w*"),\s*"(\w+)"')


def test_every_code_is_documented() -> None:
    """The documentation must list each code in the source and no other, because programs rely on the codes."""
    root = Path(__file__).parents[3]
    rooms = ("por/imports", "por/directory/imports", "associations/claims/imports", "competencies")
    sources = [source for room in rooms for source in (root / room).glob("*.py")]
    found = {"unknown_partner", "unknown_customer", "unknown_subscription"}
    for source in [*sources, root / "associations/imports.py", root / "associations/merging.py"]:
        found |= set(CODE.findall(source.read_text(encoding="utf-8")))
    _columns, codes = (root / "docs/estates.md").read_text(encoding="utf-8").split("## Codes of failed rows")
    explained = re.findall(r"^\| `(\w+)` \|", codes, re.MULTILINE)
    assert sorted(explained) == sorted(found)


# --- Merging in batches and line by line ----------------------------------------------------------------------------


def rows_and_events() -> dict[str, list[tuple[Any, ...]]]:
    """Return every row, by its names in the files, with all values that two imports must have in common."""
    return {
        "partners": rows_of(Partner, "mpn_id", "organisation__name", "organisation__parent__number", "status", "city"),
        "customers": rows_of(Customer, "tenant_id", "organisation__name", "domain", "segment"),
        "people": rows_of(Membership, "user__email", "user__name", "organisation__number", "role"),
        "subscriptions": rows_of(
            Subscription,
            *("subscription_id", "customer__tenant_id", "product", "sku__string_id", "agreement", "seats", "is_trial"),
            *("started_on", "renews_on", "status", "replaces__subscription_id", "version"),
        ),
        "usage": rows_of(
            Usage,
            *("subscription__subscription_id", "month", "workload", "revision", "paid_units", "active_users"),
            "consumed_usd",
        ),
        "revenue": rows_of(Revenue, "subscription__subscription_id", "month", "kind", "revision", "amount", "currency"),
        "consumption": rows_of(
            Consumption, "subscription__subscription_id", "month", "service", "revision", "amount_usd"
        ),
        "credentials": rows_of(Credential, "person", "partner__mpn_id", "credential", "valid_from", "valid_to"),
        "enrolments": rows_of(
            Enrolment, "partner__mpn_id", "program", "agreement_signed_on", "bank_ok_on", "tax_ok_on"
        ),
        "holdings": rows_of(Holding, "partner__mpn_id", "program", "level", "anniversary_on", "fee_paid_on"),
        "associations": rows_of(
            Association,
            *("subscription__subscription_id", "customer__tenant_id", "partner__mpn_id", "kind", "began_at"),
            *("ended_at", "end_reason", "source", "program", "role", "workload", "claim_number", "undone_at"),
        ),
        "claims": rows_of(
            Claim,
            *("number", "name", "partner__mpn_id", "customer__tenant_id", "program", "role", "status", "consent"),
            *("approved_at", "version", "units__workload", "units__subscription__subscription_id"),
        ),
        "events": event_counts(),
    }


def rows_of(model: Any, *fields: str) -> list[tuple[Any, ...]]:
    return sorted(model._default_manager.values_list(*fields), key=str)


def event_counts() -> list[tuple[Any, ...]]:
    """Return the counts of created and changed rows in the events, by organisation and file."""
    names = {f"organisation:{pk}": number for pk, number in Organisation.objects.values_list("pk", "number")}
    counts: Counter[tuple[Any, ...]] = Counter()
    for event in Event.objects.filter(verb="estate.loaded"):
        for what in ("created", "changed"):
            counts[names[event.chain], event.object_id, what] += event.changes[what]
    return sorted((*key, count) for key, count in counts.items() if count)


def spoil(directory: Path, chance: Random) -> None:
    """Spoil lines of the files: repeat some, swap some, and give some the cell of another line."""
    for path in directory.glob("*.csv"):
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        for _ in range(len(lines) // 8):
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            what = chance.choice(["twice", "swapped", "mixed", "mixed", "quoted"])
            if what == "twice":
                lines.append(lines[one])
            elif what == "swapped":
                lines[one], lines[other] = lines[other], lines[one]
            elif what == "quoted":
                lines[one] = ",".join(f'"{cell}"' for cell in lines[one].split(","))
            else:
                cells, others = lines[one].split(","), lines[other].split(",")
                place = chance.randrange(len(cells))
                cells[place] = others[place]
                lines[one] = ",".join(cells)
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def line_by_line(file: File[Any]) -> File[Any]:
    """Return the file without plain lines and batches; usage can only be merged in batches."""
    order = " ORDER BY subscription_id, tenant_id, line" if file.stem == "associations" else ""
    everything = f"SELECT staged.*, true AS apart FROM estate_staged_{file.stem} AS staged{order}"
    return replace(file, plain=None, found=(lambda: everything) if file.merge else file.found)


@pytest.mark.parametrize("seed", range(3))
def test_merging_in_batches_ends_as_merging_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)  # some rows end at the moment of the import
    chance = Random(seed)
    first = made_estate(tmp_path / "first", 40)
    second = Path(copytree(first, tmp_path / "second"))
    for directory in (first, second):
        spoil(directory, chance)

    def both() -> tuple[Any, ...]:
        with transaction.atomic():
            outcome = *(sorted(map(str, load(directory).errors)) for directory in (first, second)), rows_and_events()
            transaction.set_rollback(True)
            return outcome

    monkeypatch.setattr(loading, "BATCH", 50)
    in_batches = both()
    monkeypatch.setattr(whole, "_files", [line_by_line(file) for file in whole.files()])
    assert both() == in_batches
    assert len(in_batches[0]) > 10


def test_import_killed_at_any_point_and_repeated_ends_in_the_same_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_estate(tmp_path, 30)
    monkeypatch.setattr(loading, "BATCH", 40)
    batches, last = 0, 0

    def counted(file: str, outcome: Any) -> None:
        nonlocal batches
        count(file, outcome)
        batches += 1
        if batches == last:
            raise KeyboardInterrupt  # in the transaction of the batch, which is rolled back

    count = loading._count
    monkeypatch.setattr(loading, "_count", counted)
    with transaction.atomic():
        load(tmp_path)
        wanted = rows_and_events()
        transaction.set_rollback(True)
    all_batches = batches
    assert all_batches > 15
    for point in (1, 2, 4, all_batches // 2, all_batches - 1):
        batches, last = 0, point
        with transaction.atomic():
            with pytest.raises(KeyboardInterrupt):
                load(tmp_path)
            assert rows_and_events() != wanted
            load(tmp_path)
            assert rows_and_events() == wanted
            transaction.set_rollback(True)
