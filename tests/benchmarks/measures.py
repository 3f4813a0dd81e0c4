"""The measures of competencies, each beside a plain GROUP BY of its rows. Runs in the product."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import Count

from associations.credit import KindsSince
from associations.record.policies import months_before
from associations.record.rules import AssociationKind
from competencies.measures.asking import measured
from por.directory.models import Usage
from por.programs.calendars import month_end
from tests.competencies.measures.cases import EVER, MODERN_WORK, cases

RUNS = int(os.environ.get("BENCH_RUNS", "5"))

# The rows of a partner of record, grouped by partner: no companies, no other kinds, no periods, no unknown.
_RECORD = """
    FROM associations_association AS one
    JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    WHERE one.kind = 'dpor' AND one.undone_at IS NULL AND one.ended_at IS NULL AND NOT is_trial
"""
_USED = """
    FROM associations_association AS one
    JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    JOIN directory_usage AS usage ON usage.subscription_id = subscription.id AND usage.superseded_at IS NULL
    WHERE one.kind = 'dpor' AND one.undone_at IS NULL AND one.ended_at IS NULL AND NOT is_trial
"""
# The size of each tenant, and the same figures as the measure for one partner of record and one workload at a time.
_OF_SIZE = """
    WITH size AS (
        SELECT customer_id, month, max(units) AS units FROM (
            SELECT subscription.customer_id, usage.month, usage.workload, sum(paid_units) AS units
            FROM directory_usage AS usage
            JOIN directory_subscription AS subscription ON subscription.id = usage.subscription_id
            WHERE usage.superseded_at IS NULL AND NOT is_trial AND usage.month = ANY(%(months)s)
                AND usage.workload = ANY(%(words)s) GROUP BY 1, 2, 3
        ) AS workloads GROUP BY 1, 2
    ), used AS (
        SELECT partner_id, subscription.customer_id, usage.month, usage.workload, sum(paid_units) AS paid,
            sum(active_users) AS active
        {used} AND usage.month = ANY(%(months)s) AND usage.workload = ANY(%(words)s) GROUP BY 1, 2, 3, 4
    )
    SELECT partner_id, {figure} FROM used JOIN size USING (customer_id, month) WHERE units > 300 {where} GROUP BY 1
"""


def _of_size(figure: str, where: str = "") -> str:
    return _OF_SIZE.format(used=_USED, figure=figure, where=where)


_COUNT = "count(DISTINCT customer_id) FILTER (WHERE month = %(newest)s)"
PLAIN = {
    "new": f"""
        SELECT partner_id, count(DISTINCT subscription.customer_id) {_RECORD} AND product = 'office365'
            AND subscription.customer_id IN (
                SELECT customer_id FROM directory_subscription WHERE product = 'office365' AND NOT is_trial
                GROUP BY 1 HAVING min(started_on) > %(year)s
            )
        GROUP BY 1
    """,
    "lost": f"""
        SELECT partner_id, count(DISTINCT subscription.customer_id) FILTER (WHERE paid_units = 0) {_USED}
            AND month BETWEEN %(year)s AND %(newest)s GROUP BY 1
    """,
    "seats": f"""
        SELECT partner_id, sum(paid) FROM (
            SELECT partner_id, subscription.id, max(paid_units) AS paid {_USED}
                AND started_on > %(year)s AND month BETWEEN %(year)s AND %(newest)s GROUP BY 1, 2
        ) AS seats GROUP BY 1
    """,
    "entitlements": f"SELECT partner_id, sum(active_users), count(*) {_USED} AND month = %(newest)s GROUP BY 1",
    "platform, window": f"""
        SELECT partner_id, sum(consumed_usd), count(*) {_USED}
            AND usage.workload = 'azure' AND month BETWEEN %(year)s AND %(newest)s GROUP BY 1
    """,
    "platform, months": f"""
        SELECT partner_id, sum(consumed_usd), count(*) {_USED}
            AND usage.workload = 'azure' AND month BETWEEN %(year)s AND %(newest)s GROUP BY 1
    """,
    "adds, enterprise, dpor": _of_size(_COUNT),
    "growth, enterprise, dpor": _of_size("sum(CASE WHEN month = %(newest)s THEN active ELSE -active END)"),
    "deployments, enterprise, dpor": _of_size(_COUNT, "AND active >= 0.4 * paid"),
    "azure adds": f"""
        SELECT partner_id, count(DISTINCT subscription.customer_id), sum(consumed_usd) {_USED}
            AND usage.workload = 'azure' AND month = ANY(%(months)s) GROUP BY 1
    """,
    "people": "SELECT partner_id, count(DISTINCT person) FROM directory_credential GROUP BY 1",
}


def run() -> str:
    """Return the rows as JSON. Only partners of record are credited, as in the plain SQL."""
    # The files may have been made long ago, and the demo is there as well.
    counted = Usage.objects.values("month").annotate(rows=Count("subscription")).order_by("-rows", "-month")
    newest = counted[0]["month"]
    day = month_end(newest)
    given = {
        "newest": newest,
        "year": months_before(newest, 11),
        "months": [newest, months_before(newest, 12)],
        "words": list(MODERN_WORK),
    }
    of_record = (KindsSince(EVER, (AssociationKind.DPOR,)),)
    with connection.cursor() as cursor:
        cursor.execute("SELECT partner_id FROM associations_association GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
        [(largest,)] = cursor.fetchall()
    rows = []
    for case in cases(day):
        if (plain := PLAIN.get(case.name)) is None:
            continue
        ask = replace(case.ask, credit=replace(case.ask.credit, kinds=of_record))
        of_one = replace(ask, companies=[largest])
        took = _fastest(
            partial(measured, case.measure, ask),
            partial(_plain, plain, given),
            partial(measured, case.measure, of_one),
        )
        count = len(measured(case.measure, ask).companies)
        ours, theirs, one = took
        figures = (f"{count:,}", f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}", f"{one:.1f}")
        rows.append([f"{case.measure.__name__} ({case.name})", *figures])
    return json.dumps(rows)


def _plain(sql: str, given: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall()


def _fastest(*works: Callable[[], Any]) -> list[float]:
    """Return the milliseconds of the fastest run of each piece of work. They run in turn."""
    best = [float("inf")] * len(works)
    for _ in range(RUNS):
        for place, work in enumerate(works):
            began = time.perf_counter()
            work()
            best[place] = min(best[place], (time.perf_counter() - began) * 1000)
    return best
