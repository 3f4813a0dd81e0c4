"""The reason of a row of a job, apart from the jobs: to lock both tables would deadlock with a worker."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("associations", "0020_last_days")]
    operations = [
        migrations.AddField("JobRow", "reason", models.TextField(blank=True, db_default="", default="")),
    ]
