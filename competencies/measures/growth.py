"""Measures of use in tenants of some size: how much the number of active users grew, and where a workload is in use."""

from __future__ import annotations

from datetime import date, datetime

from associations.credit import Units, contains
from associations.record.models import end_of
from associations.record.policies import months_before
from associations.record.rules import AssociationKind
from competencies.measures.asking import Ask, Query, of_several, units_of
from competencies.measures.figures import Caveat
from competencies.measures.parts import (
    begun_by_end_of,
    caveats_of_months,
    each_customer,
    held_cte,
    months_cte,
    not_reported,
    of_months,
    of_nothing,
    usage_held,
)
from competencies.measures.tenants import newest_months, sizes
from por.programs.calendars import month_end


@of_several
def active_users(*asks: Ask) -> Query:
    """Return the query of growth: active users of the newest month less those of the month it is compared with.

    That is the month a year before, or the later one in which the company got the unit. Only units that it holds at the
    end of the newest month count.
    """
    units = units_of(asks, periods=True)
    newest, given = months_cte(asks, lambda ask: {ask.newest_month: 1}, "newest")
    # Of the months between, only those in which a unit was got are looked at.
    months, of_a_year = months_cte(
        asks, lambda ask: {months_before(ask.newest_month, back): 1 for back in range(13)}, "months"
    )
    size = sizes(units, asks, given["newest"])
    workload = ", units.workload" if units.by_workload else ""
    held = f"""held AS (
        SELECT newest.asked, newest.month AS newest, newest.size, units.company, units.customer_id,
            units.subscription_id, units.started_on {workload}, greatest(
                (newest.month - interval '1 year')::date,
                date_trunc('month', lower(period.range) AT TIME ZONE 'UTC')::date
            ) AS since
        FROM units JOIN newest ON {units.held_at("newest.instant", "newest.day")}
        CROSS JOIN LATERAL unnest(units.held) AS period (range) WHERE {contains("period.range", "newest.instant")}
    )"""
    now = [of_months("now.month", "newest"), "now.active_users IS NOT NULL", "now.workload = ANY(%(credit_workloads)s)"]
    usage = units.with_usage(*now, of="held", alias="now", on=["now.month = held.newest"])
    # OFFSET keeps the planner from joining the usage of all units with the sizes of all tenants, by their month alone.
    parts = f"""
        SELECT held.asked, held.company, held.customer_id, held.subscription_id, held.used AS workload,
            held.since AS month,
            ((held.active_users - coalesce(before.active_users, 0)) * (1 - sized.caveat))::numeric AS amount,
            sized.caveat * {Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED.value} AS caveat
        FROM (SELECT held.*, now.workload AS used, now.active_users FROM held {usage} OFFSET 0) AS held
        JOIN sized ON sized.customer_id = held.customer_id AND sized.month = held.newest AND sized.size = held.size
        LEFT JOIN LATERAL ({_BEFORE}) AS before ON true
        UNION ALL
        SELECT DISTINCT held.asked, company, {each_customer(asks[0], "held")}, NULL::bigint, {of_nothing(asks[0])},
            month, 0::numeric, {Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED.value}
        FROM not_reported JOIN held ON held.asked = not_reported.asked AND month IN (held.since, held.newest)
            AND {begun_by_end_of("month", "held")}
    """
    given |= {**of_a_year, **units.given, **size.given}
    return Query((units.sql, newest, months, not_reported(), *size.ctes, held), parts, given)


# Looked up for each unit, because the months differ: to read all of them would take far longer.
_BEFORE = """
    SELECT earlier.active_users FROM directory_usage AS earlier
    WHERE earlier.subscription_id = held.subscription_id AND earlier.workload = held.used
        AND earlier.month = held.since AND earlier.superseded_at IS NULL LIMIT 1
"""


@of_several
def deployed_tenants(*asks: Ask) -> Query:
    """Return the query of tenants in which the credited units of one workload are in use by enough of the paid ones.

    It is that of the newest month; less that of a year before, with year_on_year. By claims, a workload does not count
    that was claimed less than twelve months before and was above the share in the month of the claim.
    """
    units = units_of(asks, periods=True)
    months, given = months_cte(asks, lambda ask: newest_months(ask, 1))
    size = sizes(units, asks, given["months"])
    is_claimed = asks[0].credit.kinds_on(asks[0].day) == (AssociationKind.CPOR,)
    # What is in use does not depend on the size, so questions of a day have it in common.
    reached = f"""reached AS (
        SELECT held.company, held.customer_id, usage.workload, held.month, months.day
        FROM held JOIN (SELECT DISTINCT month, day FROM months) AS months
            ON months.month = held.month AND held.started_on <= months.day
        {usage_held(units, "usage.workload = ANY(%(credit_workloads)s)")}
        GROUP BY 1, 2, 3, 4, 5
        HAVING sum(usage.paid_units) > 0 AND sum(usage.active_users) >= %(share)s * sum(usage.paid_units)
    )"""
    left_out = """AND NOT EXISTS (
        SELECT FROM used_before WHERE used_before.company = reached.company
            AND used_before.customer_id = reached.customer_id AND used_before.workload = reached.workload
            AND used_before.month = reached.month AND used_before.day = reached.day
    )"""
    parts = f"""
        SELECT months.asked, reached.company, reached.customer_id, NULL::bigint AS subscription_id,
            min(reached.workload) AS workload, reached.month, (months.sign * (1 - sized.caveat))::numeric AS amount,
            sized.caveat * months.caveat AS caveat
        FROM reached JOIN months ON months.month = reached.month AND months.day = reached.day
        JOIN sized ON sized.customer_id = reached.customer_id AND sized.month = reached.month
            AND sized.size = months.size
        WHERE true {left_out if is_claimed else ""}
        GROUP BY months.asked, reached.company, reached.customer_id, reached.month, months.sign, sized.caveat,
            months.caveat
        UNION ALL {caveats_of_months(asks[0], units)}
    """
    given |= {**units.given, **size.given, "share": asks[0].share}
    ctes = (units.sql, months, not_reported(), *size.ctes, held_cte(units), reached)
    if is_claimed:
        ctes += (_CLAIMED, _used_before(units))
        given["claimed_after"] = [_claimed_after(month) for month in given["months"]]
    return Query(ctes, parts, given)


def _claimed_after(month: date) -> datetime:
    """Return from which instant on a claim is less than twelve months older than the end of the month."""
    return end_of(months_before(month_end(month), 12))


_CLAIMED = f"""claimed AS (
    SELECT units.company, units.customer_id, units.workload, months.month, months.day,
        min(lower(period.range)) AS claimed_at
    FROM (
        SELECT DISTINCT month, day, instant, since
        FROM unnest(%(months)s::date[], %(claimed_after)s::timestamptz[]) AS recent (month, since)
        JOIN months USING (month)
    ) AS months
    JOIN units ON {contains("units.held", "months.instant")} AND units.started_on <= months.day
    CROSS JOIN LATERAL unnest(units.held) AS period (range) WHERE {contains("period.range", "months.instant")}
    GROUP BY 1, 2, 3, 4, 5, months.since HAVING min(lower(period.range)) >= months.since
)"""


def _used_before(units: Units) -> str:
    """Return the expression `used_before`: claims whose workload was above the share in the month of the claim."""
    in_month = "usage.month = date_trunc('month', claimed.claimed_at AT TIME ZONE 'UTC')::date"
    return f"""used_before AS (
        SELECT claimed.company, claimed.customer_id, claimed.workload, claimed.month, claimed.day
        FROM claimed JOIN units ON units.company = claimed.company AND units.customer_id = claimed.customer_id
            AND units.workload = claimed.workload AND units.started_on <= claimed.day
        {units.with_usage(on=[in_month])}
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(usage.active_users) > %(share)s * coalesce(sum(usage.paid_units), 0)
    )"""
