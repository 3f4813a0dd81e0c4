"""Requests of the tests work as the role of the web server. All else in a test is done as the worker, which may more.

One session does both, so that a request sees what its test has not committed. Only a role of temporary servers may
become the other one.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import psycopg2
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import connection
from django.db.backends.signals import connection_created

_here = threading.local()


def open_requests() -> None:
    """Watch requests, if web server and worker have different roles."""
    if settings.WEB_ROLE != settings.WORKER_ROLE:
        request_started.connect(_begin)
        connection_created.connect(_opened)
        request_finished.connect(_end)


def _begin(**_rest: Any) -> None:
    _here.is_in_request = True
    _become(settings.WEB_ROLE)


def _opened(**_rest: Any) -> None:
    if getattr(_here, "is_in_request", False):
        _become(settings.WEB_ROLE)


def _end(**_rest: Any) -> None:
    end_request()


def end_request() -> None:
    """Go back to the role of the worker, also after a request whose answer was never read to its end."""
    if settings.WEB_ROLE != settings.WORKER_ROLE:
        _here.is_in_request = False
        _become(settings.WORKER_ROLE)


def _become(role: str) -> None:
    """Change the role of this thread's session, if it has one. No count of queries has this statement."""
    if connection.connection is not None:
        with suppress(psycopg2.Error), connection.connection.cursor() as cursor:  # the session may be broken
            cursor.execute(f'SET ROLE "{role}"')
