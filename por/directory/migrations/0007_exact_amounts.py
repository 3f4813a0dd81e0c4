"""Let an amount of usage keep all its decimals. No row is written again for this."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("directory", "0006_usage_sums")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE directory_usage ALTER COLUMN consumed_usd TYPE numeric",
            "ALTER TABLE directory_usage ALTER COLUMN consumed_usd TYPE numeric(14, 2)",
        ),
        migrations.AlterField(
            model_name="usage",
            name="consumed_usd",
            field=models.DecimalField(decimal_places=18, max_digits=30, null=True),
        ),
    ]
