"""Measures that count tenants: new ones, lost ones, and those of some size or spending at the end of a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from associations.credit import Units, contains
from associations.record.models import end_of
from associations.record.policies import months_before
from competencies.measures.asking import Ask, Query, of_several, units_of
from competencies.measures.parts import (
    caveats_of_months,
    held_cte,
    months_cte,
    months_given,
    not_reported,
    nothing_in,
    of_months,
    sizes_of,
    usage_held,
)
from por.programs.calendars import newest_month


def new_tenants(ask: Ask) -> Query:
    """Return the query of tenants whose first subscription began in the window of days.

    Whoever holds that one: a company has the tenant that is credited for a subscription of it at the end of the day.
    """
    units = ask.units()
    return Query((units.sql, _first(units)), _new(units), {**units.given, **_given(ask)}, _EMPTY)


def lost_tenants(ask: Ask) -> Query:
    """Return the query of tenants all of whose subscriptions are gone, the last of them in the window of days.

    It costs each company that was credited for a subscription of the tenant on the day before.
    """
    units = ask.units(periods=True)
    return Query((units.sql, *_going(units)), _lost("1"), {**units.given, **_given(ask)}, _EMPTY)


def net_new_tenants(ask: Ask) -> Query:
    """Return the query of new tenants less lost ones. The figure may be negative."""
    units = ask.units(periods=True)
    parts = f"{_new(units)} UNION ALL {_lost('-1')}"
    return Query((units.sql, _first(units), *_going(units)), parts, {**units.given, **_given(ask)}, _EMPTY)


@of_several
def tenants(*asks: Ask) -> Query:
    """Return the query of tenants held at the end of the newest month; of those of a year before, with year_on_year.

    With `size`, those of that size with a row of usage of a credited unit in the month. With `spending`, those that
    consumed so much on credited units in that month or the one before.
    """
    return _sized(asks) if asks[0].spending is None else _spending(asks)


# --- New and lost ---------------------------------------------------------------------------------------------------

_EMPTY = nothing_in("directory_subscription")


def _given(ask: Ask) -> dict[str, Any]:
    first_of = ask.only.product if ask.first_of is None else ask.first_of
    return {
        "day": ask.day,
        "end": end_of(ask.day),
        "days_after": ask.days_after,
        "newest": newest_month(ask.day),
        "any_product": not first_of,
        "first_of": list(first_of),
        "last_of": list(ask.last_of),
        "zeros_from": ask.days_after.replace(day=1),
    }


def _subscriptions(units: Units, *conditions: str) -> str:
    """Return the part of a FROM clause with the subscriptions that fulfil these conditions: of units' customers only.

    Of all companies, nearly all customers are credited to one.
    """
    if not units.by_index:
        return (
            f"(SELECT * FROM directory_subscription AS subscription WHERE {' AND '.join(conditions)}) AS subscription"
        )
    on = ["subscription.customer_id = theirs.customer_id", *conditions]
    found = units.rows_of("directory_subscription", "subscription", on)
    return f"(SELECT DISTINCT customer_id FROM units) AS theirs {found}"


def _first(units: Units) -> str:
    began = ["NOT subscription.is_trial", "subscription.started_on <= %(day)s"]
    began.append("(%(any_product)s OR subscription.product = ANY(%(first_of)s))")
    return f"""first AS (
        SELECT subscription.customer_id, min(subscription.started_on) AS began_on
        FROM {_subscriptions(units, *began)}
        GROUP BY subscription.customer_id HAVING min(subscription.started_on) > %(days_after)s
    )"""


def _new(units: Units) -> str:
    return f"""
        SELECT DISTINCT 0 AS asked, units.company, units.customer_id, NULL::bigint AS subscription_id,
            NULL::varchar AS workload,
            first.began_on AS month, 1::numeric AS amount, 0 AS caveat
        FROM units JOIN first USING (customer_id)
        WHERE {units.held_at("%(end)s - interval '1 microsecond'")}
    """


# A subscription is gone on the first after its last paid month if its newest reported one says 0, or on the day it was
# to be renewed if it has expired; one that moved to another tenant, on that day. One that was never paid is gone from
# its start. Only tenants of which something went in the window need all their months.
def _going(units: Units) -> tuple[str, ...]:
    of_office = ("subscription.product = ANY(%(last_of)s)", "NOT subscription.is_trial")
    went = """(subscription.left_at < %(end)s OR (
        subscription.status = 'expired'
        AND subscription.renews_on > %(days_after)s AND subscription.renews_on <= %(day)s
    ))"""
    zeros = ["usage.subscription_id = subscription.id", "usage.superseded_at IS NULL", "usage.paid_units = 0"]
    zeros.append("usage.month BETWEEN %(zeros_from)s AND %(newest)s")
    of_candidate = ["subscription.customer_id = candidates.customer_id", "subscription.started_on <= %(day)s"]
    return (
        f"""candidates AS (
            SELECT subscription.customer_id FROM {_subscriptions(units, *of_office, went)}
            UNION SELECT subscription.customer_id FROM {_subscriptions(units, *of_office)}
            {units.rows_of("directory_usage", "usage", zeros)}
        )""",
        f"""going AS (
            SELECT candidates.customer_id, least(
                CASE WHEN status = 'expired' AND renews_on <= %(day)s THEN renews_on END,
                CASE WHEN left_at < %(end)s THEN (left_at AT TIME ZONE 'UTC')::date END,
                CASE WHEN usage.newest > usage.paid THEN (usage.paid + interval '1 month')::date
                    WHEN usage.newest IS NOT NULL AND usage.paid IS NULL THEN started_on END
            ) AS gone_on
            FROM candidates {units.rows_of("directory_subscription", "subscription", [*of_candidate, *of_office])}
            CROSS JOIN LATERAL (
                SELECT max(month) AS newest, max(month) FILTER (WHERE paid_units > 0) AS paid FROM directory_usage
                WHERE subscription_id = subscription.id AND superseded_at IS NULL
                    AND paid_units IS NOT NULL AND month <= %(newest)s
            ) AS usage
        )""",
        """lost AS (
            SELECT customer_id, max(gone_on) AS lost_on FROM going GROUP BY customer_id
            HAVING count(*) = count(gone_on) AND max(gone_on) > %(days_after)s AND max(gone_on) <= %(day)s
        )""",
    )


def _lost(amount: str) -> str:
    return f"""
        SELECT DISTINCT 0 AS asked, units.company, units.customer_id, NULL::bigint AS subscription_id,
            NULL::varchar AS workload,
            lost.lost_on AS month, {amount}::numeric AS amount, 0 AS caveat
        FROM units JOIN lost ON lost.customer_id = units.customer_id AND units.started_on < lost.lost_on
        WHERE {contains("units.held", "(lost.lost_on::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond')")}
    """


# --- Of a month -----------------------------------------------------------------------------------------------------


def _sized(asks: Sequence[Ask]) -> Query:
    units = units_of(asks, periods=True)
    months, given = months_cte(asks, lambda ask: newest_months(ask, 1))
    size = sizes(units, asks, given["months"])
    used = f"""used AS (
        SELECT held.company, held.customer_id, held.month, min(held.started_on) AS started_on
        FROM held {usage_held(units, "usage.workload = ANY(%(credit_workloads)s)")}
        GROUP BY 1, 2, 3
    )"""
    parts = f"""
        SELECT months.asked, used.company, used.customer_id, NULL::bigint AS subscription_id,
            NULL::varchar AS workload, used.month, (months.sign * (1 - sized.caveat))::numeric AS amount,
            sized.caveat * months.caveat AS caveat
        FROM used JOIN months ON months.month = used.month AND used.started_on <= months.day
        JOIN sized ON sized.customer_id = used.customer_id AND sized.month = used.month AND sized.size = months.size
        UNION ALL {caveats_of_months(asks[0], units)}
    """
    ctes = (units.sql, months, not_reported(), *size.ctes, held_cte(units), used)
    return Query(ctes, parts, {**units.given, **given, **size.given})


def _spending(asks: Sequence[Ask]) -> Query:
    """Return the query of tenants that consumed enough on credited units in one of two months."""
    units = units_of(asks, periods=True)
    months, given = months_cte(asks, lambda ask: newest_months(ask, 2))
    of_workloads = ["usage.workload = ANY(%(credit_workloads)s)"] if asks[0].only.workload else []
    spent = f"""spent AS (
        SELECT held.company, held.customer_id, held.month, months.day, sum(usage.consumed_usd) AS usd
        FROM held JOIN (SELECT DISTINCT month, day FROM months) AS months
            ON months.month = held.month AND held.started_on <= months.day
        {usage_held(units, *of_workloads)}
        GROUP BY 1, 2, 3, 4
    )"""
    parts = f"""
        SELECT asked, company, customer_id, NULL::bigint AS subscription_id, NULL::varchar AS workload,
            max(month) AS month, sign::numeric AS amount, 0 AS caveat
        FROM spent JOIN months USING (month, day) WHERE usd >= spending
        GROUP BY asked, company, customer_id, sign
        UNION ALL {caveats_of_months(asks[0], units)}
    """
    ctes = (units.sql, months, not_reported(), held_cte(units), spent)
    return Query(ctes, parts, {**units.given, **given})


def newest_months(ask: Ask, months: int) -> dict[date, int]:
    """Return the newest months, which are added, and with year_on_year those of a year before, which are taken off."""
    newest = [months_before(ask.newest_month, back) for back in range(months)]
    before = [months_before(month, 12) for month in newest] if ask.window.year_on_year else []
    return dict.fromkeys(newest, 1) | dict.fromkeys(before, -1)


@dataclass(frozen=True)
class Sized:
    """The expressions that end with `sized`: tenants of each size by month; `caveat` is 1 where that is not certain.

    `size` is the place of the size in `sizes_of`.
    """

    ctes: tuple[str, ...]
    given: dict[str, Any]


def sizes(units: Units, asks: Sequence[Ask], months: list[date]) -> Sized:
    """Return the tenants of each size in these months, whoever their partner is.

    A tenant that is too large now may have been promoted; if nothing is reported of a year before, nobody knows. But
    one whose subscriptions began later was certainly not small then.
    """
    found = sizes_of(asks)
    assert found, "A tenant is counted by its size."
    before = [months_before(month, 12) for month in months] if any(size.promoted for size in found) else []
    given = {
        **months_given("size_months", [*months, *before]),
        "size_numbers": list(range(len(found))),
        "size_lows": [size.low for size in found],
        "size_highs": [2**31 - 1 if size.high is None else size.high for size in found],
        "size_promoted": [size.promoted for size in found],
    }
    on = ["usage.subscription_id = subscription.id", "usage.superseded_at IS NULL"]
    on += [of_months("usage.month", "size_months"), "usage.workload = ANY(%(credit_workloads)s)"]
    sizes = f"""sizes AS (
        SELECT customer_id, month, max(units) AS units, max(max(units)) OVER (
            PARTITION BY customer_id ORDER BY month
            RANGE BETWEEN interval '1 year' PRECEDING AND interval '1 year' PRECEDING
        ) AS before
        FROM (
            SELECT subscription.customer_id, usage.month, usage.workload, sum(usage.paid_units) AS units
            FROM {_subscriptions(units, "NOT subscription.is_trial")} {units.rows_of("directory_usage", "usage", on)}
            GROUP BY 1, 2, 3
        ) AS workloads GROUP BY customer_id, month
    )"""
    return Sized((sizes, _SIZED), given)


_SIZED = """sized AS (
    SELECT asked.size, customer_id, month, CASE
            WHEN units <= asked.high OR before IS NOT NULL THEN 0 ELSE 1
        END AS caveat
    FROM sizes
    JOIN unnest(%(size_numbers)s::int[], %(size_lows)s::int[], %(size_highs)s::int[], %(size_promoted)s::bool[])
        AS asked (size, low, high, promoted)
    ON units BETWEEN asked.low AND asked.high OR (asked.promoted AND units > asked.high AND (
        before BETWEEN asked.low AND asked.high
        OR ((month - interval '1 year')::date NOT IN (SELECT month FROM directory_reportedmonth WHERE file = 'usage')
            AND EXISTS (
                SELECT FROM directory_subscription AS earlier WHERE earlier.customer_id = sizes.customer_id
                    AND NOT earlier.is_trial AND earlier.started_on < month - interval '11 months'
            ))
    ))
)"""
