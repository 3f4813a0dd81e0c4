"""Let the trigger function, which runs with the owner's rights, find only PostgreSQL's own functions and our tables.

With `public` in its search path, a role that may create functions there (every role, by default in PostgreSQL 14)
could create one that matches the arguments better than PostgreSQL's own, and so run code as the owner.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION history_chain_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path} AS $$
DECLARE
    head {schema}history_chainhead;
BEGIN
    SELECT * INTO head FROM {schema}history_chainhead WHERE chain = NEW.chain FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO {schema}history_chainhead (chain, seq, hash) VALUES (NEW.chain, 0, '') ON CONFLICT DO NOTHING;
        SELECT * INTO head FROM {schema}history_chainhead WHERE chain = NEW.chain FOR NO KEY UPDATE;
    END IF;
    NEW.seq := head.seq + 1;
    NEW.prev := head.hash;
    NEW.hash := encode(sha256(convert_to(NEW.prev || jsonb_build_object(
        'chain', NEW.chain, 'seq', NEW.seq, 'at', (extract(epoch FROM NEW.at) * 1000000)::bigint, 'verb', NEW.verb,
        'actor_id', NEW.actor_id, 'actor_name', NEW.actor_name, 'actor_organisation_id', NEW.actor_organisation_id,
        'actor_organisation_name', NEW.actor_organisation_name, 'object_kind', NEW.object_kind,
        'object_id', NEW.object_id, 'object_name', NEW.object_name, 'changes', NEW.changes, 'reason', NEW.reason,
        'request_id', NEW.request_id, 'parties', NEW.parties)::text, 'UTF8')), 'hex');
    UPDATE {schema}history_chainhead SET seq = NEW.seq, hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("history", "0002_chain")]
    operations = [
        migrations.RunSQL(
            FUNCTION.format(path="pg_catalog, pg_temp", schema="public."),
            FUNCTION.format(path="public, pg_temp", schema=""),
        )
    ]
