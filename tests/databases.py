"""The test databases: a template that is migrated once in a run, and a clone of it for each process."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection

from por.db.defaults import set_defaults
from por.db.grants import as_owner, grant

TEMPLATE = "test_por_template"
#: The run that a template belongs to, kept as its comment. One that an interrupted run has left is made again.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex

#: Reference data that migrations write; it is kept between tests.
KEPT = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "directory_sku",
    "directory_sku_plans",
    "directory_serviceplan",
}
#: Tables from which a trigger keeps even the owner from deleting rows.
GUARDED = {"history_event", "history_party"}


# --- Making ------------------------------------------------------------------------------------------------------


def make_template() -> None:
    """Make the template of this run, unless it is there, and leave Django's own database as it is."""
    before = connection.settings_dict["NAME"]
    with _template():
        _use(before)


def use_clone() -> None:
    """Make this process's database from the template, and let Django use it."""
    name = connection.creation._get_test_db_name()
    with _template() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    _use(name)
    with as_owner():
        set_defaults()  # a clone does not inherit them
        grant()


def drop_clone() -> None:
    """Drop this process's database."""
    _owner().close()
    _owner.cache_clear()
    # A thread that a test left behind may still hold a connection, and a pooler keeps sessions. The last is our own.
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE usename = current_user"
            " AND datname = current_database() ORDER BY pid = pg_backend_pid()) AS session"
        )
    name = connection.settings_dict["NAME"]
    connection.close()
    with _server() as cursor:
        cursor.execute(f'DROP DATABASE "{name}"')


def vacuum() -> None:
    """Remove dead rows from the tables in which tests have left many. Nothing else does so during a run.

    The planner takes such a table for a small one, so a query that reads it many times could take a minute.
    """
    with closing(_as_owner(connection.settings_dict["NAME"])) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SELECT relname FROM pg_stat_user_tables WHERE n_dead_tup > 500")
            if names := ", ".join(f'"{name}"' for (name,) in cursor.fetchall()):
                cursor.execute(f"VACUUM (SKIP_LOCKED, ANALYZE) {names}")


def analyze(tables: Iterable[str]) -> None:
    """Let the planner know the size of tables as it is committed. What a rolled-back test has let it know stays."""
    address = addresses()["DATABASE_OWNER_URL"]  # beside Django's own session, which goes on
    with closing(connection.Database.connect(address)) as session, session.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(tables)}")
        session.commit()


def drop_template() -> None:
    """Drop the template at the end of a run, so that a server of your own is left as it was."""
    with _server() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}"')


@contextmanager
def _template() -> Iterator[Any]:
    """Yield a session of the owner's once the template is there: one process migrates, and the others wait for it."""
    with _server() as cursor:
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [TEMPLATE])
        if not _is_ready(cursor):
            _make_template(cursor)
        yield cursor


def _is_ready(cursor: Any) -> bool:
    cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [TEMPLATE])
    return cursor.fetchone() == (RUN,)


def _make_template(cursor: Any) -> None:
    test = connection.settings_dict["TEST"]
    given, test["NAME"] = test["NAME"], TEMPLATE
    settings.DATABASE_OWNER["NAME"] = TEMPLATE  # `migrate` works there
    with as_owner():
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    test["NAME"] = given
    cursor.execute(f'COMMENT ON DATABASE "{TEMPLATE}" IS %s', [RUN])


def _use(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = settings.DATABASE_OWNER["NAME"] = connection.settings_dict["NAME"] = name


@contextmanager
def _server() -> Iterator[Any]:
    """Work as owner outside the databases that are made and dropped, each statement by itself."""
    with closing(_as_owner("postgres")) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            yield cursor


def addresses(name: str = "") -> dict[str, str]:
    """Return the addresses of a database for each role: of that of this process, unless another one is named."""
    roles = ("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL")
    given = {role: os.environ.get(role) or os.environ["DATABASE_URL"] for role in roles}
    name = name or connection.settings_dict["NAME"]
    return {role: f"{url.rpartition('/')[0]}/{name}" for role, url in given.items()}


@contextmanager
def empty_database(name: str, *, like: str = "template1") -> Iterator[dict[str, str]]:
    """Make a database without tables, or like another; yield its addresses for each role, and drop it after."""
    with _server() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
    try:
        yield addresses(name)
    finally:
        with _server() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _as_owner(database: str) -> Any:
    """Return a session of the owner's beside Django's own."""
    with as_owner():
        return connection.Database.connect(**connection.get_connection_params() | {"dbname": database})


@contextmanager
def function_without(part: str, name: str) -> Iterator[None]:
    """Leave a part out of a function of the database during the block. For controls."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef(%s::regproc)", [name])
        (whole,) = cursor.fetchone()
        assert part in whole
        cursor.execute(whole.replace(part, ""))
    try:
        yield
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute(whole)


# --- Emptying ----------------------------------------------------------------------------------------------------

#: Finds the tables that hold rows: one EXISTS for each costs less than emptying one empty table.
PREPARE = "PREPARE with_rows AS {}"
WITH_ROW = "SELECT '{0}' WHERE EXISTS (SELECT FROM \"{0}\")"
RESTART = """
SELECT setval(seqrelid, seqstart, false)
  FROM pg_sequence JOIN pg_depend ON objid = seqrelid AND deptype IN ('a', 'i') AND refclassid = 'pg_class'::regclass
 WHERE pg_sequence_last_value(seqrelid) IS NOT NULL AND refobjid::regclass::text <> ALL(%s)
"""


def empty() -> None:
    """Delete the rows of all tables that hold any, and restart their numbers; reference data stays.

    As owner, and past the trigger that protects history. TRUNCATE takes ten times as long: it makes the files of a
    table and of its indexes anew, and those of every table that refers to it.
    """
    connection.close()
    with _owner() as owner, owner.cursor() as cursor:
        cursor.execute("EXECUTE with_rows")
        tables = [name for (name,) in cursor]
        guarded = GUARDED.intersection(tables)
        statements = [f"ALTER TABLE {table} DISABLE TRIGGER refuse_change" for table in guarded]
        statements += [f'DELETE FROM "{table}"' for table in tables]
        statements += ["SET CONSTRAINTS ALL IMMEDIATE"]
        statements += [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_change" for table in guarded]
        cursor.execute("; ".join(statements))
        cursor.execute(RESTART, [list(KEPT)])


@cache
def _owner() -> Any:
    """Return a session of the owner's, kept for emptying: its prepared statement saves most of the time."""
    session = _as_owner(connection.settings_dict["NAME"])
    with session, session.cursor() as cursor:
        tables = [table.name for table in connection.introspection.get_table_list(cursor) if table.type == "t"]
        cursor.execute(PREPARE.format(" UNION ALL ".join(map(WITH_ROW.format, sorted(set(tables) - KEPT)))))
    return session


@contextmanager
def any_time() -> Iterator[None]:
    """Let events be recorded at any time in the block. Only the owner can, and tests that set the clock need it."""
    name = "an_event_is_recorded_when_it_happens"
    with _owner() as owner, owner.cursor() as cursor:
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name])
        (definition,) = cursor.fetchone()
        cursor.execute(f"ALTER TABLE history_event DROP CONSTRAINT {name}")
    try:
        yield
    finally:
        with _owner() as owner, owner.cursor() as cursor:
            cursor.execute(f"ALTER TABLE history_event ADD CONSTRAINT {name} {definition}")


def clear_statistics(*tables: str) -> None:
    """Remove, as the owner, what the planner knows of these tables: imports of earlier tests have analysed them."""
    owner = connection.copy()
    owner.settings_dict.update({key: settings.DATABASE_OWNER[key] for key in ("USER", "PASSWORD", "HOST", "PORT")})
    with closing(owner), owner.cursor() as cursor:
        cursor.execute(
            "SELECT pg_clear_attribute_stats(schemaname::text, tablename::text, attname::text, inherited) FROM pg_stats"
            " WHERE tablename = ANY(%s)",
            [list(tables)],
        )
        cursor.execute("SELECT pg_clear_relation_stats('public', name) FROM unnest(%s::text[]) AS name", [list(tables)])
