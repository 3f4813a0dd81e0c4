"""The Celery application of workers and scheduler."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

app = Celery("por")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
