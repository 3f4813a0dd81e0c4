"""A claim's association has a programme, unless an import stored it before there were claims.

The stored rows are not looked through here, while others wait; new ones are held from now on. The next migration reads
them without a lock that writes would wait for.
"""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("associations", "0030_seen_usage")]
    operations = [
        AddConstraintNotValid(
            "association",
            models.CheckConstraint(
                condition=~Q(kind="cpor") | ~Q(program="") | Q(source="estate"),
                name="a_claim_has_a_programme",
            ),
        ),
    ]
