"""The floor of reading: Django without the product, with one view that asks one SQL query for 50 subscriptions."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.product import ROOT, free_port

SQL = """
SELECT s.subscription_id::text, c.tenant_id::text, o.name, s.product, k.string_id, k.name, s.agreement, s.seats,
       s.status, s.started_on::text, s.renews_on::text, s.version
FROM directory_subscription s
JOIN directory_customer c ON c.organisation_id = s.customer_id
JOIN accounts_organisation o ON o.id = s.customer_id
LEFT JOIN directory_sku k ON k.id = s.sku_id
ORDER BY s.id LIMIT 50
"""


def rows(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute(SQL)
        names = [column.name for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return HttpResponse(json.dumps(found), content_type="application/json")


urlpatterns = [path("", rows)]


def application_on(url: str, options: str) -> object:
    """Return the WSGI application on that database, with the product's own options for it."""
    parts = urlsplit(url)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": parts.path.strip("/"), "USER": parts.username}
    database |= {"HOST": unquote(parts.netloc.rpartition("@")[2]), "CONN_MAX_AGE": 600, "OPTIONS": {"options": options}}
    settings.configure(
        SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DATABASES={"default": database}, USE_TZ=True
    )
    return get_wsgi_application()


if "BARE_DATABASE_URL" in os.environ:
    application = application_on(os.environ["BARE_DATABASE_URL"], os.environ["BARE_OPTIONS"])


@contextlib.contextmanager
def running(url: str, options: str) -> Iterator[int]:
    """Yield the port of a server like the product's own, which answers until the end of the block."""
    port = free_port()
    serve = [sys.executable, "-m", "gunicorn", "tests.benchmarks.bare:application", "--bind", f"127.0.0.1:{port}"]
    serve += ["--worker-class", "gthread", "--workers", "2", "--threads", "4", "--log-level", "error"]
    environment = os.environ | {"BARE_DATABASE_URL": url, "BARE_OPTIONS": options}
    process = subprocess.Popen([*serve, "--no-control-socket"], cwd=ROOT, env=environment)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()
