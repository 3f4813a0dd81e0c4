"""Comparing each association with the newest event that describes it, to find what was changed without an event."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection

from associations.record import describing
from associations.record.describing import FINGERPRINT, SAID
from por.queue.periodic import due

PERIODIC_RUN = "check associations"
EVERY = timedelta(hours=1)
#: The most chains that are compared in one statement, and the most findings that are kept.
CHAINS, KEPT = 1000, 1000

#: The events that change associations. From the release before this one they come without fingerprints, while its
#: processes still run beside those of this one. What they did is described by the next run.
CHANGING = [
    *(f"partner_of_record.{what}" for what in ("attached", "removed", "attach_undone", "removal_undone", "dated_back")),
    *("partner_of_record.ended", "partner_of_record.carried_over", "association.ended"),
    *("change_request.answered", "change_request.answer_undone"),
]


class Finding(NamedTuple):
    """An association that is not as the events of its customer's chain say. The id is that in the events."""

    chain: str
    association: str
    why: str


def examine() -> Iterator[Finding]:
    """Yield each association that was changed, deleted or added without an event."""
    for finding, is_undescribed in _compare():
        if not is_undescribed:
            yield finding


def check() -> None:
    """Compare all associations once an hour and keep what differs, for /metrics and the staff.

    What the release before this one has changed is described, so that the next run can check it too.
    """
    with due(PERIODIC_RUN, EVERY) as mine:
        if not mine:
            return
        kept: list[Finding] = []
        undescribed: list[int] = []
        for finding, is_undescribed in _compare():
            if is_undescribed:
                undescribed.append(int(finding.association))
            elif len(kept) < KEPT:
                kept.append(finding)
        describing.describe(undescribed)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM associations_unexplained")
            cursor.execute(
                "INSERT INTO associations_unexplained (chain, association, why)"
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])",
                [list(column) for column in zip(*kept, strict=True)] if kept else [[], [], []],
            )


def _compare() -> Iterator[tuple[Finding, bool]]:
    """Yield what differs, and whether an event of the release before may have changed it.

    The chains come from their heads, which the application cannot write. So those of deleted customers are read too.
    """
    last = ""
    while chains := [chain for (chain,) in _rows(_CHAINS, last=last, most=CHAINS)]:
        customers = [int(key) for chain in chains if len(key := chain.partition(":")[2]) < 19 and key.isdecimal()]
        for *finding, is_undescribed in _rows(_DIFFERENT, chains=chains, customers=customers, changing=CHANGING):
            yield Finding(*finding), is_undescribed
        last = chains[-1]
    for added in _rows(_WITHOUT_CHAIN):
        yield Finding(*added), False


def _rows(sql: str, **given: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


_CHAINS = """
SELECT chain FROM history_chainhead WHERE chain > %(last)s AND starts_with(chain, 'organisation:')
ORDER BY chain LIMIT %(most)s
"""

# The rows of an import that is under way are described once its file is in, and until then its counts wait.
_WAITS = """
    SELECT FROM estate_loaded AS loaded
    WHERE loaded.file IN ('associations.csv', 'claims.csv') AND loaded.organisation_id = customer_id
"""
# The keys of customers are no constants here, nor are the chains in SAID: PostgreSQL would take long to plan so many.
_DIFFERENT = f"""
WITH said AS (
    SELECT DISTINCT ON (chain, id) * FROM ({SAID}) AS said ORDER BY chain, id, position DESC, seq DESC
), stored AS (
    SELECT 'organisation:' || one.customer_id AS chain, one.id::text AS id, one.customer_id, one.subscription_id,
        {FINGERPRINT} AS fingerprint
    FROM associations_association AS one WHERE one.customer_id = ANY(ARRAY(SELECT unnest(%(customers)s)))
), different AS (
    SELECT coalesce(stored.chain, said.chain) AS chain, coalesce(stored.id, said.id) AS id, customer_id,
        subscription_id, stored.fingerprint AS stored, said.fingerprint AS said, coalesce(position, 0) AS position
    FROM stored FULL JOIN said ON said.chain = stored.chain AND said.id = stored.id
    WHERE stored.fingerprint IS DISTINCT FROM said.fingerprint
)
SELECT chain, id, CASE
        WHEN said IS NULL THEN 'it was added without an event'
        WHEN stored IS NULL THEN 'it was deleted without an event'
        ELSE 'it was changed without an event'
    END,
    stored IS NOT NULL AND EXISTS (
        SELECT FROM history_event AS event
        WHERE event.chain = different.chain AND event.seq > different.position AND event.hash_version > 1
            AND event.verb = ANY(%(changing)s) AND NOT event.changes ? 'fingerprints'
            AND (event.object_kind, event.object_id) IN (
                SELECT 'subscription', subscription_id::text FROM directory_subscription
                WHERE id = different.subscription_id
                UNION ALL
                SELECT 'customer', tenant_id::text FROM directory_customer
                WHERE organisation_id = customer_id AND different.subscription_id IS NULL
            )
    )
FROM different WHERE said IS NOT NULL OR NOT EXISTS ({_WAITS})
ORDER BY chain, id
"""
_WITHOUT_CHAIN = f"""
SELECT 'organisation:' || customer_id, one.id::text, 'it was added without an event'
FROM associations_association AS one
WHERE NOT EXISTS (SELECT FROM history_chainhead WHERE chain = 'organisation:' || customer_id) AND NOT EXISTS ({_WAITS})
"""
