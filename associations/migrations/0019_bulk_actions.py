"""Jobs that remove partners or answer change requests."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("associations", "0018_moved_start")]
    operations = [
        migrations.AddField(
            "Job",
            "action",
            models.CharField(
                choices=[
                    ("attach", "Attach a partner to each subscription"),
                    ("remove", "Remove the partner of record of each subscription"),
                    ("answer", "Answer the change request of each subscription"),
                ],
                db_default="attach",
                default="attach",
                max_length=10,
            ),
        ),
    ]
