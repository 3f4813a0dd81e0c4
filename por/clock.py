"""The Celery application of the scheduler alone. It sends only the names of tasks, so it loads no other code."""

from __future__ import annotations

import logging.config
import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

app = Celery("por", fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")
logging.config.dictConfig(settings.LOGGING)
