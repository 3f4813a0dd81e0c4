"""Usage, partitioned by year: one subscription's page reads one or two small partitions."""

from django.db import migrations

YEARS = range(2014, 2036)

CREATE = """
CREATE TABLE directory_usage (
    subscription_id bigint NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    workload varchar(10) NOT NULL,
    revision smallint NOT NULL DEFAULT 1 CHECK (revision > 0),
    paid_units integer CHECK (paid_units >= 0),
    active_users integer CHECK (active_users >= 0),
    consumed_usd numeric(14, 2),
    known_from timestamptz NOT NULL,
    superseded_at timestamptz,
    PRIMARY KEY (subscription_id, month, workload, revision)
) PARTITION BY RANGE (month);
CREATE UNIQUE INDEX one_current_revision_per_month ON directory_usage (subscription_id, month, workload)
    WHERE superseded_at IS NULL;
""" + "".join(
    f"CREATE TABLE directory_usage_{year} PARTITION OF directory_usage"
    f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01');\n"
    for year in YEARS
)


class Migration(migrations.Migration):
    dependencies = [("directory", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, "DROP TABLE directory_usage")]
