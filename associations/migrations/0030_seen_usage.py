"""What usage the associations of a partner show, as a view; and the index that finds its claims of workloads."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

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
# The empty workload is a constant, so that the database leaves the first half out for those who ask for the second.
SEEN_USAGE = """
CREATE OR REPLACE VIEW associations_seenusage AS
SELECT one.id AS association_id, one.partner_id, one.subscription_id, ''::varchar(10) AS workload,
    one.began_at, one.ended_at
FROM associations_association AS one
WHERE one.undone_at IS NULL AND one.subscription_id IS NOT NULL AND (one.kind = 'dpor' OR one.program <> '')
UNION ALL
SELECT one.id, one.partner_id, subscription.id, one.workload, one.began_at, one.ended_at
FROM associations_association AS one
JOIN directory_subscription AS subscription ON subscription.customer_id = one.customer_id
WHERE one.undone_at IS NULL AND one.workload <> '' AND EXISTS (
    SELECT FROM directory_sku_plans AS pair JOIN directory_serviceplan AS plan ON plan.id = pair.serviceplan_id
    WHERE pair.sku_id = subscription.sku_id AND plan.workload = one.workload
)
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("associations", "0029_days_of_invitations"), ("directory", "0011_time_zones")]

    operations = [
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS claimed_workloads_of_a_partner", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="association",
            index=models.Index(
                condition=Q(undone_at=None) & ~Q(workload=""),
                fields=["partner", "customer", "workload"],
                name="claimed_workloads_of_a_partner",
            ),
        ),
        migrations.RunSQL(SEEN_USAGE, "DROP VIEW associations_seenusage"),
        migrations.CreateModel(
            name="SeenUsage",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "association_id",
                        "subscription_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("workload", models.CharField(blank=True, choices=WORKLOADS, max_length=10)),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={"verbose_name": "seen usage", "managed": False},
        ),
    ]
