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
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, check=True, capture_output=True, text=True)
    modules, schedule = json.loads(done.stdout)

    app.loader.import_default_modules()
    assert schedule == app.conf.beat_schedule
    assert {entry["task"] for entry in schedule.values()} <= app.tasks.keys()
    assert not {"por.celery", "por.history.tasks", "django.db.models.base"} & set(modules)


def test_tasks_still_belong_to_the_worker_where_the_scheduler_is_read_too() -> None:
    script = (
        "import por.celery, por.clock; from celery import current_app as used; print(used.conf is por.celery.app.conf)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"
