"""The Celery application of workers and scheduler."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

app = Celery("por")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


# Celery itself would open a connection to the database for each task.


@signals.task_prerun.connect
def replace_connection(task: Any, **_rest: Any) -> None:
    """Replace the worker's connection to the database before a task if it is broken or old, as Django does."""
    from django.db import close_old_connections

    if not task.request.is_eager:
        close_old_connections()


@signals.task_postrun.connect
def close_connection_after_failure(task: Any, state: str = "", **_rest: Any) -> None:
    """Close the connection of a task that was cut off or failed: the locks of its session end with it."""
    from django.db import connections

    if state != "SUCCESS" and not task.request.is_eager:
        connections.close_all()
