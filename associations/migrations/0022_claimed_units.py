"""Columns of claims on associations. It is one statement, which locks one table for a moment and reads no row."""

from django.db import migrations, models
from django.db.models import Q

TENANT_KINDS = ["delegated_admin", "fasttrack", "pal"]
WORKLOADS = [
    ("exo", "Exchange Online"),
    ("spo", "SharePoint Online"),
    ("sfb", "Skype for Business"),
    ("teams", "Teams"),
    ("yammer", "Yammer"),
    ("proplus", "Office ProPlus"),
    ("intune", "Intune"),
    ("aadp", "Azure AD Premium"),
    ("aip", "Azure Information Protection"),
    ("crm", "CRM Online"),
    ("azure", "Azure"),
]
IS_OF_TENANT = "kind IN ('delegated_admin', 'fasttrack', 'pal')"
ADD = f"""
ALTER TABLE associations_association
    ADD COLUMN program varchar(20) NOT NULL DEFAULT '',
    ADD COLUMN role varchar(20) NOT NULL DEFAULT '',
    ADD COLUMN workload varchar(10) NOT NULL DEFAULT '',
    ADD COLUMN claim_number varchar(40) NOT NULL DEFAULT '',
    ADD CONSTRAINT an_association_is_of_a_subscription_a_workload_or_a_tenant CHECK (
        ({IS_OF_TENANT} AND subscription_id IS NULL AND workload = '')
        OR (kind = 'cpor' AND subscription_id IS NULL AND workload <> '')
        OR (NOT {IS_OF_TENANT} AND subscription_id IS NOT NULL AND workload = '')
    ) NOT VALID,
    ADD CONSTRAINT only_a_claim_has_a_programme_and_role CHECK (
        (program = '' AND role = '' AND workload = '' AND claim_number = '')
        OR (kind = 'cpor' AND program <> '' AND role <> '')
    ) NOT VALID,
    DROP CONSTRAINT an_association_is_of_a_subscription_or_a_tenant
"""
REMOVE = f"""
ALTER TABLE associations_association
    DROP COLUMN program, DROP COLUMN role, DROP COLUMN workload, DROP COLUMN claim_number,
    ADD CONSTRAINT an_association_is_of_a_subscription_or_a_tenant CHECK (
        ({IS_OF_TENANT} AND subscription_id IS NULL) OR (NOT {IS_OF_TENANT} AND subscription_id IS NOT NULL)
    ) NOT VALID
"""


class Migration(migrations.Migration):
    dependencies = [("associations", "0021_reason_of_rows")]

    operations = [
        migrations.SeparateDatabaseAndState(
            # Django would send seven statements and think between them, while the table is locked.
            database_operations=[migrations.RunSQL(ADD, REMOVE)],
            state_operations=[
                *(
                    migrations.AddField(
                        model_name="association",
                        name=name,
                        field=models.CharField(blank=True, db_default="", default="", max_length=length),
                    )
                    for name, length in (("program", 20), ("role", 20), ("claim_number", 40))
                ),
                migrations.AddField(
                    model_name="association",
                    name="workload",
                    field=models.CharField(blank=True, choices=WORKLOADS, db_default="", default="", max_length=10),
                ),
                migrations.AddConstraint(
                    model_name="association",
                    constraint=models.CheckConstraint(
                        condition=(
                            Q(kind__in=TENANT_KINDS, subscription=None, workload="")
                            | (Q(kind="cpor", subscription=None) & ~Q(workload=""))
                            | (~Q(kind__in=TENANT_KINDS) & Q(subscription__isnull=False, workload=""))
                        ),
                        name="an_association_is_of_a_subscription_a_workload_or_a_tenant",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="association",
                    constraint=models.CheckConstraint(
                        condition=(
                            Q(program="", role="", workload="", claim_number="")
                            | (Q(kind="cpor") & ~Q(program="") & ~Q(role=""))
                        ),
                        name="only_a_claim_has_a_programme_and_role",
                    ),
                ),
                migrations.RemoveConstraint(
                    model_name="association",
                    name="an_association_is_of_a_subscription_or_a_tenant",
                ),
            ],
        )
    ]
