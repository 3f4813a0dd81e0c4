"""Let people have the time zone of their organisation, or one of their own.

This is not in one transaction with the organisations' zones: to lock both tables would deadlock with requests.
"""

from django.db import migrations, models

import por.accounts.zones

#: Who had the time zone that everyone begins with never chose one; they get that of their organisation.
OWN = "UPDATE accounts_user SET own_time_zone = true WHERE time_zone <> 'Europe/Stockholm'"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_by_file"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="own_time_zone",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name="user",
            name="time_zone",
            field=models.CharField(
                choices=por.accounts.zones.names,
                default="Europe/Stockholm",
                max_length=50,
                verbose_name="time zone",
            ),
        ),
        migrations.RunSQL(OWN, migrations.RunSQL.noop),
    ]
