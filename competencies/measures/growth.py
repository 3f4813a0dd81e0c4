"""Measures of use in tenants of some size: how much the number of active users grew, and where a workload is in use."""

from __future__ import annotations

from datetime import date
from typing import Any

from associations.record.models import end_of
from associations.record.policies import months_before
from associations.record.rules import AssociationKind
from competencies.measures.asking import (
    Ask,
    Caveat,
    Query,
    caveats_of_months,
    last_instant,
    months_cte,
    not_reported,
)
from competencies.measures.tenants import caveat_of, sizes


def active_users(ask: Ask) -> Query:
    """Return the query of growth: active users of the newest month less those of the month it is compared with.

    That is the month a year before, or the later one in which the company got the unit. Only units that it holds at the
    end of the newest month count.
    """
    assert ask.size is not None
    units = ask.units(periods=True)
    newest, before = ask.newest_month, months_before(ask.newest_month, 12)
    size = sizes(ask.size, [newest])
    # Of the months between, only those in which a unit was got are looked at.
    months, given = months_cte({months_before(newest, back): 1 for back in range(13)})
    workload = ", units.workload" if units.by_workload else ""
    held = f"""held AS (
        SELECT units.company, units.customer_id, units.subscription_id {workload}, greatest(
            %(before)s::date, date_trunc('month', lower(period.range) AT TIME ZONE 'UTC')::date
        ) AS since
        FROM units CROSS JOIN LATERAL unnest(units.held) AS period (range) WHERE period.range @> %(newest_instant)s
    )"""
    of_unit = "AND now.workload = held.workload" if units.by_workload else ""
    parts = f"""
        SELECT held.company, held.customer_id, held.subscription_id, now.workload, held.since AS month,
            ((now.active_users - coalesce(before.active_users, 0)) * (1 - sized.caveat))::numeric AS amount,
            sized.caveat * {Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED.value} AS caveat
        FROM held JOIN directory_usage AS now ON now.subscription_id = held.subscription_id {of_unit}
        JOIN sized ON sized.customer_id = held.customer_id AND sized.month = now.month
        LEFT JOIN LATERAL ({_BEFORE}) AS before ON true
        WHERE now.superseded_at IS NULL AND now.month = %(newest)s AND now.active_users IS NOT NULL
            AND now.workload = ANY(%(credit_workloads)s)
        UNION ALL
        SELECT DISTINCT company, NULL::bigint, NULL::bigint, NULL::varchar, month, 0::numeric,
            {Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED.value}
        FROM not_reported JOIN held ON held.since = month OR month = %(newest)s
    """
    given |= {**units.given, **size.given, "newest": newest, "before": before, "newest_instant": last_instant(newest)}
    return Query((units.sql, months, not_reported(), *size.ctes, held), parts, given)


# Looked up for each unit, because the months differ: to read all of them would take far longer.
_BEFORE = """
    SELECT earlier.active_users FROM directory_usage AS earlier
    WHERE earlier.subscription_id = held.subscription_id AND earlier.workload = now.workload
        AND earlier.month = held.since AND earlier.superseded_at IS NULL LIMIT 1
"""


def deployed_tenants(ask: Ask) -> Query:
    """Return the query of tenants in which the credited units of one workload are in use by enough of the paid ones.

    It is that of the newest month; less that of a year before, with year_on_year. By claims, a workload does not count
    that was claimed less than twelve months before and was above the share in the month of the claim.
    """
    assert ask.size is not None
    units = ask.units(periods=True)
    signs = dict.fromkeys([ask.newest_month], 1)
    if ask.window.year_on_year:
        signs[months_before(ask.newest_month, 12)] = -1
    months, given = months_cte(signs)
    size = sizes(ask.size, list(signs))
    is_claimed = ask.credit.kinds_on(ask.day) == (AssociationKind.CPOR,)
    reached = f"""reached AS (
        SELECT units.company, units.customer_id, usage.workload, usage.month, months.sign
        FROM units JOIN directory_usage AS usage ON {units.with_rows_of("usage")}
        JOIN months ON months.month = usage.month AND {units.held_at("months.instant")}
        WHERE usage.superseded_at IS NULL AND usage.month = ANY(%(months)s)
            AND usage.workload = ANY(%(credit_workloads)s)
        GROUP BY 1, 2, 3, 4, 5
        HAVING sum(usage.paid_units) > 0 AND sum(usage.active_users) >= %(share)s * sum(usage.paid_units)
    )"""
    left_out = """AND NOT EXISTS (
        SELECT FROM used_before WHERE used_before.company = reached.company
            AND used_before.customer_id = reached.customer_id AND used_before.workload = reached.workload
            AND used_before.month = reached.month
    )"""
    parts = f"""
        SELECT reached.company, reached.customer_id, NULL::bigint AS subscription_id, min(reached.workload) AS workload,
            reached.month, (reached.sign * (1 - sized.caveat))::numeric AS amount,
            sized.caveat * {caveat_of(ask).value} AS caveat
        FROM reached JOIN sized ON sized.customer_id = reached.customer_id AND sized.month = reached.month
        WHERE true {left_out if is_claimed else ""}
        GROUP BY reached.company, reached.customer_id, reached.month, reached.sign, sized.caveat
        UNION ALL {caveats_of_months(units, caveat_of(ask))}
    """
    given |= {**units.given, **size.given, "share": ask.share}
    ctes = (units.sql, months, not_reported(), *size.ctes, reached)
    if is_claimed:
        ctes += _USED_BEFORE
        given["claimed_after"] = [_claimed_after(month) for month in signs]
    return Query(ctes, parts, given)


def _claimed_after(month: date) -> Any:
    """Return from which instant on a claim is less than twelve months older than the end of the month."""
    last_day = last_instant(month).date()
    return end_of(months_before(last_day, 12))


_USED_BEFORE = (
    """claimed AS (
        SELECT units.company, units.customer_id, units.workload, months.month, min(lower(period.range)) AS claimed_at
        FROM (
            SELECT months.*, since
            FROM unnest(%(months)s::date[], %(claimed_after)s::timestamptz[]) AS recent (month, since)
            JOIN months USING (month)
        ) AS months
        JOIN units ON units.held @> months.instant
        CROSS JOIN LATERAL unnest(units.held) AS period (range) WHERE period.range @> months.instant
        GROUP BY 1, 2, 3, 4, months.since HAVING min(lower(period.range)) >= months.since
    )""",
    """used_before AS (
        SELECT claimed.company, claimed.customer_id, claimed.workload, claimed.month
        FROM claimed JOIN units USING (company, customer_id, workload)
        JOIN directory_usage AS usage ON usage.subscription_id = units.subscription_id
            AND usage.workload = claimed.workload
            AND usage.month = date_trunc('month', claimed.claimed_at AT TIME ZONE 'UTC')::date
        WHERE usage.superseded_at IS NULL
        GROUP BY 1, 2, 3, 4 HAVING sum(usage.active_users) > %(share)s * coalesce(sum(usage.paid_units), 0)
    )""",
)
