"""What one would write by hand for a question of a programme: a GROUP BY of the rows by partner, and nothing else.

It takes who is credited now for both months, and knows no companies, no periods and nothing that is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from associations.record.policies import months_before
from associations.record.rules import TENANT_KINDS, AssociationKind
from competencies.facts import Question
from competencies.measures.asking import Ask

_NOW = "one.undone_at IS NULL AND one.ended_at IS NULL AND NOT subscription.is_trial"
_SIZE = """
    SELECT customer_id, month, max(units) AS units FROM (
        SELECT subscription.customer_id, usage.month, usage.workload, sum(paid_units) AS units
        FROM directory_usage AS usage JOIN directory_subscription AS subscription
            ON subscription.id = usage.subscription_id
        WHERE usage.superseded_at IS NULL AND NOT is_trial AND usage.month = ANY(%(months)s)
            AND usage.workload = ANY(%(words)s) {theirs} GROUP BY 1, 2, 3
    ) AS workloads GROUP BY 1, 2
"""
_OF_SIZE = """
    WITH used AS (
        SELECT partner_id, customer_id, month, usage.workload, sum(paid_units) AS paid, sum(active_users) AS active
        FROM ({records}) AS record {usage} GROUP BY 1, 2, 3, 4
    ), size AS ({size})
    SELECT partner_id, {figure} FROM used JOIN size USING (customer_id, month)
    WHERE units BETWEEN %(low)s AND %(high)s {where} GROUP BY 1
"""
_USAGE = """
    JOIN directory_usage AS usage ON usage.subscription_id = record.subscription_id {of_workload}
        AND usage.superseded_at IS NULL AND usage.month = ANY(%(months)s) {words}
"""
_SPENT = """
    SELECT partner_id, count(DISTINCT customer_id) FROM (
        SELECT partner_id, customer_id, month, sum(consumed_usd) AS usd
        FROM ({records}) AS record {usage} GROUP BY 1, 2, 3
    ) AS spent WHERE usd >= %(spending)s GROUP BY 1
"""
_SUM = "SELECT partner_id, sum(consumed_usd), count(*) FROM ({records}) AS record {usage} GROUP BY 1"
_SERVICES = """
    SELECT partner_id, count(DISTINCT service) FROM ({records}) AS record
    JOIN directory_consumption AS consumption ON consumption.subscription_id = record.subscription_id
        AND consumption.superseded_at IS NULL AND consumption.month = ANY(%(months)s) AND amount_usd > 0
    GROUP BY 1
"""
_COUNT = "count(DISTINCT customer_id) FILTER (WHERE month = %(newest)s)"
_GROWTH = "sum(CASE WHEN month = %(newest)s THEN active ELSE -active END)"


def plain(question: Question, partners: Sequence[int] | None) -> tuple[str, dict[str, Any]]:
    """Return the statement for a question of the programmes of today, of all partners or some, with its parameters."""
    ask = question.ask
    newest = ask.newest_month
    months = [newest, months_before(newest, 12)] if ask.window.year_on_year else ask.months
    given: dict[str, Any] = {
        "newest": newest,
        "months": months,
        "words": list(ask.only.workload),
        "products": list(ask.only.product),
        "kinds": [kind.value for kind in ask.credit.kinds_on(ask.day)],
        "low": ask.size.low if ask.size else None,
        "high": (ask.size.high if ask.size else None) or 2**31 - 1,
        "spending": ask.spending,
        "partners": list(partners or ()),
    }
    records = _records(ask, "" if partners is None else "AND one.partner_id = ANY(%(partners)s)")
    of_workload = "AND coalesce(usage.workload = record.workload, true)" if _by_workload(ask) else ""
    words = "AND usage.workload = ANY(%(words)s)" if ask.only.workload else ""
    usage = _USAGE.format(of_workload=of_workload, words=words)
    if question.measure == "services":
        return _SERVICES.format(records=records), given
    if question.measure == "consumption":
        return _SUM.format(records=records, usage=usage), given
    if ask.spending is not None:
        return _SPENT.format(records=records, usage=usage), given
    theirs = "" if partners is None else "AND subscription.customer_id IN (SELECT customer_id FROM used)"
    figure = _GROWTH if question.measure == "active_users" else _COUNT
    where = "AND active >= 0.4 * paid" if question.measure == "deployed_tenants" else ""
    size = _SIZE.format(theirs=theirs)
    return _OF_SIZE.format(records=records, usage=usage, size=size, figure=figure, where=where), given


def _by_workload(ask: Ask) -> bool:
    return AssociationKind.CPOR in ask.credit.kinds_on(ask.day)


def _records(ask: Ask, whose: str) -> str:
    """Return SQL with the subscriptions of each partner, once each; with the workload of a claim."""
    kinds = ask.credit.kinds_on(ask.day)
    product = "AND product = ANY(%(products)s)" if ask.only.product else ""
    branches = []
    if any(kind not in TENANT_KINDS for kind in kinds):
        branches.append(("one.subscription_id = subscription.id", "NULL::varchar"))
    if any(kind in TENANT_KINDS for kind in kinds):
        branches.append(("one.subscription_id IS NULL AND one.customer_id = subscription.customer_id", "NULL::varchar"))
    if _by_workload(ask):
        branches.append(("one.workload <> '' AND one.customer_id = subscription.customer_id", "one.workload"))
    return " UNION ".join(
        f"""
        SELECT one.partner_id, subscription.customer_id, subscription.id AS subscription_id, {workload} AS workload
        FROM associations_association AS one JOIN directory_subscription AS subscription ON {join}
        WHERE one.kind = ANY(%(kinds)s) AND {_NOW} {product} {whose}
        """
        for join, workload in branches
    )
