"""The version of usage, and the trigger that raises it."""

from django.db import migrations, models

# In the transaction of the change: whoever sees the one sees the other.
TRIGGER = """
CREATE FUNCTION directory_raise_usage_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO directory_usageversion AS version (id, number, raised_at) VALUES (1, 1, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET number = version.number + 1, raised_at = excluded.raised_at;
    RETURN NULL;
END $$;
CREATE TRIGGER raise_usage_version AFTER INSERT OR UPDATE OR DELETE ON directory_usage
    FOR EACH STATEMENT EXECUTE FUNCTION directory_raise_usage_version();
"""
NO_TRIGGER = """
DROP TRIGGER raise_usage_version ON directory_usage;
DROP FUNCTION directory_raise_usage_version();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("directory", "0005_labels"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("raised_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "version of usage",
            },
        ),
        migrations.RunSQL(TRIGGER, NO_TRIGGER),
    ]
