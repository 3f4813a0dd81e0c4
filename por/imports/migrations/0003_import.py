"""Rename the model; its table keeps its name."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("estate", "0002_staging")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("Load", "Import"),
                migrations.AlterModelTable("Import", "estate_load"),
            ]
        )
    ]
