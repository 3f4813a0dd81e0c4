"""The metrics of one process and its children, on a port of their own.

Workers and the scheduler serve no pages, and a web server behind a proxy cannot be asked by itself. So each can open
METRICS_PORT. It has what its processes count; `/metrics` of the product also has what the database knows.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)


def counted() -> bytes:
    """Return what this process counts, and all others that share PROMETHEUS_MULTIPROC_DIR with it."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def may_scrape(authorization: str) -> bool:
    """Return whether this header carries METRICS_TOKEN. Without that setting, no header does."""
    expected = f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and secrets.compare_digest(authorization.encode(), expected.encode())


def start() -> None:
    """Open METRICS_PORT, if it is set. A port that is taken is logged and stops nothing."""
    if not settings.METRICS_PORT:
        return
    if not settings.METRICS_TOKEN:
        logger.error("METRICS_PORT is set and METRICS_TOKEN is not: no one may read the metrics of this process.")
    try:
        server = _Server(("", settings.METRICS_PORT), _Answer)
    except OSError as error:
        logger.error("The metrics of this process have no port (%s).", error)
        return
    os.register_at_fork(after_in_child=server.socket.close)  # a child would keep the port after its parent's end
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Server(ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class _Answer(BaseHTTPRequestHandler):
    timeout = 5  # seconds that a caller may be silent

    def do_GET(self) -> None:  # noqa: N802  # the library's name
        if self.path != "/metrics":
            self._send(404)
        elif not may_scrape(self.headers.get("Authorization", "")):
            self._send(401)
        else:
            self._send(200, counted())

    def _send(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="metrics"')
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "metrics"

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: a scrape is no news."""
