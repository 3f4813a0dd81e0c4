"""New events also hash when the database recorded them, by its own clock, and `at` is at most a minute away from that.

The trigger sets `recorded_at` and `hash_version`, whatever the insert gives, so code of the release before writes such
events too. Older events keep version 1, whose text has neither. The version is part of the text of version 2, so an
event that is made to look older no longer fits its hash.
"""

from datetime import timedelta
from importlib import import_module

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import F, Q

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
    NEW.recorded_at := clock_timestamp();
    NEW.hash_version := 2;
    NEW.hash := encode(sha256(convert_to(concat(NEW.prev,
        '{{"at": ', (extract(epoch FROM NEW.at) * 1000000)::bigint, ', "seq": ', NEW.seq,
        ', "verb": ', to_json(NEW.verb), ', "chain": ', to_json(NEW.chain), ', "reason": ', to_json(NEW.reason),
        ', "changes": ', NEW.changes, ', "parties": ', NEW.parties,
        ', "actor_id": ', coalesce(NEW.actor_id::text, 'null'), ', "object_id": ', to_json(NEW.object_id),
        ', "actor_name": ', to_json(NEW.actor_name), ', "request_id": ', to_json(NEW.request_id),
        ', "object_kind": ', to_json(NEW.object_kind), ', "object_name": ', to_json(NEW.object_name),
        ', "recorded_at": ', (extract(epoch FROM NEW.recorded_at) * 1000000)::bigint,
        ', "hash_version": ', NEW.hash_version,
        ', "actor_organisation_id": ', coalesce(NEW.actor_organisation_id::text, 'null'),
        ', "actor_organisation_name": ', to_json(NEW.actor_organisation_name), '}}'), 'UTF8')), 'hex');
    UPDATE public.history_chainhead SET seq = NEW.seq, hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END $$;
"""

BEFORE = import_module("por.history.migrations.0010_hashed_text").FUNCTION
MINUTE = timedelta(seconds=60)


class Migration(migrations.Migration):
    dependencies = [("history", "0011_work_in_batches")]
    operations = [
        migrations.AddField("event", "recorded_at", models.DateTimeField(null=True)),
        migrations.AddField("event", "hash_version", models.SmallIntegerField(db_default=1, default=1)),
        migrations.RunSQL(FUNCTION, BEFORE),
        # The events of before have no `recorded_at`, so there is nothing to look through while others wait.
        AddConstraintNotValid(
            "event",
            models.CheckConstraint(
                condition=Q(recorded_at=None) | Q(at__gte=F("recorded_at") - MINUTE, at__lte=F("recorded_at") + MINUTE),
                name="an_event_is_recorded_when_it_happens",
            ),
        ),
    ]
