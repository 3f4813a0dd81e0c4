"""The scheduler, which sends the names of tasks to workers and loads none of them."""

from __future__ import annotations

import json
import subprocess
import sys

from por.celery import app
from tests.product import ROOT

SCRIPT = """
import json, sys
from por.clock import app
app.loader.import_default_modules()
app.finalize()
print(json.dumps([sorted(sys.modules), app.conf.beat_schedule]))
"""


def test_the_scheduler_sends_tasks_of_the_workers_and_loads_none():
    """In a process of its own: an application of Celery becomes the one that tasks use."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, check=True, capture_output=True, text=True)
    modules, schedule = json.loads(done.stdout)

    app.loader.import_default_modules()
    assert schedule == app.conf.beat_schedule
    assert {entry["task"] for entry in schedule.values()} <= app.tasks.keys()
    assert not {"por.celery", "por.history.tasks", "django.db.models.base"} & set(modules)
