"""Let an import bring the statistics of the tables that it fills up to date.

Autovacuum comes up to a minute later. Until then the planner believes that a table that was just filled is empty.
Only the owner of a table may analyse it, so this is a function with the owner's rights, for these tables and no others.
It does not wait for a table that is being analysed or vacuumed already. A dry run is rolled back with its statistics,
but the number of pages stays, so a table without statistics is analysed whatever its size.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION estate_analyze_grown() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    grown text;
BEGIN
    FOR grown IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname IN (
            'accounts_organisation', 'directory_partner', 'directory_customer', 'directory_subscription',
            'associations_association'
        ) AND (
            pg_relation_size(oid) > 1.1 * relpages * current_setting('block_size')::integer
            OR NOT EXISTS (SELECT FROM pg_stats WHERE schemaname = 'public' AND tablename = relname)
        )
    LOOP
        BEGIN
            EXECUTE format('ANALYZE public.%I', grown);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("estate", "0004_labels")]
    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION estate_analyze_grown();")]
