"""The chain's function puts the hashed text together from the columns, which takes less than to build an object first.

The text is that of the jsonb object in migration 0003, byte for byte, so the hashes of older events still hold.
"""

from importlib import import_module

from django.db import migrations

SETTINGS = "SET search_path = pg_catalog, pg_temp SET enable_seqscan = off"

FUNCTION = f"""
CREATE OR REPLACE FUNCTION public.history_chain_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER {SETTINGS} AS $$
DECLARE
    head public.history_chainhead;
BEGIN
    SELECT * INTO head FROM public.history_chainhead WHERE chain = NEW.chain FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO public.history_chainhead (chain, seq, hash) VALUES (NEW.chain, 0, '') ON CONFLICT DO NOTHING;
        SELECT * INTO head FROM public.history_chainhead WHERE chain = NEW.chain FOR NO KEY UPDATE;
    END IF;
    NEW.seq := head.seq + 1;
    NEW.prev := head.hash;
    NEW.hash := encode(sha256(convert_to(concat(NEW.prev,
        '{{"at": ', (extract(epoch FROM NEW.at) * 1000000)::bigint, ', "seq": ', NEW.seq,
        ', "verb": ', to_json(NEW.verb), ', "chain": ', to_json(NEW.chain), ', "reason": ', to_json(NEW.reason),
        ', "changes": ', NEW.changes, ', "parties": ', NEW.parties,
        ', "actor_id": ', coalesce(NEW.actor_id::text, 'null'), ', "object_id": ', to_json(NEW.object_id),
        ', "actor_name": ', to_json(NEW.actor_name), ', "request_id": ', to_json(NEW.request_id),
        ', "object_kind": ', to_json(NEW.object_kind), ', "object_name": ', to_json(NEW.object_name),
        ', "actor_organisation_id": ', coalesce(NEW.actor_organisation_id::text, 'null'),
        ', "actor_organisation_name": ', to_json(NEW.actor_organisation_name), '}}'), 'UTF8')), 'hex');
    UPDATE public.history_chainhead SET seq = NEW.seq, hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END $$;
"""

_names = import_module("por.history.migrations.0003_names_of_the_chain")
BEFORE = _names.FUNCTION.format(path="pg_catalog, pg_temp SET enable_seqscan = off", schema="public.")


class Migration(migrations.Migration):
    dependencies = [("history", "0009_chain_by_index")]
    operations = [migrations.RunSQL(FUNCTION, BEFORE)]
