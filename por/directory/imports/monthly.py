"""The files whose rows say something of one subscription in one month. New figures are a new revision of the month."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from por.directory.imports.common import unknown
from por.directory.imports.moves import join_by_time
from por.imports.loading import HERE, Outcome, Places
from por.imports.reading import Unfit
from por.imports.staging import Plain

#: The months that a fact can be of: usage has partitions for these years (migration 0002).
FIRST_MONTH, LAST_MONTH = date(2014, 1, 1), date(2035, 12, 1)


def check_month(month: date) -> None:
    """Raise Unfit if no fact can be of this month."""
    if not FIRST_MONTH <= month <= LAST_MONTH:
        raise Unfit("month", "month_out_of_range", _("The month must be between 2014-01 and 2035-12."))
    if month > timezone.now().date():
        raise Unfit("month", "month_in_future", _("The month cannot be in the future."))


def plain_lines(pattern: re.Pattern[bytes]) -> Plain:
    """Return the function that copies a line that has the pattern, whose first group is a month that can be."""
    first, last = (f"{month:%Y-%m}".encode() for month in (FIRST_MONTH, min(LAST_MONTH, timezone.now().date())))

    def plain(line: bytes) -> bytes | None:
        match = pattern.fullmatch(line)
        if match is None or not first <= match[1] <= last:
            return None
        return b"%b-01%b" % (match[1], line[7:])  # the first day of the month, as it is stored

    return plain


@dataclass(frozen=True)
class Monthly:
    """The statements that merge such a file into `directory_<file>`.

    `part` is the column that tells the rows of a month apart, and `figures` are what a row says.
    """

    file: str
    part: str
    figures: Sequence[str]

    def found(self) -> str:
        """Return the SQL of the rows that differ from what is stored, with the known revision and why they are unfit.

        In the order of the index: to insert them in any other order takes more than twice as long. The day of the start
        is compared first, because it takes far less than its month.
        """
        return f"""
            WITH span AS MATERIALIZED (
                SELECT min(month) AS first, max(month) AS last FROM estate_staged_{self.file}
            )
            SELECT staged.*, false AS apart, subscription.id AS subscription_pk, subscription.customer_id,
                coalesce(known.revision, 0) AS revision,
                CASE
                    WHEN subscription.id IS NULL THEN 'unknown_subscription'
                    WHEN staged.month < subscription.started_on
                        AND staged.month < date_trunc('month', subscription.started_on) THEN 'month_before_start'
                END AS unfit
            FROM estate_staged_{self.file} AS staged
            {join_by_time("staged", "staged.month", "month")}
            LEFT JOIN directory_{self.file} AS known
                ON known.subscription_id = subscription.id AND known.month = staged.month
                AND known.{self.part} = staged.{self.part} AND known.superseded_at IS NULL
                AND known.month BETWEEN (SELECT first FROM span) AND (SELECT last FROM span)
            WHERE known.revision IS NULL OR ({self._figures("staged.")}) IS DISTINCT FROM ({self._figures("known.")})
            ORDER BY subscription.id, staged.month, staged.{self.part}
        """

    def stored(self) -> str:
        """Return the SQL of what is stored. Only of the months and subscriptions in the file: all is far too much."""
        return f"""
            SELECT subscription.subscription_id, known.month, known.{self.part}, {self._figures("known.")}
            FROM estate_staged_{self.file} AS staged
            JOIN directory_subscription AS subscription USING (subscription_id)
            JOIN directory_{self.file} AS known
                ON known.subscription_id = subscription.id AND known.month = staged.month
                AND known.{self.part} = staged.{self.part} AND known.superseded_at IS NULL
        """

    def merge_all(self, places: Places, outcome: Outcome) -> None:
        """Insert a batch of revisions, and close those before them.

        This is the one place that knows which subscriptions, in which months, a batch has changed: those of its found
        lines that are not unfit.
        """
        given = {**places._asdict(), "now": timezone.now()}
        refused = []
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM estate_found_{self.file} WHERE {HERE} AND revision > 0)", given)
            if cursor.fetchone()[0]:
                cursor.execute(self._supersede(), given)
            cursor.execute(self._insert(), given)
            for unfit, number, created, changed in cursor.fetchall():
                if unfit is None:
                    outcome.created[number] += created
                    outcome.changed[number] += changed
                else:
                    refused.append((number, unfit))
        for line, code in sorted(refused):
            outcome.refuse(line, _unfit(code))

    def _figures(self, of: str = "") -> str:
        return ", ".join(f"{of}{one}" for one in self.figures)

    def _supersede(self) -> str:
        """Return the statement that closes the newest revisions, before the next ones are inserted."""
        return f"""
            UPDATE directory_{self.file} AS known SET superseded_at = %(now)s
            FROM estate_found_{self.file} AS found
            WHERE {HERE} AND unfit IS NULL
                AND found.revision > 0 AND known.superseded_at IS NULL AND known.revision = found.revision
                AND known.subscription_id = subscription_pk AND known.month = found.month
                AND known.{self.part} = found.{self.part}
        """

    def _insert(self) -> str:
        """Return the statement that inserts the revisions. It reads the lines once: to insert, count or refuse them."""
        return f"""
            WITH found AS MATERIALIZED (
                SELECT * FROM estate_found_{self.file} WHERE {HERE}
            ), inserted AS (
                INSERT INTO directory_{self.file}
                    (subscription_id, month, {self.part}, revision, {self._figures()}, known_from)
                SELECT subscription_pk, month, {self.part}, revision + 1, {self._figures()}, %(now)s
                FROM found WHERE unfit IS NULL
            )
            SELECT unfit, CASE WHEN unfit IS NULL THEN customer_pk ELSE line END,
                count(*) FILTER (WHERE revision = 0), count(*) FILTER (WHERE revision > 0)
            FROM found GROUP BY 1, 2
        """


def _unfit(code: str) -> Unfit:
    if code == "unknown_subscription":
        return unknown("subscription_id", "subscription")
    return Unfit("month", "month_before_start", _("The subscription had not started in that month."))
