from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rename a class; its table keeps its name, and no column changes."""

    dependencies = [
        ("history", "0007_events_by_part_of_name"),
    ]

    operations = [
        migrations.AlterModelTable(name="round", table="history_round"),
        migrations.RenameModel(old_name="Round", new_name="PeriodicRun"),
        migrations.AlterField(
            model_name="outbox",
            name="next_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
    ]
