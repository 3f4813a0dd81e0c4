"""No two periods of claims of one subscription overlap.

PostgreSQL cannot make such a constraint beside writes. It reads the table once, and indexes nothing: there is no
claim yet.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.db import migrations
from django.db.models import Q

from associations.record.models import Period


class Migration(migrations.Migration):
    dependencies = [("associations", "0024_claimed_workloads")]

    operations = [
        migrations.AddConstraint(
            model_name="association",
            constraint=ExclusionConstraint(
                name="no_two_claims_of_a_subscription_overlap",
                expressions=[
                    ("program", RangeOperators.EQUAL),
                    ("role", RangeOperators.EQUAL),
                    ("subscription", RangeOperators.EQUAL),
                    (Period("began_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(undone_at=None, subscription__isnull=False) & ~Q(program=""),
            ),
        ),
    ]
