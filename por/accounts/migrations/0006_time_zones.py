from django.db import migrations, models

import por.accounts.zones


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_user_sessions"),
    ]

    operations = [
        migrations.AddField(
            model_name="organisation",
            name="time_zone",
            field=models.CharField(
                choices=por.accounts.zones.names,
                db_default="Europe/Stockholm",
                default="Europe/Stockholm",
                max_length=50,
                verbose_name="time zone",
            ),
        ),
    ]
