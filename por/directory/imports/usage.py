"""The import of `usage.csv`. A row with new figures for a month becomes a new revision of that month."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from por.directory.imports.common import unknown
from por.directory.imports.moves import join_by_time
from por.directory.rules import Workload
from por.imports.loading import HERE, File, Line, Outcome, Places
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit
from por.imports.staging import GUID, MONEY, MONTH, NUMBER, Plain

#: The years that usage has partitions for (migration 0002).
FIRST_MONTH, LAST_MONTH = date(2014, 1, 1), date(2035, 12, 1)


@dataclass(slots=True)
class UsageLine(Line):
    month: date
    subscription_id: uuid.UUID
    workload: str
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


def _parse(cells: Cells) -> UsageLine:
    row = UsageLine(
        line=cells.line,
        month=cells.month("month"),
        subscription_id=cells.required_guid("subscription_id"),
        workload=cells.choice("workload", Workload.values, words="workload"),
        paid_units=cells.number("paid_units"),
        active_users=cells.number("active_users"),
        consumed_usd=cells.money("consumed_usd"),
    )
    if not FIRST_MONTH <= row.month <= LAST_MONTH:
        raise Unfit("month", "month_out_of_range", _("The month must be between 2014-01 and 2035-12."))
    if row.month > timezone.now().date():
        raise Unfit("month", "month_in_future", _("The month cannot be in the future."))
    if row.paid_units is None and row.active_users is None and row.consumed_usd is None:
        raise Unfit("paid_units", "missing_value", _("The line has no usage for this month. Enter at least one value."))
    return row


_PLAIN = re.compile(
    rf"({MONTH}),{GUID},(?:{'|'.join(Workload.values)}),(?!,,$)(?:{NUMBER})?,(?:{NUMBER})?,(?:{MONEY})?".encode()
)


def _plain() -> Plain:
    first, last = (f"{month:%Y-%m}".encode() for month in (FIRST_MONTH, min(LAST_MONTH, timezone.now().date())))

    def plain(line: bytes) -> bytes | None:
        match = _PLAIN.fullmatch(line)
        if match is None or not first <= match[1] <= last:
            return None
        return b"%b-01%b" % (match[1], line[7:])  # the first day of the month, as it is stored

    return plain


def _found() -> str:
    """Return the SQL of the rows that differ from what is stored, with the known revision and why they are unfit.

    In the order of the index: to insert them in any other order takes more than twice as long. The day of the start is
    compared first, because it takes far less than its month.
    """
    return f"""
        WITH span AS MATERIALIZED (SELECT min(month) AS first, max(month) AS last FROM estate_staged_usage)
        SELECT staged.*, false AS apart, subscription.id AS subscription_pk, subscription.customer_id,
            coalesce(known.revision, 0) AS revision,
            CASE
                WHEN subscription.id IS NULL THEN 'unknown_subscription'
                WHEN staged.month < subscription.started_on
                    AND staged.month < date_trunc('month', subscription.started_on) THEN 'month_before_start'
            END AS unfit
        FROM estate_staged_usage AS staged
        {join_by_time("staged", "staged.month", "month")}
        LEFT JOIN directory_usage AS known
            ON known.subscription_id = subscription.id AND known.month = staged.month
            AND known.workload = staged.workload AND known.superseded_at IS NULL
            AND known.month BETWEEN (SELECT first FROM span) AND (SELECT last FROM span)
        WHERE known.revision IS NULL OR (staged.paid_units, staged.active_users, staged.consumed_usd)
            IS DISTINCT FROM (known.paid_units, known.active_users, known.consumed_usd)
        ORDER BY subscription.id, staged.month, staged.workload
    """


_ANY_KNOWN = f"SELECT EXISTS (SELECT FROM estate_found_usage WHERE {HERE} AND revision > 0)"
# Closes the newest revisions before the next ones are inserted.
_SUPERSEDE = f"""
    UPDATE directory_usage AS usage SET superseded_at = %(now)s
    FROM estate_found_usage AS found
    WHERE {HERE} AND unfit IS NULL
        AND found.revision > 0 AND usage.superseded_at IS NULL AND usage.revision = found.revision
        AND usage.subscription_id = subscription_pk AND usage.month = found.month AND usage.workload = found.workload
"""
# The lines of a batch are read once: to be inserted, and to be counted or refused.
_INSERT = f"""
    WITH found AS MATERIALIZED (
        SELECT * FROM estate_found_usage WHERE {HERE}
    ), inserted AS (
        INSERT INTO directory_usage
            (subscription_id, month, workload, revision, paid_units, active_users, consumed_usd, known_from)
        SELECT subscription_pk, month, workload, revision + 1, paid_units, active_users, consumed_usd, %(now)s
        FROM found WHERE unfit IS NULL
    )
    SELECT unfit, CASE WHEN unfit IS NULL THEN customer_pk ELSE line END,
        count(*) FILTER (WHERE revision = 0), count(*) FILTER (WHERE revision > 0)
    FROM found GROUP BY 1, 2
"""


def _merge_all(places: Places, outcome: Outcome) -> None:
    given = {**places._asdict(), "now": timezone.now()}
    refused = []
    with connection.cursor() as cursor:
        cursor.execute(_ANY_KNOWN, given)
        if cursor.fetchone()[0]:
            cursor.execute(_SUPERSEDE, given)
        cursor.execute(_INSERT, given)
        for unfit, number, created, changed in cursor.fetchall():
            if unfit is None:
                outcome.created[number] += created
                outcome.changed[number] += changed
            else:
                refused.append((number, unfit))
    for line, code in sorted(refused):
        outcome.refuse(line, _unfit(code))


def _unfit(code: str) -> Unfit:
    if code == "unknown_subscription":
        return unknown("subscription_id", "subscription")
    return Unfit("month", "month_before_start", _("The subscription had not started in that month."))


# Only of the months and subscriptions in the file: all usage is far too much.
_STORED = """
    SELECT subscription.subscription_id, known.month, known.workload, known.paid_units, known.active_users,
        known.consumed_usd
    FROM estate_staged_usage AS staged
    JOIN directory_subscription AS subscription USING (subscription_id)
    JOIN directory_usage AS known
        ON known.subscription_id = subscription.id AND known.month = staged.month
        AND known.workload = staged.workload AND known.superseded_at IS NULL
"""
USAGE = File(
    name="usage.csv",
    columns=Columns(
        every=("month", "subscription_id", "workload", "paid_units", "active_users", "consumed_usd"),
        required=("month", "subscription_id", "workload"),
        numbers=("paid_units", "active_users", "consumed_usd"),
        days=("month",),
        months=("month",),
        closed={"workload": (Workload.values, "workload")},
    ),
    key=["subscription_id", "month", "workload"],
    stored=_STORED,
    line=UsageLine,
    parse=_parse,
    plain=_plain,
    found=_found,
    merge_all=_merge_all,
)
