"""Check the rows, and make the indexes of claimed units, while others read and write. It can be run again."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models
from django.db.models import Q

UNIQUE = {
    "one_claim_per_workload": (
        ["program", "customer", "workload"],
        Q(ended_at=None, undone_at=None) & ~Q(workload=""),
        "workload <> ''",
    ),
    "one_claim_per_role_and_subscription": (
        ["program", "role", "subscription"],
        Q(ended_at=None, undone_at=None, subscription__isnull=False) & ~Q(program=""),
        "subscription_id IS NOT NULL AND program <> ''",
    ),
}


def unique_index(name: str) -> migrations.SeparateDatabaseAndState:
    """Return what makes the index of a unique constraint; one that a stopped run has left unfinished goes first."""
    fields, condition, sql = UNIQUE[name]
    columns = ", ".join(f"{field}_id" if field in {"customer", "subscription"} else field for field in fields)
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
    create = (
        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON associations_association ({columns})"
        f" WHERE ended_at IS NULL AND undone_at IS NULL AND {sql}"
    )
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(drop, migrations.RunSQL.noop),
            migrations.RunSQL(create, drop),
        ],
        state_operations=[
            migrations.AddConstraint(
                model_name="association",
                constraint=models.UniqueConstraint(fields=fields, condition=condition, name=name),
            )
        ],
    )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("associations", "0022_claimed_units")]

    operations = [
        ValidateConstraint("association", "an_association_is_of_a_subscription_a_workload_or_a_tenant"),
        ValidateConstraint("association", "only_a_claim_has_a_programme_and_role"),
        *map(unique_index, UNIQUE),
    ]
