"""How the measures find the rows of some companies. What they find is compared with the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Coalesce
from django.test.utils import CaptureQueriesContext

from associations.record.models import Association
from competencies.contributions import used_of
from competencies.judged import _paid_by
from competencies.measures.asking import measured
from competencies.measures.kept import large_of
from por.db.prepared import known_to
from tests.competencies.measures.cases import Case, cases
from tests.factories import make_partner

DAYS = (date(2018, 12, 31), date(2026, 6, 15))
#: The tables that grow with the estate. Those of usage are its years.
GROWING = (
    *("directory_usage", "directory_subscription", "directory_consumption", "directory_credential"),
    *("directory_revenue", "associations_association"),
)
#: Tables that have a row for each partner, or several.
OF_PARTNERS = ("accounts_organisation", "associations_association", "competencies_holding", "directory_partner")
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


@pytest.mark.django_db
def test_the_server_plans_once_what_is_asked_about_some_companies() -> None:
    some, all_ = cases(DAYS[0], companies=(1, 2))[0], cases(DAYS[0])[0]
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
        known_to(connection).clear()
        for case, plans in ((some, [(2, 0)]), (all_, [])):
            measured(case.measure, case.ask)
            measured(case.measure, replace(case.ask, day=DAYS[0] - timedelta(1)))
            cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements")
            assert cursor.fetchall() == plans
            cursor.execute("DEALLOCATE ALL")
            known_to(connection).clear()


@pytest.mark.django_db
def test_what_else_is_asked_about_some_companies_is_looked_up() -> None:
    some = (make_partner().pk, make_partner().pk)
    with CaptureQueriesContext(connection) as captured:
        large_of(some)
        used_of(some)
        _paid_by(DAYS[1], some)
    assert len(captured) >= 7
    asked = [one["sql"] for one in captured if not one["sql"].endswith("LIMIT 1")]  # whether there is any row at all
    assert {table for sql in asked for table in _scanned(sql)} == set()


@pytest.mark.django_db
def test_control_what_is_asked_by_the_company_of_each_row_reads_all_rows() -> None:
    company = Coalesce("partner__organisation__parent", "partner")
    asked = Association.objects.annotate(company=company).filter(company__in=[1, 2])

    assert set(_scanned(str(asked.query)))


def _scanned(sql: str) -> Iterator[str]:
    """Yield the tables of partners and of theirs of which all rows are taken: by no keys and by no other row."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        [[[plan]]] = cursor.fetchall()
    for scan in _scans(plan["Plan"]):
        conditions = " ".join(scan.get(name, "") for name in CONDITIONS)
        by_keys = "= ANY (" in conditions
        if scan["Relation Name"] in OF_PARTNERS and not by_keys and not set(_named(conditions)) - {scan["Alias"]}:
            yield scan["Relation Name"]


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
