"""Measures that count tenants: new ones, lost ones, and those of some size or spending at the end of a month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from associations.credit import Units
from associations.record.models import end_of
from associations.record.policies import months_before
from competencies.measures.asking import (
    Ask,
    Caveat,
    Query,
    Size,
    caveats_of_months,
    months_cte,
    not_reported,
    nothing_in,
)
from por.programs.calendars import newest_month


def new_tenants(ask: Ask) -> Query:
    """Return the query of tenants whose first subscription began in the window of days.

    Whoever holds that one: a company has the tenant that is credited for a subscription of it at the end of the day.
    """
    units = ask.units()
    return Query((units.sql, _FIRST), _new(units), {**units.given, **_given(ask)}, _EMPTY)


def lost_tenants(ask: Ask) -> Query:
    """Return the query of tenants all of whose subscriptions are gone, the last of them in the window of days.

    It costs each company that was credited for a subscription of the tenant on the day before.
    """
    units = ask.units(periods=True)
    return Query((units.sql, *_LOST), _lost("1"), {**units.given, **_given(ask)}, _EMPTY)


def net_new_tenants(ask: Ask) -> Query:
    """Return the query of new tenants less lost ones. The figure may be negative."""
    units = ask.units(periods=True)
    parts = f"{_new(units)} UNION ALL {_lost('-1')}"
    return Query((units.sql, _FIRST, *_LOST), parts, {**units.given, **_given(ask)}, _EMPTY)


def tenants(ask: Ask) -> Query:
    """Return the query of tenants held at the end of the newest month; of those of a year before, with year_on_year.

    With `size`, those of that size with a row of usage of a credited unit in the month. With `spending`, those that
    consumed so much on credited units in that month or the one before.
    """
    return _spending(ask) if ask.spending is not None else _sized(ask)


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


_FIRST = """first AS (
    SELECT customer_id, min(started_on) AS began_on FROM directory_subscription
    WHERE NOT is_trial AND started_on <= %(day)s AND (%(any_product)s OR product = ANY(%(first_of)s))
    GROUP BY customer_id HAVING min(started_on) > %(days_after)s
)"""


def _new(units: Units) -> str:
    return f"""
        SELECT DISTINCT units.company, units.customer_id, NULL::bigint AS subscription_id, NULL::varchar AS workload,
            first.began_on AS month, 1::numeric AS amount, 0 AS caveat
        FROM units JOIN first USING (customer_id)
        WHERE {units.held_at("%(end)s - interval '1 microsecond'")}
    """


# A subscription is gone on the first after its last paid month if its newest reported one says 0, or on the day it was
# to be renewed if it has expired; one that moved to another tenant, on that day. One that was never paid is gone from
# its start. Only tenants of which something went in the window need all their months.
_LOST = (
    """candidates AS (
        SELECT customer_id FROM directory_subscription
        WHERE product = ANY(%(last_of)s) AND NOT is_trial AND (
            (status = 'expired' AND renews_on > %(days_after)s AND renews_on <= %(day)s)
            OR left_at < %(end)s
        )
        UNION
        SELECT subscription.customer_id
        FROM directory_usage AS usage
        JOIN directory_subscription AS subscription ON subscription.id = usage.subscription_id
        WHERE product = ANY(%(last_of)s) AND NOT is_trial
            AND superseded_at IS NULL AND paid_units = 0 AND month BETWEEN %(zeros_from)s AND %(newest)s
    )""",
    """going AS (
        SELECT subscription.customer_id, least(
            CASE WHEN status = 'expired' AND renews_on <= %(day)s THEN renews_on END,
            CASE WHEN left_at < %(end)s THEN (left_at AT TIME ZONE 'UTC')::date END,
            CASE WHEN usage.newest > usage.paid THEN (usage.paid + interval '1 month')::date
                WHEN usage.newest IS NOT NULL AND usage.paid IS NULL THEN started_on END
        ) AS gone_on
        FROM directory_subscription AS subscription CROSS JOIN LATERAL (
            SELECT max(month) AS newest, max(month) FILTER (WHERE paid_units > 0) AS paid FROM directory_usage
            WHERE subscription_id = subscription.id AND superseded_at IS NULL
                AND paid_units IS NOT NULL AND month <= %(newest)s
        ) AS usage
        WHERE product = ANY(%(last_of)s) AND NOT is_trial AND started_on <= %(day)s
            AND customer_id IN (SELECT customer_id FROM candidates)
    )""",
    """lost AS (
        SELECT customer_id, max(gone_on) AS lost_on FROM going GROUP BY customer_id
        HAVING count(*) = count(gone_on) AND max(gone_on) > %(days_after)s AND max(gone_on) <= %(day)s
    )""",
)


def _lost(amount: str) -> str:
    return f"""
        SELECT DISTINCT units.company, units.customer_id, NULL::bigint AS subscription_id, NULL::varchar AS workload,
            lost.lost_on AS month, {amount}::numeric AS amount, 0 AS caveat
        FROM units JOIN lost USING (customer_id)
        WHERE units.held @> (lost.lost_on::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond')
    """


# --- Of a month -----------------------------------------------------------------------------------------------------


def _sized(ask: Ask) -> Query:
    assert ask.size is not None
    units = ask.units(periods=True)
    signs = _signs(ask, months=1)
    months, given = months_cte(signs)
    size = sizes(ask.size, list(signs))
    parts = f"""
        SELECT DISTINCT units.company, units.customer_id, NULL::bigint AS subscription_id, NULL::varchar AS workload,
            months.month, (months.sign * (1 - sized.caveat))::numeric AS amount,
            sized.caveat * {caveat_of(ask).value} AS caveat
        FROM units JOIN directory_usage AS usage ON {units.with_rows_of("usage")}
        JOIN months ON months.month = usage.month AND {units.held_at("months.instant")}
        JOIN sized ON sized.customer_id = units.customer_id AND sized.month = usage.month
        WHERE usage.superseded_at IS NULL AND usage.month = ANY(%(months)s)
            AND usage.workload = ANY(%(credit_workloads)s)
        UNION ALL {caveats_of_months(units, caveat_of(ask))}
    """
    ctes = (units.sql, months, not_reported(), *size.ctes)
    return Query(ctes, parts, {**units.given, **given, **size.given})


def _spending(ask: Ask) -> Query:
    """Return the query of tenants that consumed enough on credited units in one of two months."""
    units = ask.units(periods=True)
    months, given = months_cte(_signs(ask, months=2))
    spent = f"""spent AS (
        SELECT units.company, units.customer_id, usage.month, months.sign
        FROM units JOIN directory_usage AS usage ON {units.with_rows_of("usage")}
        JOIN months ON months.month = usage.month AND {units.held_at("months.instant")}
        WHERE usage.superseded_at IS NULL AND usage.month = ANY(%(months)s)
            {"AND usage.workload = ANY(%(credit_workloads)s)" if ask.only.workload else ""}
        GROUP BY 1, 2, 3, 4 HAVING sum(usage.consumed_usd) >= %(spending)s
    )"""
    parts = f"""
        SELECT company, customer_id, NULL::bigint AS subscription_id, NULL::varchar AS workload,
            max(month) AS month, sign::numeric AS amount, 0 AS caveat
        FROM spent GROUP BY company, customer_id, sign
        UNION ALL {caveats_of_months(units, caveat_of(ask))}
    """
    return Query((units.sql, months, not_reported(), spent), parts, {**units.given, **given, "spending": ask.spending})


def _signs(ask: Ask, months: int) -> dict[date, int]:
    """Return the newest months, which are added, and with year_on_year those of a year before, which are taken off."""
    newest = [months_before(ask.newest_month, back) for back in range(months)]
    before = [months_before(month, 12) for month in newest] if ask.window.year_on_year else []
    return dict.fromkeys(newest, 1) | dict.fromkeys(before, -1)


def caveat_of(ask: Ask) -> Caveat:
    """Return what a month without any report means: in a difference the figure may be smaller, too."""
    return Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED if ask.window.year_on_year else Caveat.MONTH_NOT_REPORTED


@dataclass(frozen=True)
class Sized:
    """The expressions that end with `sized`: tenants of a size by month; `caveat` is 1 where that is not certain."""

    ctes: tuple[str, ...]
    given: dict[str, Any]


def sizes(size: Size, months: list[date]) -> Sized:
    """Return the tenants of a size in these months, whoever their partner is.

    A tenant that is too large now may have been promoted; if nothing is reported of a year before, nobody knows.
    """
    before = [months_before(month, 12) for month in months] if size.promoted else []
    given = {"size_months": [*months, *before], "size_low": size.low, "size_high": size.high or 2**31 - 1}
    sizes = """sizes AS (
        SELECT customer_id, month, max(units) AS units FROM (
            SELECT subscription.customer_id, usage.month, usage.workload, sum(usage.paid_units) AS units
            FROM directory_usage AS usage
            JOIN directory_subscription AS subscription ON subscription.id = usage.subscription_id
            WHERE usage.superseded_at IS NULL AND usage.month = ANY(%(size_months)s) AND NOT subscription.is_trial
                AND usage.workload = ANY(%(credit_workloads)s)
            GROUP BY 1, 2, 3
        ) AS workloads GROUP BY customer_id, month
    )"""
    if not size.promoted:
        sized = """sized AS (
            SELECT customer_id, month, 0 AS caveat FROM sizes WHERE units BETWEEN %(size_low)s AND %(size_high)s
        )"""
        return Sized((sizes, sized), given)
    sized = """sized AS (
        SELECT now.customer_id, now.month, CASE
                WHEN now.units <= %(size_high)s OR before.units IS NOT NULL THEN 0 ELSE 1
            END AS caveat
        FROM sizes AS now LEFT JOIN sizes AS before ON before.customer_id = now.customer_id
            AND before.month = (now.month - interval '1 year')::date
        WHERE now.units BETWEEN %(size_low)s AND %(size_high)s OR (now.units > %(size_high)s AND (
            before.units BETWEEN %(size_low)s AND %(size_high)s
            OR (now.month - interval '1 year')::date NOT IN (
                SELECT month FROM directory_reportedmonth WHERE file = 'usage'
            )
        ))
    )"""
    return Sized((sizes, sized), given)
