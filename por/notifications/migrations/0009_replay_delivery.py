"""Let the web server ask for one change of a delivery: a failed one waits again, with all tries left.

The web server's role may not update deliveries. This function has the owner's rights and can do nothing else: it marks
nothing as sent, and it changes no recipient. It locks the row, so of two people at the same time one gets it.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION notifications_replay_delivery(key bigint) RETURNS TABLE (status varchar, attempts smallint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.notifications_delivery AS work SET status = 'waiting', attempts = 0, next_at = clock_timestamp()
    FROM (
        SELECT id, status, attempts FROM public.notifications_delivery
        WHERE id = key AND status IN ('refused', 'dead') FOR NO KEY UPDATE
    ) AS before
    WHERE work.id = before.id
    RETURNING before.status, before.attempts
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0008_no_one_to_tell")]
    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION notifications_replay_delivery(bigint);")]
