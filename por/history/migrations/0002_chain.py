"""The chain: the database itself numbers and hashes events, and lets no one change them."""

from django.db import migrations

CHAIN = """
CREATE FUNCTION history_chain_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head history_chainhead;
BEGIN
    SELECT * INTO head FROM history_chainhead WHERE chain = NEW.chain FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO history_chainhead (chain, seq, hash) VALUES (NEW.chain, 0, '') ON CONFLICT DO NOTHING;
        SELECT * INTO head FROM history_chainhead WHERE chain = NEW.chain FOR NO KEY UPDATE;
    END IF;
    NEW.seq := head.seq + 1;
    NEW.prev := head.hash;
    NEW.hash := encode(sha256(convert_to(NEW.prev || jsonb_build_object(
        'chain', NEW.chain, 'seq', NEW.seq, 'at', (extract(epoch FROM NEW.at) * 1000000)::bigint, 'verb', NEW.verb,
        'actor_id', NEW.actor_id, 'actor_name', NEW.actor_name, 'actor_organisation_id', NEW.actor_organisation_id,
        'actor_organisation_name', NEW.actor_organisation_name, 'object_kind', NEW.object_kind,
        'object_id', NEW.object_id, 'object_name', NEW.object_name, 'changes', NEW.changes, 'reason', NEW.reason,
        'request_id', NEW.request_id, 'parties', NEW.parties)::text, 'UTF8')), 'hex');
    UPDATE history_chainhead SET seq = NEW.seq, hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END $$;

CREATE FUNCTION history_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER chain_event BEFORE INSERT ON history_event
    FOR EACH ROW EXECUTE FUNCTION history_chain_event();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON history_event
    FOR EACH ROW EXECUTE FUNCTION history_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON history_event
    FOR EACH STATEMENT EXECUTE FUNCTION history_refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON history_party
    FOR EACH ROW EXECUTE FUNCTION history_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON history_party
    FOR EACH STATEMENT EXECUTE FUNCTION history_refuse_change();

-- Also in a session that plays a replica: nobody slips past by a setting.
ALTER TABLE history_event ENABLE ALWAYS TRIGGER chain_event;
ALTER TABLE history_event ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE history_event ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE history_party ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE history_party ENABLE ALWAYS TRIGGER refuse_truncate;
"""

UNCHAIN = """
DROP TRIGGER chain_event ON history_event;
DROP TRIGGER refuse_change ON history_event;
DROP TRIGGER refuse_truncate ON history_event;
DROP TRIGGER refuse_change ON history_party;
DROP TRIGGER refuse_truncate ON history_party;
DROP FUNCTION history_chain_event();
DROP FUNCTION history_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("history", "0001_initial")]
    operations = [migrations.RunSQL(CHAIN, UNCHAIN)]
