"""The usage of all subscriptions of a partner of record, added up by month.

The sums of a large partner are kept, and with them the keys of the subscriptions that they count. A reader adds the
usage of subscriptions that have come since, and takes off that of those that have gone. After an import of usage, kept
sums no longer hold, and the reader adds up all usage until they are counted anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.db.models.expressions import RawSQL
from django.utils import timezone

from associations.record.access import FEW
from associations.record.usage import MonthOfUsage, Totals, UseOfWorkload, by_change, months_of_changes
from por.accounts.models import Actor
from por.db.prepared import Param, Statement
from por.directory.access import partner_ids
from por.directory.models import Usage, UsageVersion
from por.queue.periodic import due

#: How many of the subscriptions whose use has changed most are kept. Some of them will have gone when they are read.
MOST = 100
#: The sums of a partner are counted anew when more subscriptions than this have come or gone; it is looked at EVERY so
#: often.
MANY = 200
EVERY = timedelta(minutes=10)
#: How long usage must have been the same before sums are counted: an import changes it again and again.
SETTLED = timedelta(seconds=30)


@dataclass(frozen=True)
class UseOfRecord:
    """The usage of all subscriptions that a partner is partner of record for now, oldest month first.

    In `seats`, the months over all workloads, a subscription counts with its largest workload. `newest` adds up the
    newest month of each subscription.
    """

    workloads: list[UseOfWorkload]
    seats: list[MonthOfUsage]
    newest: Totals


def use_of_record(actor: Actor, since: date | None = None) -> UseOfRecord:
    """Return the use of the subscriptions whose partner of record is the actor's today: all months, or from one on."""
    partners = [pk for pk in partner_ids(actor) if pk is not None]
    workloads, seats, newest = [], [], Totals(0, None, None, None)
    for month, workload, count, *figures in _READ.rows(
        {"partners": partners, "since": since or date.min, "until": timezone.now().date()}
    ):
        if month is None:
            newest = Totals(count, *figures)
        elif workload:
            workloads.append(UseOfWorkload(month, workload, *figures))
        else:
            seats.append(MonthOfUsage(month, *figures))
    return UseOfRecord(workloads, seats, newest)


# What is kept, and what has come or gone since. It is one statement, so it sees one state of the database.
_DIFFERING = """
    WITH kept AS MATERIALIZED (
        SELECT partner_id, subscriptions, sums, changed_in, changes FROM associations_usagesums
        WHERE partner_id = ANY(%s) AND version = (SELECT coalesce(max(number), 0) FROM directory_usageversion)
    ), held AS MATERIALIZED (
        SELECT partner_id, subscription_id AS id FROM associations_association
        WHERE partner_id = ANY(%s) AND kind = 'dpor' AND ended_at IS NULL AND undone_at IS NULL
    ), differing AS MATERIALIZED (
        SELECT id, CASE WHEN counted.id IS NULL THEN 1 ELSE -1 END AS sign
        FROM held FULL JOIN (SELECT partner_id, unnest(subscriptions) AS id FROM kept) AS counted USING (partner_id, id)
        WHERE held.id IS NULL OR counted.id IS NULL
    )
"""
# A figure that no one knows is null, so each sum has a count of the figures that it adds up.
_SUMS = f"""
    {_DIFFERING}, summed AS (
        SELECT month, workload, newest, sum(count)::bigint AS count, sum(paid)::bigint AS paid,
            sum(paid_of)::bigint AS paid_of, sum(active)::bigint AS active, sum(active_of)::bigint AS active_of,
            sum(money) AS money, sum(money_of)::bigint AS money_of
        FROM (
            SELECT one.* FROM kept CROSS JOIN LATERAL jsonb_to_recordset(sums) AS one (
                month date, workload text, newest boolean, count bigint, paid bigint, paid_of bigint, active bigint,
                active_of bigint, money numeric, money_of bigint
            )
            WHERE month BETWEEN %s AND %s
            UNION ALL
            SELECT month, workload, false, sign * count(*), sign * sum(paid_units), sign * count(paid_units),
                sign * sum(active_users), sign * count(active_users),
                sign * sum(consumed_usd), sign * count(consumed_usd)
            FROM differing JOIN directory_usage ON subscription_id = differing.id AND superseded_at IS NULL
            WHERE month BETWEEN %s AND %s GROUP BY month, workload, sign
            UNION ALL
            SELECT month, '', newest, sign * count(*), sign * sum(paid), sign * count(paid),
                sign * sum(active), sign * count(active), sign * sum(money), sign * count(money)
            FROM differing CROSS JOIN LATERAL (
                SELECT month, month = max(month) OVER () AS newest,
                    max(paid_units) AS paid, max(active_users) AS active, sum(consumed_usd) AS money
                FROM directory_usage
                WHERE subscription_id = differing.id AND superseded_at IS NULL AND month BETWEEN %s AND %s
                GROUP BY month
            ) AS whole
            GROUP BY month, newest, sign
        ) AS each GROUP BY month, workload, newest HAVING sum(count) > 0
    )
"""
_GIVEN = [Param("partners"), Param("partners"), *[Param("since"), Param("until")] * 3]
_FIGURES = """
    sum(count)::bigint, CASE WHEN sum(paid_of) > 0 THEN sum(paid)::bigint END,
    CASE WHEN sum(active_of) > 0 THEN sum(active)::bigint END, CASE WHEN sum(money_of) > 0 THEN sum(money) END
"""
_READ = Statement(
    f"""
    {_SUMS}
    SELECT month, workload, {_FIGURES} FROM summed GROUP BY month, workload
    UNION ALL SELECT NULL, '', {_FIGURES} FROM summed WHERE newest HAVING count(*) > 0
    ORDER BY month, workload
    """,
    _GIVEN,
)


def most_changed(actor: Actor, later: date, count: int) -> list[int] | None:
    """Return the keys of so many subscriptions of record whose use has changed most up to a month, and of some others.

    Return None where they are not kept, and would have to be looked for among all.
    """
    partners = [pk for pk in partner_ids(actor) if pk is not None]
    given = {"partners": partners, "later": later, "count": count, "most": MOST, "few": FEW}
    [(keys, is_enough)] = _MOST_CHANGED.rows(given)
    return keys if is_enough else None


# Those of the kept ones that are still of record, and those that have come since.
_MOST_CHANGED = Statement(
    f"""
    {_DIFFERING}, still AS MATERIALIZED (
        SELECT partner_id, id FROM kept CROSS JOIN unnest(changes) AS id JOIN held USING (partner_id, id)
    ), come AS MATERIALIZED (
        SELECT id FROM differing WHERE sign > 0 LIMIT %s + 1
    )
    SELECT ARRAY(SELECT id FROM still UNION ALL SELECT id FROM come),
        (SELECT count(*) FROM come) <= %s AND NOT EXISTS (
            SELECT FROM kept WHERE changed_in <> %s OR cardinality(changes) = %s
                AND (SELECT count(*) FROM still WHERE still.partner_id = kept.partner_id) < %s
        )
    """,
    [Param("partners"), Param("partners"), *map(Param, ("few", "few", "later", "most", "count"))],
)


# --- Keeping --------------------------------------------------------------------------------------------------------


def keep_sums() -> int:
    """Count the sums anew that are old, and those of partners that have none and need some; return how many.

    It never matters when this runs, or whether two do: kept sums say which usage and which subscriptions they count.
    """
    raised_at = UsageVersion.objects.values_list("raised_at", flat=True).first()
    unchanged = timezone.now() - raised_at if raised_at else SETTLED + EVERY
    if unchanged < SETTLED:
        return 0
    # Once when the usage has settled, then from time to time.
    with due("sums of usage", min(EVERY, unchanged - SETTLED)) as mine, connection.cursor() as cursor:
        if not mine:
            return 0
        earlier, later = months_of_changes(timezone.now().date())
        held = Usage.objects.current().filter(subscription_id__in=RawSQL("SELECT id FROM held", []))
        changes, of_changes = by_change(held, earlier, later).values("subscription_id")[:MOST].query.sql_with_params()
        keep = _KEEP.format(changes=changes)
        cursor.execute(_OLD, [MANY, later])
        partners = [partner for (partner,) in cursor.fetchall()]
        for partner in partners:
            months = [date.min, date.max] * 3
            cursor.execute(keep, [[partner], [partner], *months, partner, later, *of_changes])
    return len(partners)


# Partners of which more subscriptions than MANY have come or gone, or whose changes are those of an older month.
_OLD = """
    WITH kept AS (
        SELECT partner_id, unnest(subscriptions) AS id FROM associations_usagesums
        WHERE version = (SELECT coalesce(max(number), 0) FROM directory_usageversion)
    ), held AS (
        SELECT partner_id, subscription_id AS id FROM associations_association
        WHERE kind = 'dpor' AND ended_at IS NULL AND undone_at IS NULL
    )
    SELECT partner_id FROM held FULL JOIN kept USING (partner_id, id)
    WHERE held.id IS NULL OR kept.id IS NULL GROUP BY partner_id HAVING count(*) > %s
    UNION SELECT partner_id FROM associations_usagesums WHERE changed_in <> %s ORDER BY partner_id
"""
# Counted from what is kept, if it is still valid, so this takes as long as reading does.
_KEEP = f"""
    {_SUMS}
    INSERT INTO associations_usagesums (partner_id, version, subscriptions, sums, changed_in, changes)
    SELECT %s, (SELECT coalesce(max(number), 0) FROM directory_usageversion),
        ARRAY(SELECT id FROM held ORDER BY id), (SELECT coalesce(jsonb_agg(summed), '[]') FROM summed),
        %s, ARRAY({{changes}})
    ON CONFLICT (partner_id) DO UPDATE SET version = excluded.version, subscriptions = excluded.subscriptions,
        sums = excluded.sums, changed_in = excluded.changed_in, changes = excluded.changes
"""
