"""Measures that add up a figure of usage over the credited units: people, licences and consumption by month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from competencies.measures.asking import Ask, Of, Query, of_several, units_of
from competencies.measures.figures import Caveat
from competencies.measures.parts import caveats_of_months, each_customer, months_cte, not_reported, of_months


@of_several
def active_entitlements(*asks: Ask) -> Query:
    """Return the query of active users of each workload of credited units, in the newest month."""
    return _sum(_of_newest_month(asks), Of.ACTIVE_USERS)


@of_several
def paid_units(*asks: Ask) -> Query:
    """Return the query of paid units of each workload of credited units, in the newest month."""
    return _sum(_of_newest_month(asks), Of.PAID_UNITS)


@of_several
def consumption(*asks: Ask) -> Query:
    """Return the query of US dollars that credited units consumed in the months of the window."""
    return _sum(asks, Of.CONSUMED_USD)


def _of_newest_month(asks: Sequence[Ask]) -> list[Ask]:
    return [replace(ask, window=replace(ask.window, months=1)) for ask in asks]


def _months(asks: Sequence[Ask]) -> tuple[str, dict[str, Any]]:
    return months_cte(asks, lambda ask: dict.fromkeys(ask.months, 1))


def _sum(asks: Sequence[Ask], of: Of) -> Query:
    units = units_of(asks, periods=asks[0].is_of_periods)
    months, given = _months(asks)
    on = [f"usage.{of.value} IS NOT NULL", "usage.month BETWEEN %(months_from)s AND %(months_to)s"]
    if asks[0].only.workload:
        on.append("usage.workload = ANY(%(credit_workloads)s)")
    # Without periods, one question has its months without a look at each of them.
    is_joined = units.periods or len(asks) > 1
    parts = f"""
        SELECT {"months.asked" if is_joined else "0 AS asked"}, units.company, units.customer_id, units.subscription_id,
            usage.workload, usage.month, usage.{of.value} AS amount, 0 AS caveat
        FROM units {units.with_usage(*on)} {"JOIN months USING (month)" if is_joined else ""}
        WHERE {units.held_at("months.instant", "months.day")}
        UNION ALL {caveats_of_months(asks[0], units, Caveat.MONTH_NOT_REPORTED)}
    """
    return Query((units.sql, months, not_reported()), parts, given | units.given)


@of_several
def services(*asks: Ask) -> Query:
    """Return the query of different Azure services that credited units consumed in the months of the window.

    A service is of the last month in which it was used: as long as that one is in the window, the service counts.
    """
    units = units_of(asks, periods=asks[0].is_of_periods)
    months, given = _months(asks)
    on = ["consumption.subscription_id = units.subscription_id", "consumption.superseded_at IS NULL"]
    on += [of_months("consumption.month"), "consumption.amount_usd > 0"]
    on.append("NOT consumption.service LIKE ANY(%(not_services)s::text[])")
    # One row for a service and month, because windows of several days have most months in common.
    used = f"""used AS (
        SELECT company, {each_customer(asks[0], "units")} AS customer_id, consumption.service, consumption.month,
            min(units.started_on) AS started_on
        FROM units {units.rows_of("directory_consumption", "consumption", on)}
        JOIN (SELECT DISTINCT month, instant FROM months) AS months
            ON months.month = consumption.month AND {units.held_at("months.instant")}
        GROUP BY 1, 2, 3, 4
    )"""
    parts = f"""
        SELECT months.asked, company, used.customer_id, NULL::bigint AS subscription_id,
            service AS workload, max(used.month) AS month, 1::numeric AS amount, 0 AS caveat
        FROM used JOIN months ON months.month = used.month AND used.started_on <= months.day
        GROUP BY months.asked, company, used.customer_id, service
        UNION ALL {caveats_of_months(asks[0], units, Caveat.MONTH_NOT_REPORTED)}
    """
    given |= {**units.given, "not_services": [f"{_literal(one)}%" for one in asks[0].not_services]}
    return Query((units.sql, months, not_reported("consumption"), used), parts, given, is_distinct=True)


def _literal(text: str) -> str:
    """Return a pattern of LIKE that is this text."""
    return "".join(f"\\{character}" if character in "\\%_" else character for character in text)


@of_several
def revenue(*asks: Ask) -> Query:
    """Return the query of the revenue of credited units in the months of the window, in one currency.

    Nothing is converted: with an amount in another currency the figure is unknown.
    """
    units = units_of(asks, periods=asks[0].is_of_periods)
    months, given = _months(asks)
    on = ["revenue.subscription_id = units.subscription_id", "revenue.superseded_at IS NULL"]
    on += [of_months("revenue.month"), "revenue.kind = %(revenue_kind)s"]
    parts = f"""
        SELECT months.asked, units.company, units.customer_id, units.subscription_id, NULL::varchar AS workload,
            revenue.month,
            CASE WHEN revenue.currency = %(currency)s THEN revenue.amount ELSE 0 END AS amount,
            CASE WHEN revenue.currency = %(currency)s THEN 0 ELSE {Caveat.CURRENCIES_DIFFER.value} END AS caveat
        FROM units {units.rows_of("directory_revenue", "revenue", on)}
        JOIN months ON months.month = revenue.month AND {units.held_at("months.instant", "months.day")}
        UNION ALL {caveats_of_months(asks[0], units, Caveat.MONTH_NOT_REPORTED)}
    """
    given |= {**units.given, "currency": asks[0].currency, "revenue_kind": asks[0].revenue_kind}
    return Query((units.sql, months, not_reported("revenue")), parts, given)
