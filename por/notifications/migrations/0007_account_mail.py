import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

NAME = "delivery_has_event_and_organisation_or_neither"


class Migration(migrations.Migration):
    atomic = False  # the rows are checked without the lock of the first steps

    dependencies = [
        ("accounts", "0003_labels"),
        ("history", "0011_work_in_batches"),
        ("notifications", "0006_work_in_batches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            # Django would make the foreign keys again and lock the tables that they point to, which those who work
            # meanwhile lock in another order: a deadlock. Each of these statements locks one table for a moment.
            database_operations=[
                migrations.RunSQL(
                    f"ALTER TABLE notifications_delivery ALTER COLUMN {column} DROP NOT NULL",
                    f"ALTER TABLE notifications_delivery ALTER COLUMN {column} SET NOT NULL",
                )
                for column in ("event_id", "organisation_id")
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="delivery",
                    name="event",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="history.event",
                    ),
                ),
                migrations.AlterField(
                    model_name="delivery",
                    name="organisation",
                    field=models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="accounts.organisation",
                    ),
                ),
            ],
        ),
        AddConstraintNotValid(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("event", None), ("organisation", None)),
                    models.Q(("event__isnull", False), ("organisation__isnull", False)),
                    _connector="OR",
                ),
                name=NAME,
            ),
        ),
        ValidateConstraint(model_name="delivery", name=NAME),
    ]
