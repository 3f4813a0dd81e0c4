"""The units, steps and comments of claims."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_former_names"),
        ("associations", "0030_seen_usage"),
        ("directory", "0015_enrolments"),
        ("claims", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ClaimStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("verb", models.CharField(max_length=40)),
                (
                    "before",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("draft", "Draft"),
                            ("submitted", "Submitted"),
                            ("under_review", "Under review"),
                            ("action_required", "Action required"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("disputed", "Disputed"),
                            ("rejected_final", "Rejected after dispute"),
                            ("withdrawn", "Withdrawn"),
                            ("ended", "Ended"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "after",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("submitted", "Submitted"),
                            ("under_review", "Under review"),
                            ("action_required", "Action required"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("disputed", "Disputed"),
                            ("rejected_final", "Rejected after dispute"),
                            ("withdrawn", "Withdrawn"),
                            ("ended", "Ended"),
                        ],
                        max_length=20,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("by_name", models.CharField(blank=True, max_length=150)),
                (
                    "reasons",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("no_proof", "Proof of execution is missing"),
                                ("no_acknowledgement", "The customer’s signed acknowledgement is missing"),
                                ("dates", "Dates are missing or too old"),
                                ("no_description", "The description of the partner’s solution or service is missing"),
                                ("no_products", "The products or workloads are missing"),
                                ("insufficient", "The proof does not show the partner’s work"),
                                ("customer_declined", "The customer does not agree"),
                                ("partner_request", "The partner asked for it"),
                                ("no_answer", "The partner did not answer in time"),
                                ("conflict_lost", "Another partner’s claim was approved"),
                                ("no_disclosure", "The disclosure for the public sector is missing"),
                            ],
                            max_length=24,
                        ),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                ("note", models.TextField(blank=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("changes", models.JSONField(blank=True, default=dict)),
                (
                    "by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "claim",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="claims.claim",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "verbose_name": "step of a claim",
            },
        ),
        migrations.CreateModel(
            name="ClaimUnit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "program",
                    models.CharField(
                        choices=[
                            ("osu_m365", "Online Services Usage: Microsoft 365"),
                            ("osu_bizapps", "Online Services Usage: Business Applications"),
                            ("osa_sell", "Online Services Advisor: Sell"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("usage", "Usage"),
                            ("presales", "Pre-sales advisor"),
                            ("revenue", "Revenue association"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "workload",
                    models.CharField(
                        blank=True,
                        choices=[
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
                        ],
                        max_length=10,
                    ),
                ),
                ("live", models.BooleanField(default=False)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[("held", "Held"), ("lost", "Another claim was approved"), ("ended", "Ended")],
                        max_length=10,
                    ),
                ),
                ("paid_units", models.PositiveIntegerField(blank=True, null=True)),
                ("active_users", models.PositiveIntegerField(blank=True, null=True)),
                ("month", models.DateField(blank=True, null=True)),
                ("noticed_renewal", models.DateField(blank=True, null=True)),
                ("noticed_days", models.PositiveSmallIntegerField(blank=True, null=True)),
                (
                    "association",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="claim_unit",
                        to="associations.association",
                    ),
                ),
                (
                    "claim",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="units",
                        to="claims.claim",
                    ),
                ),
                (
                    "company",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="directory.customer",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="claim_units",
                        to="directory.subscription",
                    ),
                ),
            ],
            options={
                "verbose_name": "unit of a claim",
            },
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("by_name", models.CharField(blank=True, max_length=150)),
                ("text", models.TextField()),
                ("at", models.DateTimeField()),
                ("internal", models.BooleanField(default=False)),
                (
                    "by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "claim",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="comments",
                        to="claims.claim",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.organisation"
                    ),
                ),
            ],
            options={
                "verbose_name": "comment",
            },
        ),
        migrations.AddIndex(
            model_name="claimstep",
            index=models.Index(fields=["claim", "at", "id"], name="steps_of_a_claim"),
        ),
        migrations.AddIndex(
            model_name="claimunit",
            index=models.Index(fields=["claim"], name="units_of_a_claim"),
        ),
        migrations.AddConstraint(
            model_name="claimunit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("subscription", None), models.Q(("workload", ""), _negated=True)),
                    models.Q(("subscription__isnull", False), ("workload", "")),
                    _connector="OR",
                ),
                name="a_unit_is_a_workload_or_a_subscription",
            ),
        ),
        migrations.AddConstraint(
            model_name="claimunit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("subscription", None)),
                fields=("claim", "workload"),
                name="a_claim_names_a_workload_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="claimunit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("subscription__isnull", False)),
                fields=("claim", "subscription"),
                name="a_claim_names_a_subscription_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="claimunit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("live", True), ("subscription", None)),
                fields=("program", "customer", "workload", "company"),
                name="one_live_claim_of_a_company_per_workload",
            ),
        ),
        migrations.AddConstraint(
            model_name="claimunit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("live", True), ("subscription__isnull", False)),
                fields=("subscription", "program", "role", "company"),
                name="one_live_claim_of_a_company_per_subscription",
            ),
        ),
        migrations.AddIndex(
            model_name="comment",
            index=models.Index(fields=["claim", "at", "id"], name="comments_of_a_claim"),
        ),
    ]
