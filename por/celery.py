"""The Celery application of workers and scheduler."""

from __future__ import annotations

import gc
import os
import time
from typing import Any

from celery import Celery, signals

from por.ops import metrics

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


# What the worker counts, and the port where it shows it.


@signals.task_prerun.connect
def note_begin(task: Any, **_rest: Any) -> None:
    """Remember when a task began."""
    task.request.began = time.monotonic()


@signals.task_postrun.connect
def count_task(task: Any, state: str = "", **_rest: Any) -> None:
    """Count a task that has ended, and its time."""
    metrics.TASKS.labels(task.name, state).inc()
    metrics.TASK_SECONDS.labels(task.name).inc(time.monotonic() - task.request.began)


# The processes of the worker share the memory of the code.


@signals.worker_before_create_process.connect
def keep_memory_shared(**_rest: Any) -> None:
    """Load what each process would load for itself, and let no garbage collection write to the memory they share."""
    from django.urls import get_resolver

    _ = get_resolver().url_patterns  # mails have links, and the addresses lead to the code of all pages
    gc.collect()
    gc.freeze()


@signals.worker_ready.connect
def open_metrics(**_rest: Any) -> None:
    """Open the port of the metrics in the parent of the worker's processes."""
    from por.ops import listener

    listener.start()
