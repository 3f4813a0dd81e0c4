"""Let the web server ask for one change of the outbox: a given-up event waits again, with all tries left.

The web server's role may not update the outbox. This function has the owner's rights and can do nothing else: it makes
no row done, and it delays none. It locks the row, so of two people at the same time one gets it.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION history_replay_event(key bigint) RETURNS TABLE (dead_at timestamptz, attempts smallint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.history_outbox AS work SET dead_at = NULL, attempts = 0, next_at = clock_timestamp()
    FROM (
        SELECT event_id, dead_at, attempts FROM public.history_outbox
        WHERE event_id = key AND done_at IS NULL AND dead_at IS NOT NULL FOR NO KEY UPDATE
    ) AS before
    WHERE work.event_id = before.event_id
    RETURNING before.dead_at, before.attempts
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("history", "0012_recorded_at")]
    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION history_replay_event(bigint);")]
