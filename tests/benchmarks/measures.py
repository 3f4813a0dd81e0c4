"""The measures of competencies, each beside a plain GROUP BY of its rows, and all programmes. Runs in the product."""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Q

from associations.credit import KindsSince
from associations.record.models import Association
from associations.record.policies import months_before
from associations.record.rules import AssociationKind
from competencies.actions import known_companies
from competencies.facts import questions
from competencies.judged import judged
from competencies.measures.asking import asked_once, measured
from competencies.measures.kept import Answers, Kept
from competencies.programs import computed_on
from competencies.taking import TOGETHER
from por.directory.models import Usage
from por.programs.calendars import month_end
from tests.benchmarks.plain import plain
from tests.benchmarks.processor import cpu_of
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
    """Return the rows of the measures, those of the programmes, and the memory at the end, as JSON."""
    # The files may have been made long ago, and the demo is there as well.
    counted = Usage.objects.values("month").annotate(rows=Count("subscription")).order_by("-rows", "-month")
    newest = counted[0]["month"]
    companies = _by_size()
    return json.dumps([_measures(newest, companies[0]), _programmes(month_end(newest), companies), _peak()])


def _by_size() -> list[int]:
    """Return the companies with associations, the largest first."""
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT coalesce(partner.parent_id, partner.id) FROM associations_association AS one
            JOIN accounts_organisation AS partner ON partner.id = one.partner_id GROUP BY 1 ORDER BY count(*) DESC, 1
        """)
        return [company for (company,) in cursor.fetchall()]


# --- Each measure ---------------------------------------------------------------------------------------------------


def _measures(newest: date, largest: int) -> list[list[str]]:
    """Return a row for each measure. Only partners of record are credited, as in the plain SQL."""
    given = {
        "newest": newest,
        "year": months_before(newest, 11),
        "months": [newest, months_before(newest, 12)],
        "words": list(MODERN_WORK),
    }
    of_record = (KindsSince(EVER, (AssociationKind.DPOR,)),)
    rows = []
    for case in cases(month_end(newest)):
        if (statement := PLAIN.get(case.name)) is None:
            continue
        ask = replace(case.ask, credit=replace(case.ask.credit, kinds=of_record))
        ours, theirs, one = _median(
            partial(measured, case.measure, ask),
            partial(_plain, [(statement, given)]),
            partial(measured, case.measure, replace(ask, companies=(largest,))),
        )
        count = len(measured(case.measure, ask).companies)
        rows.append([f"{case.measure.__name__} ({case.name})", f"{count:,}", *_beside(ours, theirs), f"{one.ms:,.1f}"])
    return rows


# --- All programmes -------------------------------------------------------------------------------------------------


def _programmes(day: date, by_size: Sequence[int]) -> list[list[str]]:
    """Return a row for companies of several sizes, and for as many as a round computes together."""
    known = known_companies()
    some = {
        "the largest company": by_size[:1],
        "one of the middle": by_size[len(by_size) // 2 :][:1],
        "the smallest": by_size[-1:],
        f"{TOGETHER} as in a round": known[: len(known) // TOGETHER * TOGETHER : len(known) // TOGETHER or 1][
            :TOGETHER
        ],
    }
    rows = [[name, *_of_companies(day, tuple(companies))] for name, companies in some.items()]
    largest = by_size[0]
    with transaction.atomic(), asked_once(keeper=lambda: Kept(largest, None)):
        _judged(day, (largest,))
    its = Association.objects.filter(Q(partner=largest) | Q(partner__organisation__parent=largest))
    customer = its.values_list("customer", flat=True)[0]
    rows.append(
        ["the largest, one customer changed", *_of_companies(day, (largest,), lambda: Kept(largest, [customer]))]
    )
    rows.append(["the largest, as a page reads it", *_of_companies(day, (largest,), lambda: Answers(largest))])
    return rows


def _of_companies(
    day: date, companies: tuple[int, ...], keeper: Callable[[], Answers | None] = lambda: None
) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM associations_association JOIN accounts_organisation AS partner"
            " ON partner.id = partner_id WHERE coalesce(partner.parent_id, partner.id) = ANY(%s)",
            [list(companies)],
        )
        [(associations,)] = cursor.fetchall()
        cursor.execute(
            "SELECT id FROM accounts_organisation WHERE coalesce(parent_id, id) = ANY(%s)", [list(companies)]
        )
        partners = [partner for (partner,) in cursor.fetchall()]
    asked = {
        (one.measure, one.ask): one
        for program in computed_on(day)
        if (version := program.on(day))
        for one in questions(program, version, day, companies)
    }
    ours, theirs = _median(
        partial(_judged, day, companies, keeper), partial(_plain, [plain(one, partners) for one in asked.values()])
    )
    return [f"{associations:,}", f"{len(asked)}", *_beside(ours, theirs), f"{ours.python:,.0f}"]


def _judged(day: date, companies: tuple[int, ...], keeper: Callable[[], Answers | None] = lambda: None) -> None:
    """Find what companies have reached in all programmes, as a page and a round do."""
    with transaction.atomic(), asked_once(keeper=keeper):
        for program in computed_on(day):
            judged(program, day, companies)


# --- Times ----------------------------------------------------------------------------------------------------------


class Took(NamedTuple):
    """The milliseconds that something took, and those of processor time: in PostgreSQL, and here."""

    ms: float
    postgresql: float
    python: float


def _beside(ours: Took, theirs: Took) -> list[str]:
    """Return the times of both and the ratios, of the time and of PostgreSQL's processor time."""
    return [
        *(f"{ours.ms:,.1f}", f"{theirs.ms:,.1f}", f"{ours.ms / theirs.ms:.2f}"),
        *(f"{ours.postgresql:,.1f}", f"{theirs.postgresql:,.1f}", f"{ours.postgresql / theirs.postgresql:.2f}"),
    ]


def _plain(statements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    with connection.cursor() as cursor:
        for sql, given in statements:
            cursor.execute(sql, given)
            cursor.fetchall()


def _median(*works: Callable[[], Any]) -> list[Took]:
    """Return the medians of each piece of work. They run in turn, and once before that fills the caches."""
    took: list[list[Took]] = [[] for _ in works]
    for run in range(RUNS + 1):
        for place, work in enumerate(works):
            before = time.perf_counter(), _postgresql(), time.process_time()
            work()
            after = time.perf_counter(), _postgresql(), time.process_time()
            if run:
                took[place].append(Took(*((end - start) * 1000 for start, end in zip(before, after, strict=True))))
    return [Took(*map(statistics.median, zip(*some, strict=True))) for some in took]


def _postgresql() -> float:
    """Return the seconds of processor time of the session's process and of those that have helped it and ended."""
    connection.ensure_connection()
    session = connection.connection.info.backend_pid
    own = int(Path(f"/proc/{session}/schedstat").read_text().split()[0]) / 1e9
    server = int(Path(f"/proc/{session}/stat").read_text().rpartition(")")[2].split()[1])
    return own + cpu_of(server) / 1000


def _peak() -> float:
    """Return the most megabytes of memory that this process has had."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0
