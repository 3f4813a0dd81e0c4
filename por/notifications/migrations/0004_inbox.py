import django.db.models.deletion
from django.db import migrations, models

#: What there was to hear of while one chose by topic: who had turned the topic off has turned off each of these.
MESSAGES = [
    *(f"record_{what}" for what in ("attached", "removed", "attach_undone", "removal_undone", "dated_back")),
    *(f"record_{what}_receipt" for what in ("attached", "removed", "attach_undone", "removal_undone", "dated_back")),
    "record_ended",
    "record_ended_customer",
]
CHOSEN = """
    INSERT INTO notifications_preference (membership_id, topic, mail, message, how)
    SELECT membership_id, topic, mail, kind, 'off' FROM notifications_preference, unnest(%s) AS kind
    WHERE NOT mail AND topic = 'record';
    DELETE FROM notifications_preference WHERE message = '';
    SET CONSTRAINTS ALL IMMEDIATE;
"""


def by_message(apps, schema_editor):
    schema_editor.execute(CHOSEN, [MESSAGES])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_find_by_parts_of_words"),
        ("history", "0007_events_by_part_of_name"),
        ("notifications", "0003_topics"),
    ]

    operations = [
        migrations.RemoveConstraint("preference", "one_preference_per_member_and_topic"),
        migrations.AddField(
            "preference", "message", models.CharField(default="", max_length=60), preserve_default=False
        ),
        migrations.AddField(
            "preference",
            "how",
            models.CharField(
                choices=[("at_once", "At once"), ("digest", "Once a day"), ("off", "Not at all")],
                default="off",
                max_length=10,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(by_message, migrations.RunPython.noop),
        migrations.RemoveField("preference", "topic"),
        migrations.RemoveField("preference", "mail"),
        migrations.AddConstraint(
            "preference",
            models.UniqueConstraint(fields=("membership", "message"), name="one_preference_per_member_and_message"),
        ),
        migrations.RemoveConstraint("delivery", "one_delivery_per_event_and_recipient"),
        migrations.AddConstraint(
            "delivery",
            models.UniqueConstraint(
                condition=models.Q(("template", "digest"), _negated=True),
                fields=("event", "organisation", "recipient", "channel", "template"),
                name="one_delivery_per_event_member_and_message",
            ),
        ),
        migrations.CreateModel(
            name="Notification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("message", models.CharField(max_length=60)),
                ("about", models.TextField()),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                ("digest_at", models.DateTimeField(blank=True, null=True)),
                (
                    "digest",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notifications",
                        to="notifications.delivery",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notifications",
                        to="history.event",
                    ),
                ),
                (
                    "membership",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.membership",
                    ),
                ),
            ],
            options={
                "verbose_name": "notification",
                "indexes": [
                    models.Index(
                        condition=models.Q(("done_at", None)),
                        fields=["membership", "-id"],
                        name="open_lines_of_an_inbox",
                    ),
                    models.Index(fields=["membership", "about", "-id"], name="lines_about_one_thing"),
                    models.Index(
                        condition=models.Q(("digest", None), ("digest_at__isnull", False)),
                        fields=["digest_at"],
                        name="lines_put_aside",
                    ),
                    models.Index(
                        condition=models.Q(("digest__isnull", False)), fields=["digest"], name="lines_of_a_digest"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("membership", "event", "message"), name="one_line_per_member_event_and_message"
                    )
                ],
            },
        ),
    ]
