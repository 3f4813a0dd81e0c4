"""Claims."""

from datetime import UTC, datetime

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Coalesce


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0009_former_names"),
        ("associations", "0030_seen_usage"),
        ("directory", "0015_enrolments"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(blank=True, max_length=40)),
                ("name", models.CharField(blank=True, max_length=200, verbose_name="claim name")),
                (
                    "program",
                    models.CharField(
                        blank=True,
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
                        blank=True,
                        choices=[
                            ("usage", "Usage"),
                            ("presales", "Pre-sales advisor"),
                            ("revenue", "Revenue association"),
                        ],
                        max_length=20,
                    ),
                ),
                ("domain", models.CharField(blank=True, max_length=253)),
                ("customer_contact_name", models.CharField(blank=True, max_length=150)),
                ("customer_contact_title", models.CharField(blank=True, max_length=150)),
                ("customer_contact_email", models.EmailField(blank=True, max_length=254)),
                ("partner_contact_name", models.CharField(blank=True, max_length=150)),
                ("partner_contact_email", models.EmailField(blank=True, max_length=254)),
                ("opt_out_of_payment", models.BooleanField(default=False)),
                ("transaction_on", models.DateField(blank=True, null=True)),
                ("seller", models.CharField(blank=True, max_length=200)),
                ("solution", models.CharField(blank=True, max_length=200)),
                (
                    "checked",
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
                    "origin",
                    models.CharField(
                        choices=[
                            ("wizard", "Entered by the partner"),
                            ("api", "Sent by a program of the partner"),
                            ("estate", "Imported from files"),
                            ("again", "Claimed again from an earlier claim"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "status",
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
                        default="draft",
                        max_length=20,
                    ),
                ),
                (
                    "consent",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("pending", "The customer can decline"),
                            ("declined", "Declined by the customer"),
                            ("lapsed", "Accepted: the customer did not decline in time"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "end_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("removed", "Removed by the customer"),
                            ("resigned", "The partner resigned"),
                            ("moved", "Moved to another location of the same company"),
                            ("changed", "Replaced by another partner"),
                            ("disassociated", "Ended by the partner"),
                            ("customer_declined", "Declined by the customer"),
                            ("conflict_lost", "Another claim was approved"),
                            ("subscription_expired", "The subscription expired"),
                            ("subscription_replaced", "The subscription was replaced"),
                            ("subscription_moved", "The subscription moved to another tenant"),
                            ("partner_closed", "The partner's account was closed"),
                            ("file", "An imported file says so"),
                        ],
                        max_length=24,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("submitted_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("consent_due_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("reminders", models.PositiveSmallIntegerField(default=0)),
                ("disputes", models.PositiveSmallIntegerField(default=0)),
                (
                    "assigned_to",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
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
                        related_name="claims",
                        to="directory.customer",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="claims",
                        to="directory.partner",
                    ),
                ),
            ],
            options={
                "verbose_name": "claim",
            },
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["partner", "-id"], name="claims_of_a_partner"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["partner", "status", "-id"], name="claims_of_a_partner_by_status"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["customer", "-id"], name="claims_of_a_customer"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["company"], name="claims_of_a_company"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["status", "due_at", "id"], name="claims_by_due"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(
                Coalesce("due_at", models.Value(datetime(9999, 1, 1, tzinfo=UTC))),
                models.F("id"),
                condition=models.Q(("status__in", ["action_required", "disputed", "submitted", "under_review"])),
                name="claims_to_review",
            ),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(
                condition=models.Q(("assigned_to__isnull", False)), fields=["assigned_to"], name="claims_of_a_reviewer"
            ),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(
                condition=models.Q(("consent", "pending")), fields=["consent_due_at"], name="claims_waiting_for_consent"
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.UniqueConstraint(
                condition=models.Q(("number", ""), _negated=True), fields=("number",), name="one_claim_per_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "draft"), ("submitted_at", None)),
                    ("status", "withdrawn"),
                    models.Q(models.Q(("status", "draft"), _negated=True), ("submitted_at__isnull", False)),
                    _connector="OR",
                ),
                name="a_claim_is_a_draft_or_was_submitted",
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("submitted_at", None),
                    models.Q(
                        models.Q(("number", ""), _negated=True),
                        models.Q(("program", ""), _negated=True),
                        models.Q(("role", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="a_submitted_claim_has_number_programme_and_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("approved_at", None), ("consent", "")),
                    models.Q(models.Q(("consent", ""), _negated=True), ("approved_at__isnull", False)),
                    _connector="OR",
                ),
                name="an_approved_claim_has_a_consent",
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "ended"), models.Q(("end_reason", ""), _negated=True)),
                    models.Q(models.Q(("status", "ended"), _negated=True), ("end_reason", "")),
                    _connector="OR",
                ),
                name="an_ended_claim_has_a_reason",
            ),
        ),
    ]
