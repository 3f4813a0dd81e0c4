"""The files that prove the work, and the units that each is for."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_former_names"),
        ("associations", "0030_seen_usage"),
        ("directory", "0015_enrolments"),
        ("claims", "0002_units"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Proof",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveSmallIntegerField()),
                ("filename", models.CharField(max_length=255)),
                ("content_type", models.CharField(max_length=100)),
                ("size", models.PositiveIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("stored_as", models.CharField(max_length=200, unique=True)),
                ("acknowledged_on", models.DateField()),
                ("description", models.TextField(blank=True)),
                ("uploaded_by_name", models.CharField(blank=True, max_length=150)),
                ("uploaded_at", models.DateTimeField()),
                (
                    "scan",
                    models.CharField(
                        choices=[
                            ("pending", "Being scanned"),
                            ("clean", "No malware found"),
                            ("infected", "Malware found"),
                            ("failed", "The scan failed and is repeated"),
                            ("not_scanned", "Not scanned"),
                        ],
                        default="pending",
                        max_length=12,
                    ),
                ),
                ("pages", models.PositiveSmallIntegerField(default=0)),
                (
                    "preview",
                    models.CharField(
                        choices=[("pending", "Being drawn"), ("drawn", "Drawn"), ("none", "No preview")],
                        default="pending",
                        max_length=10,
                    ),
                ),
                (
                    "claim",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proofs",
                        to="claims.claim",
                    ),
                ),
                (
                    "uploaded_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "proof of execution",
            },
        ),
        migrations.CreateModel(
            name="ProofUnit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "proof",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="claims.proof"
                    ),
                ),
                (
                    "unit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="claims.claimunit"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="proof",
            name="units",
            field=models.ManyToManyField(related_name="proofs", through="claims.ProofUnit", to="claims.claimunit"),
        ),
        migrations.AddConstraint(
            model_name="proofunit",
            constraint=models.UniqueConstraint(fields=("proof", "unit"), name="a_proof_names_a_unit_once"),
        ),
        migrations.AddIndex(
            model_name="proof",
            index=models.Index(
                condition=models.Q(("scan__in", ["pending", "failed"])), fields=["uploaded_at"], name="proofs_to_scan"
            ),
        ),
        migrations.AddConstraint(
            model_name="proof",
            constraint=models.UniqueConstraint(fields=("claim", "number"), name="one_proof_per_number_of_a_claim"),
        ),
        migrations.AddConstraint(
            model_name="proof",
            constraint=models.UniqueConstraint(fields=("claim", "sha256"), name="a_claim_has_a_file_once"),
        ),
    ]
