"""The addresses of probes: whether the product is alive and ready."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from functools import cache

from celery import current_app
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from django.core.files.storage import storages
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import get_resolver
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from por.documents.scanning import check_scanner

logger = logging.getLogger(__name__)

#: Seconds a component may take to answer.
TIMEOUT = 1.0


@login_not_required
@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """Answer that the process is alive; check nothing else."""
    return JsonResponse({"status": "alive"})


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer whether the servers that the product needs answer. Name each component, and give no details.

    The scanner is named where there is one, and the product is ready without it: files wait for it.
    """
    checks = COMPONENTS | ({"scanner": _scanner} if settings.CLAMAV_URL else {})
    # In threads and on connections of their own: what hangs is left behind, and the answer is sent in time.
    threads = ThreadPoolExecutor(len(checks))
    asked = {name: threads.submit(check) for name, check in checks.items()}
    threads.shutdown(wait=False)
    wait(asked.values(), timeout=TIMEOUT)
    components = {}
    for name, answer in asked.items():
        failure = answer.exception() if answer.done() else TimeoutError()
        components[name] = "failed" if failure else "ok"
        if failure:
            logger.warning("%s is not ready", name, exc_info=failure)
    ready = all(components[name] == "ok" for name in COMPONENTS)
    body = {"status": "ready" if ready else "not ready", "components": components}
    return JsonResponse(body, status=200 if ready else 503)


def load() -> None:
    """Load what the first answer needs, so that a process is ready within the second that a probe waits."""
    _ = get_resolver().url_patterns
    storages["default"].load()  # type: ignore[attr-defined]  # one of por.files
    current_app.connection_for_write().get_transport_cls()
    _ = caches["default"]
    _in_the_code()


@contextmanager
def _connection() -> Iterator[BaseDatabaseWrapper]:
    """Yield a new connection to the database that gives up within the time of a check. For a thread of its own."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    connection.settings_dict["OPTIONS"]["connect_timeout"] = 1
    connections[DEFAULT_DB_ALIAS] = connection  # of this thread, where Django looks it up by name
    with closing(connection), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = %s", [int(TIMEOUT * 1000)])
        yield connection


def _database() -> None:
    with _connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


class Unapplied(Exception):
    """The code is ahead of the database."""


@cache
def _in_the_code() -> frozenset[tuple[str, str]]:
    """Return the migrations in the code. Read once in each process: it takes longer than the other checks."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations or {})


def _migrations() -> None:
    with _connection() as connection:
        if missing := _in_the_code() - MigrationRecorder(connection).applied_migrations().keys():
            raise Unapplied(", ".join(".".join(migration) for migration in sorted(missing)))


def _broker() -> None:
    patience = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}  # of Redis; others ignore them
    with current_app.connection_for_write(connect_timeout=TIMEOUT, transport_options=patience) as broker:
        broker.ensure_connection(max_retries=0)


def _cache() -> None:
    RedisCache.get(caches["default"], "ready?")  # the server, and not what takes its place while it is away


def _storage() -> None:
    storages["default"].check()  # type: ignore[attr-defined]  # one of por.files


def _scanner() -> None:
    check_scanner(TIMEOUT / 2)


COMPONENTS: dict[str, Callable[[], None]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "cache": _cache,
    "storage": _storage,
}
