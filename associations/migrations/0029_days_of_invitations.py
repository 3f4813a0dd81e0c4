from django.db import migrations, models

from por.accounts import zones


def set_last_days(apps, editor):
    """Let open invitations end with the day, in the customer's time zone, on which they would have ended."""
    invitations = apps.get_model("associations", "Invitation").objects.filter(status="sent", expires_on=None)
    changed = []
    for one in invitations.select_related("customer__organisation").order_by("pk"):
        zone = one.customer.organisation.time_zone
        one.expires_on = zones.day_in(zone, one.expires_at)
        one.expires_at = zones.end_of_day(one.expires_on, zone)
        changed.append(one)
    invitations.model.objects.bulk_update(changed, ["expires_on", "expires_at"], batch_size=1000)


class Migration(migrations.Migration):
    dependencies = [
        ("directory", "0011_time_zones"),
        ("associations", "0028_action_invite"),
    ]

    operations = [
        migrations.AddField(
            model_name="invitation",
            name="expires_on",
            field=models.DateField(blank=True, null=True),
        ),
        migrations.RunPython(set_last_days, migrations.RunPython.noop),
    ]
