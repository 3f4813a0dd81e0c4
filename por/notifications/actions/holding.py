"""Mail about what an import has changed: it waits for the end of the import, and then each recipient gets one."""

from __future__ import annotations

from django.db import connection, transaction
from django.utils import timezone

from por.db.locks import is_held
from por.history.models import Outbox
from por.imports.loading import IMPORTING
from por.notifications.models import SUMMARY, Delivery
from por.queue.rules import priority_of

#: An event that has failed this often holds up the mail about others no longer.
TRIED = 1


@transaction.atomic
def release() -> int:
    """Let the held mail leave, once no import is under way and its events are read; return how many rows were held.

    Who would get several gets one about all of them. It may come in two parts if an import was killed and begins again.
    """
    held = Delivery.objects.held()
    if not held.exists() or is_held(IMPORTING):
        return 0
    # Events that the clock or an import has caused. Each is done in the transaction that adds the mail about it.
    if Outbox.objects.waiting().filter(priority=priority_of(None), attempts__lte=TRIED).exists():
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('release held mail'), 0)")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_RELEASE, {"summary": SUMMARY, "now": timezone.now()})
        count: int = cursor.rowcount
    return count


_RELEASE = """
WITH held AS MATERIALIZED (
    SELECT *, count(*) OVER (PARTITION BY organisation_id, recipient) AS count
    FROM notifications_delivery WHERE status = 'held'
), made AS (
    INSERT INTO notifications_delivery (event_id, organisation_id, user_id, recipient, channel, template, language,
        time_zone, message_id, status, created_at, next_at, attempts, last_error, is_taken, priority)
    SELECT DISTINCT ON (organisation_id, recipient) event_id, organisation_id, user_id, recipient, channel,
        %(summary)s, language, time_zone, gen_random_uuid(), 'waiting', %(now)s, %(now)s, 0, '', false, priority
    FROM held WHERE count > 1
    ORDER BY organisation_id, recipient, event_id DESC
    ON CONFLICT DO NOTHING
    RETURNING id, organisation_id, recipient
)
UPDATE notifications_delivery AS one
SET status = CASE WHEN made.id IS NULL THEN 'waiting' ELSE 'summed' END, summary_id = made.id, next_at = %(now)s
FROM held LEFT JOIN made USING (organisation_id, recipient)
WHERE one.id = held.id
"""
