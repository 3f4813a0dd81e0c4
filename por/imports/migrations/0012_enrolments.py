"""The tables for the lines of `enrolments.csv` during an import."""

from django.db import migrations

COLUMNS = "mpn_id text, program text, agreement_signed_on date, bank_ok_on date, tax_ok_on date"


class Migration(migrations.Migration):
    dependencies = [("estate", "0011_marked")]
    operations = [
        migrations.RunSQL(
            f"""
            CREATE UNLOGGED TABLE estate_staged_enrolments (line integer NOT NULL, {COLUMNS});
            CREATE UNLOGGED TABLE estate_found_enrolments (
                place bigint NOT NULL, line integer NOT NULL, {COLUMNS}, apart boolean NOT NULL
            );
            CREATE INDEX estate_found_enrolments_place ON estate_found_enrolments USING brin (place);
            """,
            "DROP TABLE estate_staged_enrolments; DROP TABLE estate_found_enrolments;",
        ),
    ]
