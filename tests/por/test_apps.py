"""What every process of the product has after it has started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_process_sends_tasks_to_the_products_broker():
    """The tests import the Celery application themselves, so a process of its own is asked."""
    script = (
        "import django; django.setup(); from celery import current_app as app; print(app.main, app.conf.broker_url)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "por.settings", "REDIS_URL": "redis://broker.example:6379"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split() == ["por", "redis://broker.example:6379/0"]
