from django.db import migrations, models


class Migration(migrations.Migration):
    """Apart from the column, so that nobody who reads subscriptions waits while the index is made."""

    dependencies = [
        ("directory", "0012_missing"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                fields=["customer"], condition=models.Q(missing_since__isnull=False), name="subscriptions_missing"
            ),
        ),
    ]
