"""Measures that add up a figure of usage over the credited units: people, licences and consumption by month."""

from __future__ import annotations

from dataclasses import replace

from competencies.measures.asking import Ask, Caveat, Of, Query, Window, caveats_of_months, months_cte, not_reported

NEWEST_MONTH = Window(months=1)


def active_entitlements(ask: Ask) -> Query:
    """Return the query of active users of each workload of credited units, in the newest month."""
    return _sum(_of_newest_month(ask), Of.ACTIVE_USERS)


def paid_units(ask: Ask) -> Query:
    """Return the query of paid units of each workload of credited units, in the newest month."""
    return _sum(_of_newest_month(ask), Of.PAID_UNITS)


def consumption(ask: Ask) -> Query:
    """Return the query of US dollars that credited units consumed in the months of the window."""
    return _sum(ask, Of.CONSUMED_USD)


def _of_newest_month(ask: Ask) -> Ask:
    return replace(ask, window=replace(ask.window, months=1))


def _sum(ask: Ask, of: Of) -> Query:
    units = ask.monthly_units()
    months, given = months_cte(dict.fromkeys(ask.months, 1))
    workloads = "AND usage.workload = ANY(%(credit_workloads)s)" if ask.only.workload else ""
    credited = f"AND {units.held_at('months.instant')}" if units.periods else ""
    joined = "JOIN months USING (month)" if units.periods else ""
    parts = f"""
        SELECT units.company, units.customer_id, units.subscription_id, usage.workload, usage.month,
            usage.{of.value} AS amount, 0 AS caveat
        FROM units JOIN directory_usage AS usage ON {units.with_rows_of("usage")} {joined}
        WHERE usage.superseded_at IS NULL AND usage.{of.value} IS NOT NULL
            AND usage.month BETWEEN %(first)s AND %(last)s {workloads} {credited}
        UNION ALL {caveats_of_months(units, Caveat.MONTH_NOT_REPORTED)}
    """
    given |= {**units.given, "first": ask.months[0], "last": ask.months[-1]}
    return Query((units.sql, months, not_reported()), parts, given)


def services(ask: Ask) -> Query:
    """Return the query of different Azure services that credited units consumed in the months of the window."""
    units = ask.monthly_units()
    months, given = months_cte(dict.fromkeys(ask.months, 1))
    parts = f"""
        SELECT DISTINCT units.company, NULL::bigint AS customer_id, NULL::bigint AS subscription_id,
            consumption.service AS workload, NULL::date AS month, 1::numeric AS amount, 0 AS caveat
        FROM units JOIN directory_consumption AS consumption USING (subscription_id)
        JOIN months ON months.month = consumption.month AND {units.held_at("months.instant")}
        WHERE consumption.superseded_at IS NULL AND consumption.amount_usd > 0
            AND NOT consumption.service LIKE ANY(%(not_services)s::text[])
        UNION ALL {caveats_of_months(units, Caveat.MONTH_NOT_REPORTED)}
    """
    given |= {**units.given, "not_services": [f"{_literal(one)}%" for one in ask.not_services]}
    return Query((units.sql, months, not_reported("consumption")), parts, given)


def _literal(text: str) -> str:
    """Return a pattern of LIKE that is this text."""
    return "".join(f"\\{character}" if character in "\\%_" else character for character in text)


def revenue(ask: Ask) -> Query:
    """Return the query of the revenue of credited units in the months of the window, in one currency.

    Nothing is converted: with an amount in another currency the figure is unknown.
    """
    units = ask.monthly_units()
    months, given = months_cte(dict.fromkeys(ask.months, 1))
    parts = f"""
        SELECT units.company, units.customer_id, units.subscription_id, NULL::varchar AS workload, revenue.month,
            CASE WHEN revenue.currency = %(currency)s THEN revenue.amount ELSE 0 END AS amount,
            CASE WHEN revenue.currency = %(currency)s THEN 0 ELSE {Caveat.CURRENCIES_DIFFER.value} END AS caveat
        FROM units JOIN directory_revenue AS revenue USING (subscription_id)
        JOIN months ON months.month = revenue.month AND {units.held_at("months.instant")}
        WHERE revenue.superseded_at IS NULL AND revenue.kind = %(revenue_kind)s
        UNION ALL {caveats_of_months(units, Caveat.MONTH_NOT_REPORTED)}
    """
    given |= {**units.given, "currency": ask.currency, "revenue_kind": ask.revenue_kind}
    return Query((units.sql, months, not_reported("revenue")), parts, given)
