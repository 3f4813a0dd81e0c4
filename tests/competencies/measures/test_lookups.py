"""How the measures find the rows of some companies. What they find is compared with the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.db import connection

from tests.competencies.measures.cases import Case, cases

DAYS = (date(2018, 12, 31), date(2026, 6, 15))
#: The tables that grow with the estate. Those of usage are its years.
GROWING = (
    *("directory_usage", "directory_subscription", "directory_consumption", "directory_credential"),
    *("directory_revenue", "associations_association"),
)
#: Where a plan says which rows of a table are taken.
CONDITIONS = ("Index Cond", "Recheck Cond", "Filter")


@pytest.mark.django_db
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_measures_look_up_what_belongs_to_some_companies(day: date) -> None:
    whole = {f"{case.name}: {table}" for case in cases(day, companies=(1, 2)) for table in _read_whole(case)}

    assert whole == set()


@pytest.mark.django_db
def test_measures_read_whole_tables_for_all_companies() -> None:
    whole = {table for case in cases(DAYS[0]) for table in _read_whole(case)}

    assert {"directory_usage_2018", "directory_subscription", "associations_association"} <= whole


def _read_whole(case: Case) -> Iterator[str]:
    """Yield the growing tables whose rows are taken without regard to a row of something else."""
    sql, given = case.measure(case.ask).figures()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", given)
        [[[plan]]] = cursor.fetchall()
    for scan in _scans(plan["Plan"]):
        conditions = " ".join(scan.get(name, "") for name in CONDITIONS)
        if scan["Relation Name"].startswith(GROWING) and not set(_named(conditions)) - {scan["Alias"]}:
            yield scan["Relation Name"]


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the scans of a plan, but not those that only ask whether a table has any row."""
    if plan.get("Parent Relationship") == "InitPlan" and not plan["Subplan Name"].startswith("CTE "):
        return
    if "Relation Name" in plan:
        yield plan
    for one in plan.get("Plans", ()):
        yield from _scans(one)


def _named(conditions: str) -> list[str]:
    """Return what conditions name the columns of, such as units."""
    return re.findall(r"\b([a-z]\w*)\.\w+", conditions)
