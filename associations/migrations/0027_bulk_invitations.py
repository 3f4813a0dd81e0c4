"""Rows of a job that invite customers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("associations", "0026_moved_by_files")]
    operations = [
        migrations.AddField(
            "JobRow", "tenant_id", models.CharField(blank=True, db_default="", default="", max_length=64)
        ),
        migrations.AddField("JobRow", "invitation", models.UUIDField(blank=True, null=True)),
    ]
