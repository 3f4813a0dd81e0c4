"""The tables for the lines of `skus.csv` during an import."""

from django.db import migrations

COLUMNS = (
    "sku_string_id text, sku_id uuid, sku_name text, service_plan_string_id text, service_plan_id uuid,"
    " service_plan_name text"
)


class Migration(migrations.Migration):
    dependencies = [("estate", "0007_notes")]
    operations = [
        migrations.RunSQL(
            f"""
            CREATE UNLOGGED TABLE estate_staged_skus (line integer NOT NULL, {COLUMNS});
            CREATE UNLOGGED TABLE estate_found_skus (
                place bigint NOT NULL, line integer NOT NULL, {COLUMNS}, apart boolean NOT NULL
            );
            CREATE INDEX estate_found_skus_place ON estate_found_skus USING brin (place);
            """,
            "DROP TABLE estate_staged_skus; DROP TABLE estate_found_skus;",
        ),
    ]
