"""Conflicts about units, their sides, the customer's answer, and the interests of reviewers."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_former_names"),
        ("associations", "0030_seen_usage"),
        ("directory", "0015_enrolments"),
        ("claims", "0003_proofs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Conflict",
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
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Waiting for a decision"),
                            ("decided", "Decided"),
                            ("closed", "Closed: nothing is left to decide"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("note", models.TextField(blank=True)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("carried_out_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="conflicts",
                        to="directory.customer",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="conflicts",
                        to="directory.subscription",
                    ),
                ),
                (
                    "winner",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="won",
                        to="claims.claim",
                    ),
                ),
            ],
            options={
                "verbose_name": "conflict",
            },
        ),
        migrations.CreateModel(
            name="ConflictSide",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("joined_at", models.DateTimeField()),
                ("held_before", models.BooleanField(default=False)),
                (
                    "missing",
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
                (
                    "claim",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="sides", to="claims.claim"
                    ),
                ),
                (
                    "conflict",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sides",
                        to="claims.conflict",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CustomerAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField(blank=True)),
                ("answered_at", models.DateTimeField()),
                ("by_name", models.CharField(blank=True, max_length=150)),
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
                    "conflict",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="answer", to="claims.conflict"
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="directory.partner",
                    ),
                ),
            ],
            options={
                "verbose_name": "answer of the customer",
            },
        ),
        migrations.CreateModel(
            name="Interest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("note", models.TextField(blank=True)),
                ("at", models.DateTimeField()),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organisation"
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="interests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "interest of a reviewer",
            },
        ),
        migrations.AddIndex(
            model_name="conflict",
            index=models.Index(fields=["customer", "-id"], name="conflicts_of_a_customer"),
        ),
        migrations.AddIndex(
            model_name="conflict",
            index=models.Index(fields=["status", "due_at", "id"], name="conflicts_by_due"),
        ),
        migrations.AddIndex(
            model_name="conflict",
            index=models.Index(
                condition=models.Q(("carried_out_at", None), ("status", "decided")),
                fields=["winner"],
                name="decisions_to_carry_out",
            ),
        ),
        migrations.AddConstraint(
            model_name="conflict",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "open"), ("subscription", None)),
                fields=("customer", "program", "workload"),
                name="one_open_conflict_per_workload",
            ),
        ),
        migrations.AddConstraint(
            model_name="conflict",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "open"), ("subscription__isnull", False)),
                fields=("subscription", "program", "role"),
                name="one_open_conflict_per_subscription",
            ),
        ),
        migrations.AddConstraint(
            model_name="conflict",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at", None), ("status", "open")),
                    models.Q(models.Q(("status", "open"), _negated=True), ("closed_at__isnull", False)),
                    _connector="OR",
                ),
                name="a_conflict_is_open_or_has_closed",
            ),
        ),
        migrations.AddConstraint(
            model_name="conflictside",
            constraint=models.UniqueConstraint(fields=("conflict", "claim"), name="a_claim_is_one_side_of_a_conflict"),
        ),
        migrations.AddConstraint(
            model_name="interest",
            constraint=models.UniqueConstraint(
                fields=("reviewer", "organisation"), name="one_interest_per_reviewer_and_organisation"
            ),
        ),
    ]
