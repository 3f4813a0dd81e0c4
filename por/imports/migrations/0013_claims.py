"""The tables for the lines of `claims.csv` during an import."""

from django.db import migrations

COLUMNS = (
    "claim_number text, name text, mpn_id text, tenant_id uuid, program text, workloads text, subscription_ids text,"
    " approved_on date"
)


class Migration(migrations.Migration):
    dependencies = [("estate", "0012_enrolments")]
    operations = [
        migrations.RunSQL(
            f"""
            CREATE UNLOGGED TABLE estate_staged_claims (line integer NOT NULL, {COLUMNS});
            CREATE UNLOGGED TABLE estate_found_claims (
                place bigint NOT NULL, line integer NOT NULL, {COLUMNS}, apart boolean NOT NULL
            );
            CREATE INDEX estate_found_claims_place ON estate_found_claims USING brin (place);
            """,
            "DROP TABLE estate_staged_claims; DROP TABLE estate_found_claims;",
        ),
    ]
