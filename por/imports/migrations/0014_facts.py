"""The tables for the lines of `credentials.csv`, `holdings.csv`, `revenue.csv` and `consumption.csv` during an import."""

from django.db import migrations

STAGED = {
    "credentials": "person text, mpn_id text, credential text, valid_from date, valid_to date",
    "holdings": "mpn_id text, program text, level text, anniversary_on date, fee_paid_on date",
    "revenue": "month date, subscription_id uuid, amount numeric, currency text, kind text",
    "consumption": "month date, subscription_id uuid, service text, amount_usd numeric",
}
#: What the database knows about a line: of a partner, or of a month.
OF_PARTNER = "partner_pk bigint, is_known boolean, unfit text"
OF_MONTH = "subscription_pk bigint, customer_pk bigint, revision smallint, unfit text"
FOUND = {"credentials": OF_PARTNER, "holdings": OF_PARTNER, "revenue": OF_MONTH, "consumption": OF_MONTH}

# As for the other files: an entry of the index for about as many lines as a batch has.
TABLES = "".join(
    f"""
    CREATE UNLOGGED TABLE estate_staged_{file} (line integer NOT NULL, {columns});
    CREATE UNLOGGED TABLE estate_found_{file} (
        place bigint NOT NULL, line integer NOT NULL, {columns}, apart boolean NOT NULL, {FOUND[file]}
    );
    CREATE INDEX estate_found_{file}_place ON estate_found_{file} USING brin (place) WITH (pages_per_range = 16);
    """
    for file, columns in STAGED.items()
)


class Migration(migrations.Migration):
    dependencies = [("estate", "0013_claims")]
    operations = [
        migrations.RunSQL(
            TABLES, "".join(f"DROP TABLE estate_staged_{file}; DROP TABLE estate_found_{file};" for file in STAGED)
        ),
    ]
