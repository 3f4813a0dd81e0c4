"""`manage.py migrate` works where DATABASE_OWNER_URL says, and with its options."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from urllib.parse import unquote, urlsplit

import psycopg2
import pytest
from django.db import connection

from por.db.grants import as_owner
from tests.databases import empty_database
from tests.product import ROOT

#: As if the application came through a pooler, which knows the database by another name, and was away.
ELSEWHERE = "postgres://por_app@127.0.0.1:1/pooled?sslmode=require"


def migrate(owner: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": ELSEWHERE, "DATABASE_OWNER_URL": owner},
        capture_output=True,
        text=True,
        check=False,
    )


def test_migrate_uses_host_port_and_name_of_the_owners_address_and_grants_the_application_its_rights():
    with empty_database(f"{connection.settings_dict['NAME']}_owner") as addresses:
        done = migrate(addresses["DATABASE_OWNER_URL"])

        assert done.returncode == 0, done.stderr
        parts = urlsplit(addresses["DATABASE_URL"])
        given = {"host": unquote(parts.netloc.rpartition("@")[2]), "user": parts.username, "dbname": parts.path[1:]}
        with closing(psycopg2.connect(**given)) as application, application.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM history_event")
            assert cursor.fetchone() == (0,)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute("DELETE FROM history_event")


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
            assert cursor.fetchone() == ("3s",), "our own options stay"
    assert called() == before != "migrates"
