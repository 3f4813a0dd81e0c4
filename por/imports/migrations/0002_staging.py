"""The tables for the lines of a file during an import.

The application's role may not create tables, so they are created here. They are unlogged, because an import that a
crash ended is simply repeated. Only one import runs at a time, so one set of tables is enough.
"""

from django.db import migrations

STAGED = {
    "partners": (
        "mpn_id text, name text, kind text, parent_mpn_id text, city text, country text, market text, status text,"
        " contact_email text, language text, own_tenant_id uuid"
    ),
    "customers": (
        "tenant_id uuid, name text, domain text, country text, segment text, contact_email text, language text"
    ),
    "subscriptions": (
        "subscription_id uuid, tenant_id uuid, product text, sku_string_id text, agreement text, seats integer,"
        " is_trial boolean, started_on date, renews_on date, status text, replaces uuid"
    ),
    "usage": (
        "month date, subscription_id uuid, workload text, paid_units integer, active_users integer,"
        " consumed_usd numeric"
    ),
    "associations": ("subscription_id uuid, tenant_id uuid, mpn_id text, kind text, began_on date, ended_on date"),
}

#: Columns for what the database knows about a line, in addition to its own columns.
FOUND = {
    "partners": "",
    "customers": "",
    "subscriptions": ", customer_pk bigint, sku_pk bigint",
    "usage": ", subscription_pk bigint, customer_pk bigint, revision smallint, unfit text",
    "associations": ", subscription_pk bigint, customer_pk bigint, partner_pk bigint",
}

TABLES = "".join(
    f"""
    CREATE UNLOGGED TABLE estate_staged_{file} (line integer NOT NULL, {columns});
    CREATE UNLOGGED TABLE estate_found_{file} (
        place bigint NOT NULL, line integer NOT NULL, {columns}, apart boolean NOT NULL{FOUND[file]}
    );
    CREATE INDEX estate_found_{file}_place ON estate_found_{file} USING brin (place);
    """
    for file, columns in STAGED.items()
)

# The counts for the events of an import, saved with its rows until the events are recorded.
LOADED = """
CREATE TABLE estate_loaded (
    file text, organisation_id bigint, created integer NOT NULL, changed integer NOT NULL,
    PRIMARY KEY (file, organisation_id)
);
"""

# Actions that only the owner of a table may take, for these tables and no others.
FUNCTIONS = """
CREATE FUNCTION estate_empty(file text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('TRUNCATE public.%I, public.%I', 'estate_staged_' || file, 'estate_found_' || file);
END $$;

CREATE FUNCTION estate_analyze_staged(file text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ANALYZE public.%I', 'estate_staged_' || file);
END $$;

CREATE FUNCTION estate_analyze_found(file text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM brin_summarize_new_values(format('public.%I', 'estate_found_' || file || '_place')::regclass);
    EXECUTE format('ANALYZE public.%I', 'estate_found_' || file);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("estate", "0001_initial")]
    operations = [
        migrations.RunSQL(
            TABLES,
            "".join(f"DROP TABLE estate_staged_{file}; DROP TABLE estate_found_{file};" for file in STAGED),
        ),
        migrations.RunSQL(LOADED, "DROP TABLE estate_loaded;"),
        migrations.RunSQL(
            FUNCTIONS,
            "".join(f"DROP FUNCTION estate_{what}(text);" for what in ("empty", "analyze_staged", "analyze_found")),
        ),
    ]
