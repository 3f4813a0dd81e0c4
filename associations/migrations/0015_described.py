"""Describe the associations that are there, so that what is changed without an event from now on is found.

Each thousand customers have a transaction of their own: verbs wait for the heads of their chains. If it is stopped, it
is simply run again, and leaves out what is described already.
"""

from typing import Any

from django.db import migrations

from associations.record.describing import describe_all, describe_what_was_kept


def describe(apps: Any, schema_editor: Any) -> None:
    describe_all()
    describe_what_was_kept()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("associations", "0014_known_ends"),
        ("accounts", "0005_user_sessions"),
        ("directory", "0006_usage_sums"),
        ("history", "0012_recorded_at"),
    ]
    operations = [migrations.RunPython(describe, migrations.RunPython.noop)]
