from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("associations", "0033_delegated_admin")]

    operations = [
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS tenants_of_a_partner", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="association",
            index=models.Index(
                condition=Q(subscription=None, undone_at=None, workload=""),
                fields=["partner", "customer"],
                include=["ended_at"],
                name="tenants_of_a_partner",
            ),
        ),
    ]
