from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("directory", "0011_time_zones"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="missing_since",
            field=models.DateField(blank=True, null=True),
        ),
    ]
