"""Checks of the record by SQL, without the product's code."""

from __future__ import annotations

from django.db import connection

OVERLAPS = """
SELECT count(*) FROM associations_association a JOIN associations_association b
ON a.subscription_id = b.subscription_id AND a.id < b.id AND a.kind = 'dpor' AND b.kind = 'dpor'
AND a.undone_at IS NULL AND b.undone_at IS NULL
AND tstzrange(a.began_at, a.ended_at, '[)') && tstzrange(b.began_at, b.ended_at, '[)')
"""


def overlaps() -> int:
    """Return how many pairs of periods of a partner of record overlap on one subscription."""
    with connection.cursor() as cursor:
        cursor.execute(OVERLAPS)
        return int(cursor.fetchone()[0])


def most_partners() -> int:
    """Return the most partners of record that a subscription has now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM associations_association"
            " WHERE kind = 'dpor' AND ended_at IS NULL AND undone_at IS NULL GROUP BY subscription_id) AS open"
        )
        return int(cursor.fetchone()[0])
