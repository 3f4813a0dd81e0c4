import json

from django.db import migrations

from por.accounts import zones


def fill(apps, editor):
    """Give each customer and partner the time zone of its country: one statement for each kind."""
    others = {country: zone for country, zone in zones.by_country().items() if zone != zones.DEFAULT}
    for table in ("directory_customer", "directory_partner"):
        editor.execute(
            f"""
            UPDATE accounts_organisation AS organisation SET time_zone = zone
            FROM {table} AS one JOIN jsonb_each_text(%s::jsonb) AS of_country (code, zone) ON code = country
            WHERE one.organisation_id = organisation.id
            """,
            [json.dumps(others)],
        )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_time_zones"),
        ("directory", "0010_found_by_job"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
