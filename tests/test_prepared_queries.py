"""Every prepared query of the product returns what a plain queryset returns, on a random estate, for every reader."""

from __future__ import annotations

import ast
import os
import random
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from associations.record import access
from associations.record.models import Association
from associations.subscriptions import searching
from por.accounts.models import Organisation
from por.db import prepared
from por.db.base import DatabaseWrapper
from por.db.prepared import Param, Statement, known_to
from por.directory.models import Customer, Subscription, Usage
from tests import prepared_figures, prepared_pages
from tests.prepared import FIRST, Estate, forget_all, make_estate
from tests.prepared import HELD as HELD_BY_VERBS

ROOT = Path(__file__).parents[1]
HELD = HELD_BY_VERBS | prepared_pages.HELD | prepared_figures.HELD


# --- What there is --------------------------------------------------------------------------------------------------

#: What makes a prepared query, and the modules that are the machinery itself.
MAKERS = {"por.db.prepared": {"PreparedQuery", "Statement"}, "por.db.keyset": {"Prepared"}}
#: What has no queryset: measures of competencies are held against an oracle (tests/competencies/measures); the others
#: write, and tests read what they have written.
WITHOUT_QUERYSET = {
    "associations.record.recording._BUMP",
    "competencies.measures.asking._statement",
    "por.history.actions.recording._RECORD",
    "por.notifications.actions.delivering._SENT",
}


def prepared_in(source: str, module: str) -> set[str]:
    """Return the names, with their module, under which this code makes prepared queries."""
    tree, found = ast.parse(source), set()
    makers: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MAKERS:
            makers |= {one.asname or one.name for one in node.names if one.name in MAKERS[node.module]}
        elif isinstance(node, ast.ImportFrom) and node.module == "por.db":
            for one in node.names:
                made = MAKERS.get(f"por.db.{one.name}", set())
                makers |= {f"{one.asname or one.name}.{name}" for name in made}

    def visit(node: ast.AST, name: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{name}.{node.name}"
        elif isinstance(node, ast.Assign | ast.AnnAssign) and name == module:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = f"{name}.{ast.unparse(target)}"
        if isinstance(node, ast.Call) and ast.unparse(node.func).removesuffix(".named") in makers:
            found.add(name)
        for child in ast.iter_child_nodes(node):
            visit(child, name)

    visit(tree, module)
    return found


def prepared_in_the_product() -> set[str]:
    return {
        name
        for folder in ("por", "associations", "competencies")
        for path in (ROOT / folder).rglob("*.py")
        if (module := ".".join(path.relative_to(ROOT).with_suffix("").parts)) not in MAKERS
        for name in prepared_in(path.read_text(encoding="utf-8"), module)
    }


@pytest.fixture(scope="module")
def estate(committed) -> Estate:
    return make_estate(int(os.environ.get("PREPARED_SEED") or random.randrange(10**6)))


def test_every_prepared_query_is_held_against_its_plain_queryset():
    assert prepared_in_the_product() == HELD.keys() | WITHOUT_QUERYSET


def test_a_new_prepared_query_is_found_wherever_it_is_made():
    source = """
from por.db import keyset, prepared as kept
from por.db.prepared import PreparedQuery as Query, Statement
ONE: Query = Query(build)
TWO = {"a": Statement("SELECT 1", [])}
@cache
def three(): return kept.PreparedQuery(build)
class Four:
    def listed(self):
        found = keyset.Prepared(model, shape, {})
        return found
FIVE = other.Statement(1)
SIX = kept.Statement.named("SELECT %(one)s")
"""
    assert prepared_in(source, "new") == {"new.ONE", "new.TWO", "new.three", "new.Four.listed", "new.SIX"}


@pytest.mark.parametrize(
    ("how", "few"),
    [
        ("kept", 1000),
        pytest.param("forgotten", 3, marks=pytest.mark.crawl),
        pytest.param("not prepared", 1000, marks=pytest.mark.crawl),
    ],
    ids=["kept, few keys", "forgotten, many keys", "not prepared, few keys"],
)
@pytest.mark.parametrize("name", HELD)
def test_prepared_query_returns_what_its_plain_queryset_returns(estate, monkeypatch, name, how, few):
    monkeypatch.setattr(access, "FEW", few)
    monkeypatch.setattr(searching, "FEW", few)
    monkeypatch.setattr(DatabaseWrapper, "is_direct", how != "not prepared")
    estate.chance.seed(estate.seed)
    forget_all()
    known_to(connection).clear()
    rows = 0
    for pair in HELD[name](estate):
        expected, found = pair.compare(forget=how == "forgotten")
        assert found == expected, f"PREPARED_SEED={estate.seed}"
        rows += len(found)
    assert rows, "no value has found a row, so this proves nothing"


def test_list_of_a_large_partner_is_whole_though_it_looks_no_further_than_it_shows(estate, monkeypatch):
    monkeypatch.setattr(access, "FEW", 3)
    forget_all()
    lists = HELD["associations.subscriptions.forms.SubscriptionFilter.listed"](estate)
    with CaptureQueriesContext(connection) as queries:
        for pair in islice(lists, len(estate.readers)):  # the first turn has no filters
            expected, found = pair.compare(forget=False)
            assert found == expected, f"PREPARED_SEED={estate.seed}"
    asked = sum(" DISTINCT " in one["sql"] and "OFFSET 6" in one["sql"] for one in queries)
    assert asked, "no reader is a large partner, so this proves nothing"


# --- Plans ----------------------------------------------------------------------------------------------------------


CUSTOM = "force_custom_plan"
#: The tables that grow with an estate.
LARGE = r"accounts_organisation|directory_customer|directory_subscription|associations_association|directory_usage\w*"


def load(estate: Estate, count: int = 10_000) -> None:
    """Insert many rows, of which the largest partner has a part."""
    organisations = Organisation.objects.bulk_create(
        Organisation(kind="customer", name=f"Ny {number} AB", number=str(uuid.uuid4())) for number in range(count // 5)
    )
    customers = Customer.objects.bulk_create(
        Customer(organisation=one, tenant_id=one.number, country="SE") for one in organisations
    )
    sku = estate.subscriptions[0].sku
    subscriptions = Subscription.objects.bulk_create(
        Subscription(
            subscription_id=uuid.uuid4(), customer=customers[number % len(customers)], sku=sku, started_on=FIRST,
            product=["office365", "azure", "intune"][number % 3], agreement=["EA", "CSP", "MOSP"][number % 7 % 3],
            status=["active", "grace", "expired"][min(number % 30, 2)], renews_on=FIRST + timedelta(days=number % 900),
        )
        for number in range(count)
    )  # fmt: skip
    Association.objects.bulk_create(
        Association(
            kind="dpor", partner=estate.partners[0 if number % 3 else number % 5], subscription=one, source="estate",
            customer=one.customer, began_at=datetime(2025, 1, 1, tzinfo=UTC),
        )
        for number, one in enumerate(subscriptions[::2])
    )  # fmt: skip
    Usage.objects.bulk_create(
        Usage(subscription=one, month=date(2026, month, 1), workload="exo", active_users=7)
        for one in subscriptions[::3]
        for month in (1, 2)
    )


def asked_of(estate: Estate) -> dict[Statement, dict[str, Any]]:
    """Return all statements that the server keeps once everything was asked, each with the values of its last call."""
    found: dict[Statement, dict[str, Any]] = {}

    def note(execute: Any, sql: str, values: Any, many: bool, context: Any) -> Any:
        if isinstance(asked := getattr(context["cursor"].cursor, "statement", None), Statement):
            given = zip(asked.parameters, values, strict=True)
            found[asked] = {one.name: value for one, value in given if isinstance(one, Param)}
        return execute(sql, values, many, context)

    with connection.execute_wrapper(note):
        for pairs in HELD.values():
            for pair in pairs(estate):
                with pair.within():
                    pair.prepared()
    return found


def read_whole(statement: Statement, given: dict[str, Any], mode: str = "auto") -> set[str]:
    """Return the large tables that a call would now read as a whole, in this mode of choosing a plan."""
    values = [given[one.name] for one in statement.parameters if isinstance(one, Param)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('plan_cache_mode', %s, true)", [mode])
        settings = statement.with_settings
        cursor.execute(f"{settings}EXPLAIN {statement.call.removeprefix(settings)}", values)
        found = set(re.findall(rf"Seq Scan on ({LARGE}) ", "\n".join(line for (line,) in cursor.fetchall())))
        if settings:
            cursor.execute(statement.without_settings)
        return found


@pytest.mark.crawl
def test_plans_kept_since_before_a_load_read_no_table_as_a_whole_that_new_plans_do_not(estate, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_KEPT", 10_000)  # all of them at once
    forget_all()
    known_to(connection).clear()
    asked = asked_of(estate)
    with transaction.atomic():
        for statement, given in asked.items():
            for _ in range(10):  # from the sixth call on the server may keep one plan for all values
                statement.rows(given)
        load(estate)
        stale = {one.sql for one, given in asked.items() if read_whole(one, given) - read_whole(one, given, CUSTOM)}
        assert stale, "this control finds nothing, so the test proves nothing"
        with connection.cursor() as cursor:
            cursor.execute("SELECT estate_analyze_grown()")  # as the import does

        stale = {one.sql for one, given in asked.items() if read_whole(one, given) - read_whole(one, given, CUSTOM)}
        assert stale == set(), f"PREPARED_SEED={estate.seed}"
        transaction.set_rollback(True)
