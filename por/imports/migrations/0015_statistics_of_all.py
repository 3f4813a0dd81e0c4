"""Let an import bring the statistics of every table that it fills up to date, as usage, claims and history.

Measures of competencies join the facts of many tables. With statistics of a table that was small, they can take
minutes. Of a table by year each year counts for itself, and the whole has statistics of its own, which autovacuum never
makes. An empty table needs none.
"""

from django.db import migrations

#: The tables that grow with what is loaded.
TABLES = (
    "accounts_organisation",
    "associations_association",
    "claims_claim",
    "claims_claimstep",
    "claims_claimunit",
    "competencies_holding",
    "competencies_recompute",
    "directory_consumption",
    "directory_credential",
    "directory_customer",
    "directory_enrolment",
    "directory_partner",
    "directory_reportedmonth",
    "directory_revenue",
    "directory_subscription",
    "directory_usage",
    "history_chainhead",
    "history_event",
    "history_outbox",
    "history_party",
)

# PostgreSQL 18 can analyse a table by year without its years, which are analysed before, and only if they have grown.
FUNCTION = f"""
CREATE OR REPLACE FUNCTION estate_analyze_grown() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    filled CONSTANT text[] := '{{{",".join(TABLES)}}}';
    alone CONSTANT text := CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN 'ONLY ' ELSE '' END;
    grown record;
    wholes text[] := '{{}}';
    whole text;
BEGIN
    FOR grown IN
        SELECT one.relname, parent.relname AS of FROM pg_class one
        LEFT JOIN pg_inherits ON inhrelid = one.oid
        LEFT JOIN pg_class parent ON parent.oid = inhparent
        WHERE one.relnamespace = 'public'::regnamespace AND one.relkind = 'r'
            AND coalesce(parent.relname, one.relname) = ANY (filled)
            AND pg_relation_size(one.oid) > 0
            AND (
                pg_relation_size(one.oid) > 1.1 * one.relpages * current_setting('block_size')::integer
                OR NOT EXISTS (SELECT FROM pg_stats WHERE schemaname = 'public' AND tablename = one.relname)
            )
    LOOP
        BEGIN
            EXECUTE format('ANALYZE public.%I', grown.relname);
            wholes := wholes || grown.of;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    FOR whole IN SELECT DISTINCT unnest(array_remove(wholes, NULL)) LOOP
        BEGIN
            EXECUTE format('ANALYZE %spublic.%I', alone, whole);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("estate", "0014_facts")]
    operations = [migrations.RunSQL(FUNCTION, migrations.RunSQL.noop)]
