"""The speed of an import, and of COPY of its rows: into the same tables elsewhere, and into tables without index."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.processor import cpu_of_commands
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
    "directory_credential",
    "directory_revenue",
    "directory_consumption",
    "competencies_holding",
    "associations_association",
)
HEAD = [
    *("Import", "Seconds", "Lines a second", "Of COPY into the same tables"),
    *("CPU s: PostgreSQL", "Python", "× the CPU of COPY"),
]


class Took(NamedTuple):
    """The seconds that something took, and the seconds of processor time in PostgreSQL and in Python."""

    seconds: float
    postgresql: float
    python: float


def measure(product: Product, estate: Path, first: Took) -> list[list[str]]:
    """Import the estate again; then COPY its rows into an empty database, and there into tables without indexes."""
    lines = sum(_lines(path) for path in estate.glob("*.csv"))
    took = {"`load_estate`": first, "the same files again": load(product, estate)}
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
        same = took["COPY into the same tables, with their indexes and constraints"] = _timed(
            product, lambda: _copy(cursor, files, "{}")
        )
        for table in TABLES:
            cursor.execute(f"CREATE TABLE bare_{table} (LIKE {table})")
        took["COPY into tables with neither"] = _timed(product, lambda: _copy(cursor, files, "bare_{}"))
    with _connected(product, "postgres") as cursor:
        cursor.execute("DROP DATABASE floor")
    return [
        [
            what,
            *(f"{one.seconds:,.1f}", f"{lines / one.seconds:,.0f}", f"{same.seconds / one.seconds:.2f}"),
            *(f"{one.postgresql:,.1f}", f"{one.python:,.1f}"),
            f"{(one.postgresql + one.python) / (same.postgresql + same.python):.1f}",
        ]
        for what, one in took.items()
    ]


def load(product: Product, estate: Path) -> Took:
    """Import the estate."""
    return _timed(product, lambda: product.manage("load_estate", str(estate)))


def _timed(product: Product, run: Callable[[], Any]) -> Took:
    started, before = time.monotonic(), (product.cpu()["postgresql"], cpu_of_commands() + time.process_time() * 1000)
    run()
    after = product.cpu()["postgresql"], cpu_of_commands() + time.process_time() * 1000
    return Took(time.monotonic() - started, (after[0] - before[0]) / 1000, (after[1] - before[1]) / 1000)


def _copy(cursor: Any, files: Path, name: str) -> None:
    """Copy all files in one transaction; its end includes what the database checks then."""
    cursor.execute("BEGIN")
    for table in TABLES:
        with (files / table).open("rb") as file:
            cursor.copy_expert(f"COPY {name.format(table)} FROM STDIN", file, size=1 << 18)
    cursor.execute("COMMIT")


def _connected(product: Product, database: str) -> contextlib.AbstractContextManager[Any]:
    """Return a session of the server's administrator, each statement its own transaction."""
    return connected(product.addresses["DATABASE_URL"], "postgres", database)


def _elsewhere(product: Product) -> dict[str, str]:
    servers = product.addresses
    names = ("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL")
    return servers | {name: servers[name].removesuffix("/por") + "/floor" for name in names}


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1
