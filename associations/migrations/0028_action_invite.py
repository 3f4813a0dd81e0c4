"""Jobs that invite customers. Only the labels differ, so no table changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("associations", "0027_bulk_invitations")]
    operations = [
        migrations.AlterField(
            "Job",
            "action",
            models.CharField(
                choices=[
                    ("attach", "Attach a partner to each subscription"),
                    ("remove", "Remove the partner of record of each subscription"),
                    ("answer", "Answer the change request of each subscription"),
                    ("invite", "Invite the customer of each subscription"),
                ],
                db_default="attach",
                default="attach",
                max_length=10,
            ),
        ),
    ]
