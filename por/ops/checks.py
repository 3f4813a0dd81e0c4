"""System checks that report an unsafe set-up before the product starts."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import Error, connection

from por.db import defaults

#: The tag of the checks that a command runs which leaves out those of Django: they load all pages, for their addresses.
OWN = "por"


@checks.register(OWN)
def check_driver(**options: Any) -> list[checks.CheckMessage]:
    if find_spec("psycopg") is None:
        return []
    return [
        checks.Error(
            "psycopg 3 is installed, and Django would use it instead of psycopg2.",
            hint="pip uninstall psycopg; the lock files do not hold it.",
            id="por.E001",
        )
    ]


@checks.register(deploy=True)
def check_demo(**options: Any) -> list[checks.CheckMessage]:
    if not settings.DEMO:
        return []
    return [
        checks.Error(
            "DEMO is set: sign-ins and their emails are open to anyone.",
            hint="Unset DEMO where real people are served.",
            id="por.E002",
        )
    ]


@checks.register(deploy=True)
def check_owner_of_history(**options: Any) -> list[checks.CheckMessage]:
    if "DATABASE_OWNER_URL" in os.environ:
        is_safe = settings.DATABASE_OWNER["USER"] not in {settings.WEB_ROLE, settings.WORKER_ROLE}
    else:  # web server and worker need not know the owner
        is_safe = not _may(
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('history_event')"
        )
    if is_safe:
        return []
    return [
        checks.Warning(
            "The application works as the role that owns the tables, so it could change history. Or the database does "
            "not answer, so that this cannot be checked.",
            hint="Set DATABASE_OWNER_URL to the owning role and DATABASE_URL to another one, then run migrate.",
            id="por.W001",
        )
    ]


@checks.register(deploy=True)
def check_role_of_worker(**options: Any) -> list[checks.CheckMessage]:
    if "DATABASE_WORKER_URL" in os.environ:
        is_safe = settings.WORKER_ROLE != settings.WEB_ROLE
    else:  # the web server must not know the role of the worker
        is_safe = not _may("SELECT has_table_privilege(to_regclass('history_outbox'), 'UPDATE')")
    if is_safe:
        return []
    return [
        checks.Warning(
            "Web server and worker have the same role, so the web server could mark events as done before anyone is "
            "told of them. Or the database does not answer, so that this cannot be checked.",
            hint="Set DATABASE_WORKER_URL to a role of its own for the worker and for migrate, then run migrate.",
            id="por.W005",
        )
    ]


def _may(question: str) -> bool:
    """Return the answer of the database about a right of our role; True if it does not say."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            found: tuple[bool | None] | None = cursor.fetchone()
    except Error:
        return True
    return found is None or found[0] is not False


@checks.register(deploy=True)
def check_sessions(**options: Any) -> list[checks.CheckMessage]:
    try:
        missing = defaults.missing()
    except Error:  # a database that does not answer makes the product unready
        missing = []
    if not missing:
        return []
    return [
        checks.Warning(
            f"Sessions of the database do not begin with what the product needs: {', '.join(missing)}.",
            hint="Run migrate, let a pooler connect anew, and see that the role has no settings of its own for these.",
            id="por.W006",
        )
    ]


@checks.register(deploy=True)
def check_https(**options: Any) -> list[checks.CheckMessage]:
    if settings.HTTPS:
        return []
    return [
        checks.Warning(
            "SITE_URL is not https, so cookies and redirects are not protected.",
            hint="Set SITE_URL to the public https address.",
            id="por.W002",
        )
    ]


@checks.register(deploy=True)
def check_proxies(**options: Any) -> list[checks.CheckMessage]:
    if not settings.HTTPS or os.environ.get("TRUSTED_PROXIES"):
        return []
    return [
        checks.Warning(
            "SITE_URL is https, and TRUSTED_PROXIES does not say how many proxies a request passes.",
            hint="Without it, all callers share the limits of sign-in, and https is not recognised: set it to the "
            "number of your proxies, or to 0 if there is none.",
            id="por.W004",
        )
    ]


@checks.register(deploy=True)
def check_place_of_files(**options: Any) -> list[checks.CheckMessage]:
    # Someone who can change both history and its files leaves no trace; and a second machine could not read the files.
    if settings.STORAGES["default"]["BACKEND"] == "por.files.bucket.Bucket":
        return []
    return [
        checks.Warning(
            "Files, and among them the signed heads of history, lie on this machine's own disk.",
            hint="Set AWS_STORAGE_BUCKET_NAME to a bucket that the database's keepers cannot write to.",
            id="por.W003",
        )
    ]
