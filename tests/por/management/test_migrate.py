"""`manage.py migrate` works where DATABASE_OWNER_URL says, with its options, and gives each role its rights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2
import pytest
from django.db import connection

from por.db.grants import as_owner
from tests.databases import TEMPLATE, empty_database
from tests.product import ROOT

#: As if the application came through a pooler, which knows the database by another name, and was away.
ELSEWHERE = "postgres://{role}@127.0.0.1:1/pooled?sslmode=require"


def migrate(owner: str, *, worker: str = "por_worker") -> subprocess.CompletedProcess[str]:
    """Migrate, with these roles for owner and worker; without one for the worker, if it is empty."""
    given = {"DATABASE_URL": ELSEWHERE.format(role="por_app"), "DATABASE_OWNER_URL": owner}
    given |= {"DATABASE_WORKER_URL": ELSEWHERE.format(role=worker)} if worker else {}
    outside = {name: value for name, value in os.environ.items() if name != "DATABASE_WORKER_URL"}
    return subprocess.run(
        [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"],
        cwd=ROOT,
        env=outside | given,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def session_of(url: str) -> Iterator[Any]:
    """Yield a cursor of a new session with the role and the database of the address."""
    parts = urlsplit(url)
    given = {"host": unquote(parts.netloc.rpartition("@")[2]), "user": parts.username, "dbname": parts.path[1:]}
    with closing(psycopg2.connect(**given)) as session, session.cursor() as cursor:
        yield cursor


def is_denied(url: str, statement: str) -> bool:
    """Return whether the role of the address has no right to the statement."""
    with session_of(url) as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return True
    return False


MARK = "UPDATE history_outbox SET done_at = now()"


def test_migrate_uses_host_port_and_name_of_the_owners_address_and_grants_each_role_its_rights():
    with empty_database(f"{connection.settings_dict['NAME']}_owner") as addresses:
        done = migrate(addresses["DATABASE_OWNER_URL"])

        assert done.returncode == 0, done.stderr
        web, worker = addresses["DATABASE_URL"], addresses["DATABASE_WORKER_URL"]
        for url in (web, worker):
            assert not is_denied(url, "SELECT FROM history_event")
            assert is_denied(url, "DELETE FROM history_event")
            with session_of(url) as cursor:
                cursor.execute("SELECT current_setting('lock_timeout'), current_setting('jit')")
                assert cursor.fetchone() == ("3s", "off"), "each session begins with them"
        assert (is_denied(web, MARK), is_denied(worker, MARK)) == (True, False)


@pytest.mark.crawl
def test_one_role_for_web_server_and_worker_has_the_rights_of_both_until_the_worker_gets_its_own():
    with empty_database(f"{connection.settings_dict['NAME']}_owner", like=TEMPLATE) as addresses:
        denied = []
        for worker in ("", "por_worker", "por_app"):
            assert migrate(addresses["DATABASE_OWNER_URL"], worker=worker).returncode == 0
            assert is_denied(addresses["DATABASE_URL"], "DELETE FROM history_outbox")
            denied.append(is_denied(addresses["DATABASE_URL"], MARK))
        assert denied == [False, True, False]


def test_migrate_uses_the_options_of_the_owners_address():
    with empty_database(f"{connection.settings_dict['NAME']}_owner") as addresses:
        reading = f"{addresses['DATABASE_OWNER_URL']}?options=-c%20default_transaction_read_only%3Don"

        assert "read-only transaction" in migrate(reading).stderr


@pytest.mark.django_db(transaction=True)
def test_options_of_the_owner_and_of_the_application_stay_apart(settings):
    ours = settings.DATABASE_OWNER["OPTIONS"]
    settings.DATABASE_OWNER = settings.DATABASE_OWNER | {"OPTIONS": ours | {"application_name": "migrates"}}

    def called() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW application_name")
            return str(cursor.fetchone()[0])

    before = called()
    with as_owner():
        assert called() == "migrates"
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("3s",), "what each session begins with"
    assert called() == before != "migrates"
