from datetime import UTC, timedelta

from django.db import migrations, models

from por.accounts import zones


def set_last_days(apps, editor):
    """Let open change requests end with their last day in the customer's time zone, instead of in UTC.

    All that have the same deadline, in customers of one zone, change in one statement.
    """
    requests = apps.get_model("associations", "ChangeRequest").objects.filter(status="open", due_on=None)
    zone = "subscription__customer__organisation__time_zone"
    for due_at, name in requests.values_list("due_at", zone).distinct().order_by("due_at", zone):
        day = (due_at - timedelta(microseconds=1)).astimezone(UTC).date()
        these = requests.filter(due_at=due_at, subscription__customer__organisation__time_zone=name)
        these.update(due_on=day, due_at=zones.end_of_day(day, name))


class Migration(migrations.Migration):
    dependencies = [
        ("directory", "0011_time_zones"),
        ("associations", "0019_bulk_actions"),
    ]

    operations = [
        migrations.AddField(
            model_name="changerequest",
            name="due_on",
            field=models.DateField(blank=True, null=True),
        ),
        migrations.RunPython(set_last_days, migrations.RunPython.noop),
    ]
