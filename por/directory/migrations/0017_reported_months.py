"""Which months have a row of usage, revenue or consumption at all, kept by triggers.

What nobody has reported is unknown, and what is missing in a reported month is 0. To find that out from the rows would
take as long as to add them up.
"""

from django.db import migrations, models

TABLES = ("usage", "revenue", "consumption")
TRIGGERS = """
CREATE FUNCTION directory_note_months() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO directory_reportedmonth (file, month) SELECT DISTINCT TG_ARGV[0], month FROM inserted ORDER BY 2
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
""" + "".join(
    f"""
    CREATE TRIGGER note_months AFTER INSERT ON directory_{table} REFERENCING NEW TABLE AS inserted
        FOR EACH STATEMENT EXECUTE FUNCTION directory_note_months('{table}');
    INSERT INTO directory_reportedmonth (file, month) SELECT DISTINCT '{table}', month FROM directory_{table};
    """
    for table in TABLES
)
NO_TRIGGERS = (
    "".join(f"DROP TRIGGER note_months ON directory_{table};" for table in TABLES)
    + "DROP FUNCTION directory_note_months();"
)


class Migration(migrations.Migration):
    dependencies = [("directory", "0016_facts")]

    operations = [
        migrations.CreateModel(
            name="ReportedMonth",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "file", "month", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("file", models.CharField(max_length=20)),
                ("month", models.DateField()),
            ],
            options={"verbose_name": "reported month"},
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
