"""No two periods of claims of one workload overlap.

PostgreSQL cannot make such a constraint beside writes. It reads the table once, and indexes nothing: there is no
claim yet.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.db import migrations
from django.db.models import Q

from associations.record.models import Period


class Migration(migrations.Migration):
    dependencies = [("associations", "0023_claimed_units_checked")]

    operations = [
        migrations.AddConstraint(
            model_name="association",
            constraint=ExclusionConstraint(
                name="no_two_claims_of_a_workload_overlap",
                expressions=[
                    ("program", RangeOperators.EQUAL),
                    ("customer", RangeOperators.EQUAL),
                    ("workload", RangeOperators.EQUAL),
                    (Period("began_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(undone_at=None) & ~Q(workload=""),
            ),
        ),
    ]
