"""What a worker takes: companies that wait, locked, and the days of theirs that it computes together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from por.queue.rules import MAX_ATTEMPTS

#: The work for which a worker takes the lock of a company.
WORK = "competencies"
#: How many companies are computed together: a statement for each measure, whatever their number.
TOGETHER = 50
#: How many stored days are computed together, beside today.
DAYS_TOGETHER = 10
#: How many waiting rows that people have caused count as much. While so many wait, a company waits until the first of
#: its rows is old enough, and is computed once for all that came meanwhile.
MUCH = 100
OLD_ENOUGH = timedelta(seconds=30)
_MUCH_WAITS = """
    SELECT count(*) >= %(much)s
    FROM (SELECT FROM competencies_recompute WHERE priority = 0 AND attempts = 0 LIMIT %(much)s) AS act
"""


# The companies of associations, and the customers that a change of these concerns: theirs, and those to whom a
# subscription has moved since. `one` is the association.
CONCERNED = """
    JOIN accounts_organisation AS partner ON partner.id = one.partner_id
    LEFT JOIN directory_subscription AS moved ON moved.id = one.subscription_id
    CROSS JOIN LATERAL (VALUES (one.customer_id), (coalesce(moved.customer_id, one.customer_id))) AS of (customer_id)
"""


class Span(NamedTuple):
    """The days of which a company is computed: today if `until` is None, and the stored ones between both."""

    since: date
    until: date | None = None


class Turn(NamedTuple):
    """A row of a company that a worker has locked."""

    key: int
    company: int
    since: date
    until: date | None
    round: int | None
    attempts: int
    has_changed: bool
    customers: list[int] | None = None

    @property
    def is_of_today(self) -> bool:
        """Return whether today is computed, or one day alone; otherwise, older days are left."""
        return self.until is None or self.until == self.since


class Batch(NamedTuple):
    """Rows of companies that a worker computes together."""

    turns: list[Turn]

    @property
    def is_full(self) -> bool:
        """Return whether more companies may wait."""
        return len(self.turns) >= TOGETHER

    @property
    def keys(self) -> list[int]:
        return [turn.key for turn in self.turns]

    def changed(self, company: int) -> set[int] | None:
        """Return the customers of which something has changed for a company; None if that is not known."""
        changed: set[int] = set()
        for turn in self.turns:
            if turn.company == company and turn.is_of_today:
                if turn.customers is None:
                    return None
                changed.update(turn.customers)
        return changed

    @property
    def spans(self) -> dict[int, Span]:
        """Return the days that the rows of each company ask for, together."""
        found: dict[int, Span] = {}
        for turn in self.turns:
            known = found.get(turn.company, Span(turn.since, turn.until))
            ends = known.until and turn.until
            found[turn.company] = Span(min(known.since, turn.since), ends and max(ends, known.until or ends))
        return found


def locked(of_round: int | None = None) -> Batch | None:
    """Return the waiting rows of some companies, perhaps only those of a round, locked; None if none waits.

    All of them have the same priority, or ask for nothing more than what is computed anyway: so an act of a person
    waits for no round. The lock of a company is held until the transaction ends; a row that came meanwhile waits for
    the next batch. Rows that another worker has are passed over, so several workers share a round. While much waits,
    companies of which all rows are young are passed over too.
    """
    given: dict[str, Any] = {
        "tries": MAX_ATTEMPTS,
        "most": TOGETHER,
        "round": of_round,
        "work": WORK,
        "today": timezone.now().date(),
        "much": MUCH,
        "old": OLD_ENOUGH,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH first AS MATERIALIZED (
                SELECT company_id, priority FROM competencies_recompute
                WHERE next_at <= now() AND attempts < %(tries)s AND (%(round)s IS NULL OR round_id = %(round)s)
                    AND (priority > 0 OR inserted_at <= now() - %(old)s OR NOT ({_MUCH_WAITS}))
                ORDER BY priority, id LIMIT %(most)s FOR UPDATE SKIP LOCKED
            ), free AS MATERIALIZED (
                SELECT company_id, priority FROM (
                    SELECT DISTINCT company_id, priority FROM first
                    WHERE priority = (SELECT min(priority) FROM first) ORDER BY company_id
                ) AS one
                WHERE pg_try_advisory_xact_lock(hashtext(%(work)s), company_id::int)
            )
            SELECT waiting.id, waiting.company_id, waiting.since, waiting.until, waiting.round_id, waiting.attempts,
                waiting.has_changed, waiting.customers
            FROM competencies_recompute AS waiting JOIN free USING (company_id)
            WHERE waiting.next_at <= now() AND (
                waiting.priority <= free.priority OR (waiting.since >= %(today)s AND waiting.until IS NULL)
            )
            ORDER BY waiting.id FOR UPDATE OF waiting SKIP LOCKED
            """,
            given,
        )
        turns = [Turn(*row) for row in cursor.fetchall()]
    return Batch(turns) if turns else None


def much_waits() -> bool:
    """Return whether so much waits that companies wait for more changes."""
    with connection.cursor() as cursor:
        cursor.execute(_MUCH_WAITS, {"much": MUCH})
        [(is_much,)] = cursor.fetchall()
    return bool(is_much)


def days_stored(spans: Mapping[int, Span]) -> tuple[list[tuple[int, date]], date | None]:
    """Return the newest days of which something is stored, with the companies, and the newest day that is left."""
    wanted = """
        FROM competencies_attainment AS stored
        JOIN unnest(%(companies)s::bigint[], %(since)s::date[], %(until)s::date[]) AS wanted (company_id, since, until)
            ON stored.company_id = wanted.company_id AND stored.day >= wanted.since
                AND (wanted.until IS NULL OR stored.day <= wanted.until)
    """
    given: dict[str, Any] = {
        "companies": list(spans),
        "since": [span.since for span in spans.values()],
        "until": [span.until for span in spans.values()],
        "most": DAYS_TOGETHER + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT stored.day {wanted} ORDER BY 1 DESC LIMIT %(most)s", given)
        newest = [day for (day,) in cursor.fetchall()]
        if not newest:
            return [], None
        taken = newest[:DAYS_TOGETHER]
        given["oldest"] = taken[-1]
        cursor.execute(f"SELECT DISTINCT stored.company_id, stored.day {wanted} AND stored.day >= %(oldest)s", given)
        return cursor.fetchall(), newest[DAYS_TOGETHER] if len(newest) > DAYS_TOGETHER else None
