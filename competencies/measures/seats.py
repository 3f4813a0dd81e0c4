"""The measure of seats sold: those of credited subscriptions that began in the window."""

from __future__ import annotations

from competencies.measures.asking import Ask, Query
from competencies.measures.figures import Caveat
from competencies.measures.parts import nothing_in
from por.programs.calendars import newest_month


def seats_of_new_subscriptions(ask: Ask) -> Query:
    """Return the query of seats of credited subscriptions that began in the window of days and replace none.

    A subscription has the paid units of its largest workload in the newest month that reports any, else today's seats,
    because there is no history of seats.
    """
    units = ask.units()
    parts = f"""
        SELECT 0 AS asked, company, customer_id, subscription_id, NULL::varchar AS workload, started_on AS month,
            coalesce(newest.paid, seats, 0)::numeric AS amount, CASE
                WHEN newest.paid IS NOT NULL THEN 0
                WHEN seats IS NOT NULL THEN {Caveat.SEATS_OF_TODAY.value}
                ELSE {Caveat.SEATS_UNKNOWN.value}
            END AS caveat
        FROM sold LEFT JOIN LATERAL ({_NEWEST}) AS newest ON true
    """
    begun = ["begun.id = units.subscription_id", "begun.replaces_id IS NULL"]
    begun += ["begun.started_on > %(days_after)s", "begun.started_on <= %(day)s"]
    sold = f"""sold AS (
        SELECT units.company, units.customer_id, units.subscription_id, begun.seats, begun.started_on
        FROM units {units.rows_of("directory_subscription", "begun", begun)}
    )"""
    given = {**units.given, "day": ask.day, "days_after": ask.days_after, "newest": newest_month(ask.day)}
    return Query((units.sql, sold), parts, given, nothing_in("directory_subscription"))


# Few subscriptions are new, so each one's months are looked up.
_NEWEST = """
    SELECT usage.month, max(usage.paid_units) AS paid FROM directory_usage AS usage
    WHERE usage.subscription_id = sold.subscription_id AND usage.superseded_at IS NULL
        AND usage.paid_units IS NOT NULL AND usage.month <= %(newest)s
        AND usage.month >= date_trunc('month', %(days_after)s::date)
    GROUP BY usage.month ORDER BY usage.month DESC LIMIT 1
"""
