"""The floor of reading: Django without the product, with one view that asks one SQL query for 50 subscriptions."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from por.embedded.up import serving
from tests.benchmarks.processor import cpu_of_all
from tests.product import ROOT, wait_until

SQL = """
SELECT s.subscription_id::text, c.tenant_id::text, o.name, s.product, k.string, k.name, s.agreement, s.seats,
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


def application_on(url: str) -> object:
    """Return the WSGI application on that database, which gives its sessions what it gives the product's."""
    parts = urlsplit(url)
    database: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": parts.username,
    }
    database |= {"HOST": unquote(parts.netloc.rpartition("@")[2]), "CONN_MAX_AGE": 600}
    settings.configure(
        SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DATABASES={"default": database}, USE_TZ=True
    )
    return get_wsgi_application()


if "BARE_DATABASE_URL" in os.environ:
    application = application_on(os.environ["BARE_DATABASE_URL"])


class Server(NamedTuple):
    """The server of the view: its port and its first process."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Return the milliseconds of processor time that its processes have used."""
        return cpu_of_all(self.pid)


@contextlib.contextmanager
def running(url: str, log: Path) -> Iterator[Server]:
    """Yield the product's own web server, with as many processes and threads, but with the bare view in it."""
    environment = os.environ | {"BARE_DATABASE_URL": url}
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        command = [str(part) for part in serving("tests.benchmarks.bare:application", listener)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()], stdout=output, stderr=output
        )
        try:
            wait_until(lambda: _answers(port))
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        return bool(answer.status == 200)
    return False
