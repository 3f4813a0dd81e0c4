"""The speed of an import, and of COPY of its rows: into the same tables elsewhere, and into tables without index."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.product import Product
from tests.product import connected

#: The tables that an import fills, each after those it refers to. Partitions are filled through their parent.
TABLES = (
    "accounts_organisation",
    "accounts_user",
    "accounts_membership",
    "directory_partner",
    "directory_customer",
    "directory_subscription",
    "directory_usage",
    "associations_association",
)
HEAD = ["Import", "Seconds", "Lines a second", "Of COPY into the same tables"]


def measure(product: Product, estate: Path) -> list[list[str]]:
    """Import the estate twice; then COPY its rows into an empty database, and there into tables without indexes."""
    lines = sum(_lines(path) for path in estate.glob("*.csv"))
    seconds = {"`load_estate`": _import(product, estate), "the same files again": _import(product, estate)}
    files = product.var / "floor"
    files.mkdir()
    with _connected(product, "por") as cursor:
        for table in TABLES:
            with (files / table).open("wb") as file:
                cursor.copy_expert(f"COPY (SELECT * FROM {table}) TO STDOUT", file)
    with _connected(product, "postgres") as cursor:
        cursor.execute("CREATE DATABASE floor OWNER por_owner")
    product.manage("migrate", "--verbosity", "0", **_elsewhere(product))
    with _connected(product, "floor") as cursor:
        seconds["COPY into the same tables, with their indexes and constraints"] = _copy(cursor, files, "{}")
        for table in TABLES:
            cursor.execute(f"CREATE TABLE bare_{table} (LIKE {table})")
        seconds["COPY into tables with neither"] = _copy(cursor, files, "bare_{}")
    with _connected(product, "postgres") as cursor:
        cursor.execute("DROP DATABASE floor")
    floor = seconds["COPY into the same tables, with their indexes and constraints"]
    return [[what, f"{took:,.1f}", f"{lines / took:,.0f}", f"{floor / took:.2f}"] for what, took in seconds.items()]


def _import(product: Product, estate: Path) -> float:
    started = time.monotonic()
    product.manage("load_estate", str(estate))
    return time.monotonic() - started


def _copy(cursor: Any, files: Path, name: str) -> float:
    """Return the seconds of one transaction, which includes what the database checks at its end."""
    started = time.monotonic()
    cursor.execute("BEGIN")
    for table in TABLES:
        with (files / table).open("rb") as file:
            cursor.copy_expert(f"COPY {name.format(table)} FROM STDIN", file, size=1 << 18)
    cursor.execute("COMMIT")
    return time.monotonic() - started


def _connected(product: Product, database: str) -> contextlib.AbstractContextManager[Any]:
    """Return a session of the server's administrator, each statement its own transaction."""
    return connected(product.addresses["DATABASE_URL"], "postgres", database)


def _elsewhere(product: Product) -> dict[str, str]:
    servers = product.addresses
    names = ("DATABASE_URL", "DATABASE_OWNER_URL")
    return servers | {name: servers[name].removesuffix("/por") + "/floor" for name in names}


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1
