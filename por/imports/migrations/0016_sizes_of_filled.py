"""Let an import ask for the sizes of the tables that it fills, and of no others.

PostgreSQL was free to ask for the size of every table before it looked at the names. So it waited for the table into
which the next file is read at that moment, and then gave up.
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
        WITH one AS MATERIALIZED (
            SELECT its.oid, its.relname, its.relpages, parent.relname AS of FROM pg_class its
            LEFT JOIN pg_inherits ON inhrelid = its.oid
            LEFT JOIN pg_class parent ON parent.oid = inhparent
            WHERE its.relnamespace = 'public'::regnamespace AND its.relkind = 'r'
                AND coalesce(parent.relname, its.relname) = ANY (filled)
        )
        SELECT relname, of FROM one
        WHERE pg_relation_size(oid) > 0
            AND (
                pg_relation_size(oid) > 1.1 * relpages * current_setting('block_size')::integer
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
    dependencies = [("estate", "0015_statistics_of_all")]
    operations = [migrations.RunSQL(FUNCTION, migrations.RunSQL.noop)]
