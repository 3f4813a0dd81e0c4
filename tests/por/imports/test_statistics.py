"""After an import, the statistics of every table that it has filled are those of what is there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from por.imports.whole import names
from tests import databases, estates
from tests.estates import PARTNER, RIVAL

TABLES = import_module("por.imports.migrations.0016_sizes_of_filled").TABLES
#: What an import writes besides, and why it cannot grow with what is loaded.
SMALL = {
    "accounts_formername": "one row for each name that a file changes",
    "competencies_round": "one row for an import",
    "directory_usageversion": "one row",
    "estate_loaded": "one row for a file",
}


def number(of: str, one: int) -> str:
    """Return the ID of one of many customers or subscriptions."""
    return f"{of}-5d0c-4a30-9d55-1d1f3f1f{one:04}"


def fill(directory: Path, count: int, **changed: dict[str, str]) -> None:
    """Load every file, with so many customers, and a row for each of them in most files."""
    directory.mkdir(exist_ok=True)
    cells = {file.removesuffix(".csv"): changed.get(file.removesuffix(".csv"), {}) for file in names()}
    tenants = [number("0a2f6f52", one) for one in range(count)]
    keys = [{"subscription_id": number("5c1d0f0e", one)} for one in range(count)]
    partners = [str(5_000_000 + one) for one in range(count)]
    files: dict[str, list[dict[str, str]]] = {
        "partners": [estates.partner(one, **cells["partners"]) for one in (PARTNER, RIVAL, *partners)],
        "customers": [
            estates.customer(one, domain=f"c{place}.example", **cells["customers"]) for place, one in enumerate(tenants)
        ],
        "enrolments": [estates.enrolment(one, **cells["enrolments"]) for one in partners],
        "credentials": [estates.credential(one, person=f"P {one}", **cells["credentials"]) for one in partners],
        "subscriptions": [
            estates.subscription(**key, tenant_id=tenant, **cells["subscriptions"])
            for key, tenant in zip(keys, tenants, strict=True)
        ],
        "usage": [estates.usage(month, **key, **cells["usage"]) for key in keys for month in ("2024-12", "2025-03")],
        "revenue": [estates.revenue(**key, **cells["revenue"]) for key in keys],
        "consumption": [estates.consumption(**key, **cells["consumption"]) for key in keys],
        "associations": [estates.association(**key, **cells["associations"]) for key in keys],
        "claims": [
            estates.claim(f"CPR-{900000 + place}", tenant_id=one, **cells["claims"])
            for place, one in enumerate(tenants)
        ],
        "holdings": [estates.holding(one, **cells["holdings"]) for one in partners],
    }
    assert {f"{name}.csv" for name in files} | {"skus.csv"} >= set(names()), "a file of an estate is left out"
    loaded = estates.load(estates.write(directory, **files))
    assert not loaded.errors
    assert not loaded.failure


def rows(sql: str, *given: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def filled() -> Iterator[str]:
    """Yield the tables into which this transaction has put rows; for those by year, the whole."""
    for (table,) in rows(
        """
        SELECT DISTINCT coalesce(parent.relname, stat.relname) FROM pg_stat_xact_user_tables stat
        LEFT JOIN pg_inherits ON inhrelid = stat.relid LEFT JOIN pg_class parent ON parent.oid = inhparent
        WHERE stat.n_tup_ins > 0
        """
    ):
        yield table


@pytest.mark.django_db
def test_every_table_that_an_import_fills_is_analysed_or_small(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    fill(
        tmp_path,
        2,
        partners={"name": "Nordvik Norr"},
        customers={"name": "Hamn AB"},
        subscriptions={"seats": "500"},
        associations={"ended_on": "2025-06-30"},
        usage={"paid_units": "500"},
        revenue={"amount": "3"},
        consumption={"amount_usd": "3"},
        holdings={"level": "gold"},
        enrolments={"tax_ok_on": "2024-08-01"},
        credentials={"valid_to": "2026-01-01"},
    )
    found = {table for table in filled() if not table.startswith(("estate_staged_", "estate_found_"))}
    assert found - SMALL.keys() == set(TABLES)


@pytest.mark.django_db
def test_tables_that_have_grown_are_analysed_at_once(tmp_path: Path) -> None:
    databases.analyze(TABLES)
    fill(tmp_path, 3)
    few = counted()
    fill(tmp_path, 300)
    many = counted()
    believed = planned()
    grown = {table for table in TABLES if many[table] > 10 * few[table]}
    assert grown == set(TABLES) - {"directory_reportedmonth", "history_party"}, "same months, nothing that ended"
    wrong = {table: (believed[table], many[table]) for table in grown if believed[table] < 0.85 * many[table]}
    assert wrong == {}


@pytest.mark.django_db
def test_years_of_a_table_have_their_own_statistics_and_the_whole_has_some(tmp_path: Path) -> None:
    databases.analyze(["directory_usage"])
    assert years() == {}
    fill(tmp_path, 300)
    assert years() == {"directory_usage_2024": 300, "directory_usage_2025": 300}
    whole = rows("SELECT inherited FROM pg_stats WHERE tablename = 'directory_usage' AND attname = 'subscription_id'")
    assert whole == [(True,)]


def years() -> dict[str, int]:
    """Return how many rows the planner believes that each year's table of usage has, where it has any."""
    return dict(
        rows(
            "SELECT relname, reltuples::integer FROM pg_class "
            "WHERE relkind = 'r' AND relname LIKE 'directory_usage_20%%' AND reltuples > 0"
        )
    )


def counted() -> dict[str, int]:
    """Return how many rows each table has."""
    return {table: rows(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def planned() -> dict[str, int]:
    """Return how many rows the planner believes that each table has; for those by year, all years together."""
    found = dict.fromkeys(TABLES, 0)
    for table, count in rows(
        """
        SELECT coalesce(parent.relname, one.relname), sum(greatest(one.reltuples, 0))::integer FROM pg_class one
        LEFT JOIN pg_inherits ON inhrelid = one.oid LEFT JOIN pg_class parent ON parent.oid = inhparent
        WHERE one.relkind = 'r' AND coalesce(parent.relname, one.relname) = ANY (%s) GROUP BY 1
        """,
        list(TABLES),
    ):
        found[table] = count
    return found
