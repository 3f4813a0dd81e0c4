"""The Celery application of the scheduler alone. It sends only the names of tasks, so it loads no other code."""

from __future__ import annotations

import logging.config
import os
from typing import Any

from celery import Celery, signals
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

# It never becomes the current application: in a process that also reads por.celery, tasks belong to that one.
app = Celery("por", fixups=[], set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
logging.config.dictConfig(settings.LOGGING)


@signals.beat_init.connect
def open_metrics(**_rest: Any) -> None:
    """Count what is sent and open the port of the metrics, if it is set; else the code for it is not loaded."""
    if not settings.METRICS_PORT:
        return
    from prometheus_client import Counter

    from por.ops import listener

    sent = Counter("scheduler_sent", "Tasks that the scheduler has sent, by name", ["task"])

    def count(sender: str, **_rest: Any) -> None:
        sent.labels(sender).inc()

    signals.after_task_publish.connect(count, weak=False)
    listener.start()
