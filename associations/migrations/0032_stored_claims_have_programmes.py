"""The stored associations fit the constraint, too."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("associations", "0031_programme_of_a_claim")]
    operations = [ValidateConstraint("association", "a_claim_has_a_programme")]
