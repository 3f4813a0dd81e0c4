import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

application = get_wsgi_application()

# Tasks are rung from web processes too, so they need the configured Celery application.
from por.celery import app  # noqa: E402, F401
