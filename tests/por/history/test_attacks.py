"""An attacker with the password of web server or worker can neither rewrite history nor remove its guards.

And with that of the web server alone, nobody can take anything out of the queues. Each attack is tried with the roles
as the product makes them, and then by a role that can: the worker, the owner of the tables, or the server's
administrator. An attack that no role could carry out would prove nothing.
"""

from __future__ import annotations

from contextlib import closing
from io import StringIO
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg2.errors import CheckViolation, InsufficientPrivilege

from por.accounts.models import SYSTEM
from por.history.actions import recording as history
from por.history.actions import verifying
from por.notifications.passwords import send_password_link

CHAIN = "organisation:7"

#: A trigger of the attacker that runs the product's function with the owner's rights.
BORROWED = """
CREATE TABLE {place}trap AS SELECT * FROM history_event LIMIT 0;
CREATE TRIGGER borrowed BEFORE INSERT ON {place}trap FOR EACH ROW EXECUTE FUNCTION history_chain_event()
"""
NEW_BODY = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"

#: Attacks that the owner of the tables could carry out, after disabling its own triggers where needed.
OWNERS = {
    "change an event": "UPDATE history_event SET reason = 'Mine.'",
    "change an event by a conflict": (
        "INSERT INTO history_event SELECT * FROM history_event ON CONFLICT (id) DO UPDATE SET reason = 'Mine.'"
    ),
    "change an event by a merge": (
        "MERGE INTO history_event AS old USING history_event AS new ON old.id = new.id"
        " WHEN MATCHED THEN UPDATE SET reason = 'Mine.'"
    ),
    "delete events": "DELETE FROM history_outbox; DELETE FROM history_party; DELETE FROM history_event",
    "empty the events": "TRUNCATE history_event CASCADE",
    "change who may read": "UPDATE history_party SET organisation_id = organisation_id + 100",
    "delete who may read": "DELETE FROM history_party",
    "empty who may read": "TRUNCATE history_party",
    "delete an outbox row": "DELETE FROM history_outbox",
    "empty the outbox": "TRUNCATE history_outbox",
    "change a head": "UPDATE history_chainhead SET seq = 0, hash = ''",
    "lock a head": "SELECT * FROM history_chainhead FOR NO KEY UPDATE",
    "insert a head": "INSERT INTO history_chainhead (chain, seq, hash) VALUES ('mine', 0, '')",
    "delete a head": "DELETE FROM history_chainhead",
    "empty the heads": "TRUNCATE history_chainhead",
    "forget a migration": "DELETE FROM django_migrations",
    "disable a trigger": "ALTER TABLE history_event DISABLE TRIGGER refuse_change",
    "disable all triggers": "ALTER TABLE history_event DISABLE TRIGGER USER",
    "drop a trigger": "DROP TRIGGER chain_event ON history_event",
    "add a trigger": (
        "CREATE FUNCTION pg_temp.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER a_mine BEFORE INSERT ON history_event FOR EACH ROW EXECUTE FUNCTION pg_temp.mine()"
    ),
    "add a rule": "CREATE RULE mine AS ON INSERT TO history_event DO INSTEAD NOTHING",
    "hide rows": "ALTER TABLE history_event ENABLE ROW LEVEL SECURITY",
    "allow any date": "ALTER TABLE history_event DROP CONSTRAINT an_event_is_recorded_when_it_happens",
    "drop the table": "DROP TABLE history_event CASCADE",
    "change a column": "ALTER TABLE history_event ALTER COLUMN reason DROP NOT NULL",
    "take the table over": "ALTER TABLE history_event OWNER TO por_app",
    "rewrite the function": f"CREATE OR REPLACE FUNCTION history_chain_event() {NEW_BODY}",
    "turn the function aside": "ALTER FUNCTION history_chain_event() SET search_path = pg_temp, public",
    "turn the function of replays aside": (
        "ALTER FUNCTION history_replay_event(bigint) SET search_path = pg_temp, public"
    ),
    "drop the function": "DROP FUNCTION history_chain_event() CASCADE",
    "borrow the function for a temporary table": BORROWED.format(place="pg_temp."),
    "borrow the function for a table": BORROWED.format(place="public."),
    "call the numbers back": "SELECT setval('history_event_id_seq', 1000)",
    "shadow a head by a temporary table": "CREATE TEMP TABLE history_chainhead (chain text, seq bigint, hash text)",
    "shadow the events by a temporary table": "CREATE TEMP TABLE history_event (LIKE public.history_event)",
    "shadow a function that the trigger calls": (
        "CREATE FUNCTION public.sha256(text) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea'"
    ),
    "make a table": "CREATE TABLE public.mine (id int)",
    "make a schema": "CREATE SCHEMA mine",
    "keep everyone out": "LOCK TABLE history_event IN ACCESS EXCLUSIVE MODE",
}

#: Attacks that only the server's administrator could carry out.
ADMINISTRATORS = {
    "play a replica": "SET session_replication_role = replica",
    "become the owner": "SET ROLE por_owner",
    "sign in as the owner": "SET SESSION AUTHORIZATION por_owner",
    "be given the owner": "GRANT por_owner TO por_app",
    "be an administrator": "ALTER ROLE por_app SUPERUSER",
    "make a role": "CREATE ROLE mine",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'",
    "write a file": "COPY (SELECT 1) TO '/dev/null'",
    "read a file": "SELECT pg_read_file('PG_VERSION')",
    "silence the log": "SET log_min_messages = panic",
}

EVENT = """
INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind,
    object_id, object_name, changes, reason, request_id, parties)
VALUES ('organisation:7', 0, '', '', now(), 'thing.hidden', '', '', 'thing', '1', '', '{}', '', '', '[]');
"""
#: Attacks on the queues and on the signing of history, which the worker could carry out.
WORKERS = {
    "mark an event as done": "UPDATE history_outbox SET done_at = now()",
    "give an event up": "UPDATE history_outbox SET dead_at = now()",
    "delay an event": "UPDATE history_outbox SET next_at = now() + interval '1 year'",
    "use up the tries of an event": "UPDATE history_outbox SET attempts = 12",
    "mark an event as done by a conflict": (
        "INSERT INTO history_outbox (event_id, next_at, attempts, last_error) SELECT event_id, now(), 0, ''"
        " FROM history_outbox ON CONFLICT (event_id) DO UPDATE SET done_at = now()"
    ),
    "mark an event as done by a merge": (
        "MERGE INTO history_outbox AS old USING history_outbox AS new ON old.event_id = new.event_id"
        " WHEN MATCHED THEN UPDATE SET done_at = now()"
    ),
    "keep an event for itself": "SELECT * FROM history_outbox FOR KEY SHARE",
    "insert an event that is done": (
        f"{EVENT} INSERT INTO history_outbox (event_id, next_at, attempts, last_error, done_at)"
        " SELECT max(id), now(), 0, '', now() FROM history_event"
    ),
    "insert an event that is given up": (
        f"{EVENT} INSERT INTO history_outbox (event_id, next_at, attempts, last_error, dead_at)"
        " SELECT max(id), now(), 0, '', now() FROM history_event"
    ),
    "mark a mail as sent": "UPDATE notifications_delivery SET status = 'sent', sent_at = now()",
    "send a mail elsewhere": "UPDATE notifications_delivery SET recipient = 'mallory@elsewhere.example'",
    "delay a mail": "UPDATE notifications_delivery SET next_at = now() + interval '1 year'",
    "keep a mail for itself": "SELECT * FROM notifications_delivery FOR KEY SHARE",
    "delete a mail": "DELETE FROM notifications_delivery",
    "pass a head off as signed": (
        "INSERT INTO history_signedhead (chain, seq, hash, signed_at) SELECT chain, seq, hash, now()"
        " FROM history_chainhead ON CONFLICT (chain) DO UPDATE SET hash = excluded.hash"
    ),
    "insert a file of signed heads": "INSERT INTO history_seal (name, at, signature) VALUES ('mine', now(), 'mine')",
    "put the next signing off": "INSERT INTO history_round (name, done_at) VALUES ('seal', now())",
    "hide an association without an event": "DELETE FROM associations_unexplained",
}


def connect(role: str) -> Any:
    """Open a session as `web`, `worker`, `owner` or `administrator`."""
    parameters = connection.get_connection_params()
    if role == "web" and settings.WEB_ROLE != settings.WORKER_ROLE:
        parameters |= {"user": settings.WEB_ROLE, "password": None}
    if role == "owner":
        parameters |= {"user": settings.DATABASE_OWNER["USER"], "password": settings.DATABASE_OWNER["PASSWORD"] or None}
    if role == "administrator":
        parameters |= {"user": "postgres", "password": None}
    parameters.pop("cursor_factory", None)
    return closing(psycopg2.connect(**{key: value for key, value in parameters.items() if value is not None}))


def attack(role: str, sql: str, *, before: str = "") -> None:
    """Run the SQL in a transaction that is rolled back. Raises the error of the database."""
    with connect(role) as session, session.cursor() as cursor:
        if before:
            cursor.execute(before)
        cursor.execute(sql)
        session.rollback()


def everything() -> list[Any]:
    """Return all rows of history, and the definitions and rights of its tables, triggers and functions."""
    statements = [
        "SELECT * FROM history_event ORDER BY id",
        "SELECT * FROM history_party ORDER BY id",
        "SELECT * FROM history_outbox ORDER BY event_id",
        "SELECT * FROM history_chainhead ORDER BY chain",
        "SELECT * FROM notifications_delivery ORDER BY id",
        "SELECT relname, relowner, relacl::text FROM pg_class WHERE relname LIKE 'history%' ORDER BY 1",
        "SELECT tgrelid, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
        "SELECT proname, prosrc, proowner, proconfig::text FROM pg_proc WHERE proname LIKE 'history%' ORDER BY 1",
        "SELECT rolname, rolsuper, rolcreaterole FROM pg_roles ORDER BY 1",
        "SELECT count(*) FROM pg_auth_members",
    ]
    results = []
    with connect("administrator") as session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            results.append(cursor.fetchall())
    return results


@pytest.fixture(scope="module", autouse=True)
def _a_history(committed: None) -> None:
    """Record two chains of three events."""
    for number in range(3):
        for of in (7, 8):
            about = history.ObjectRef("thing", str(number), "A thing")
            history.record("thing.done", about, by=SYSTEM, at=timezone.now(), chain=of, parties=[11, 12])
    send_password_link("someone@people.example")


def assert_denied(role: str, sql: str) -> None:
    before = everything()

    with pytest.raises(InsufficientPrivilege):
        attack(role, sql)

    assert everything() == before
    assert list(verifying.verify()) == []


@pytest.mark.parametrize("role", ["web", "worker"])
@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in (OWNERS | ADMINISTRATORS).items()])
def test_attack_on_history_is_denied(sql, role):
    assert_denied(role, sql)


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in WORKERS.items()])
def test_attack_on_the_work_of_the_worker_by_the_web_server_is_denied(sql):
    assert_denied("web", sql)


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in WORKERS.items()])
def test_control_worker_could(sql):
    attack("worker", sql)


@pytest.mark.parametrize(
    "columns", ["done_at = now()", "next_at = now() + interval '1 year'", "dead_at = now(), done_at = now()"]
)
def test_web_server_can_replay_only_what_was_given_up(columns):
    with connect("worker") as session, session.cursor() as cursor:
        cursor.execute(f"UPDATE history_outbox SET {columns}; UPDATE notifications_delivery SET status = 'sent'")
        cursor.execute("SET ROLE por_app")
        cursor.execute("TABLE history_outbox")
        before = cursor.fetchall()

        cursor.execute("SELECT history_replay_event(event_id) FROM history_outbox")
        assert cursor.fetchall() == []
        cursor.execute("SELECT notifications_replay_delivery(id) FROM notifications_delivery")
        assert cursor.fetchall() == []

        cursor.execute("TABLE history_outbox")
        assert cursor.fetchall() == before
        cursor.execute("SELECT DISTINCT status FROM notifications_delivery")
        assert cursor.fetchall() == [("sent",)]
        session.rollback()


def test_web_server_can_replay_what_was_given_up_and_it_is_due_with_all_its_tries():
    with connect("worker") as session, session.cursor() as cursor:
        cursor.execute("UPDATE history_outbox SET attempts = 12, dead_at = '2026-01-01 00:00+00'")
        cursor.execute("UPDATE notifications_delivery SET attempts = 12, status = 'refused'")
        cursor.execute("SET ROLE por_app")

        cursor.execute("SELECT (history_replay_event(event_id)).attempts FROM history_outbox")
        assert cursor.fetchall() == [(12,)] * 6
        cursor.execute("SELECT (notifications_replay_delivery(id)).status FROM notifications_delivery")
        assert cursor.fetchall() == [("refused",)]

        cursor.execute("SELECT DISTINCT attempts, dead_at, next_at <= clock_timestamp() FROM history_outbox")
        assert cursor.fetchall() == [(0, None, True)]
        cursor.execute("SELECT attempts, status, next_at <= clock_timestamp() FROM notifications_delivery")
        assert cursor.fetchall() == [(0, "waiting", True)]
        session.rollback()


TRIGGERS_OFF = ";".join(
    f"ALTER TABLE {table} DISABLE TRIGGER refuse_{what}"
    for table in ("history_event", "history_party")
    for what in ("change", "truncate")
)


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in OWNERS.items()])
def test_control_owner_could(sql):
    if sql == OWNERS["take the table over"]:
        sql = "ALTER TABLE history_event OWNER TO por_owner"
    attack("owner", sql, before=TRIGGERS_OFF)


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in ADMINISTRATORS.items()])
def test_control_administrator_of_the_server_could(sql):
    attack("administrator", sql)


@pytest.mark.parametrize("role", ["web", "worker"])
@pytest.mark.parametrize("table", ["history_event", "history_outbox"])
def test_no_role_grants_itself_rights(role, table):
    """PostgreSQL only warns, because the role holds other rights on the table."""
    before = everything()

    with connect(role) as session, session.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON {table} TO por_app, por_worker")
        session.commit()
        assert "no privileges were granted" in session.notices[-1]

    assert everything() == before


# --- What web server and worker may do -----------------------------------------------------------------------------


def broken(cursor: Any) -> list[Any]:
    cursor.execute(verifying._BROKEN)
    return list(cursor.fetchall())


INSERT = """
INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind,
    object_id, object_name, changes, reason, request_id, parties)
VALUES ('{chain}', {seq}, 'x', 'x', now(), 'thing.forged', '', '', 'thing', '1', '', '{{}}', '', '', '[]')
RETURNING seq, prev, hash
"""


@pytest.mark.parametrize("seq", [0, 2, 4, 99])
def test_forged_place_and_hash_are_replaced(seq):
    with connect("web") as session, session.cursor() as cursor:
        cursor.execute("SELECT hash FROM history_event WHERE chain = %s AND seq = 3", [CHAIN])
        (last,) = cursor.fetchone()
        cursor.execute(INSERT.format(chain=CHAIN, seq=seq))

        placed, previous, hashed = cursor.fetchone()

        assert (placed, previous) == (4, last)
        assert len(hashed) == 64
        assert broken(cursor) == []


def test_forged_event_inserted_by_copy_is_placed_too():
    with connect("web") as session, session.cursor() as cursor:
        columns = "chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind, object_id"
        columns += ", object_name, changes, reason, request_id, parties"
        line = f"{CHAIN}\t2\tx\tx\t{timezone.now()}\tthing.forged\t\t\tthing\t1\t\t{{}}\t\t\t[]\n"
        cursor.copy_expert(f"COPY history_event ({columns}) FROM STDIN", StringIO(line))

        cursor.execute("SELECT seq FROM history_event WHERE verb = 'thing.forged'")

        assert cursor.fetchall() == [(4,)]
        assert broken(cursor) == []


#: Moments that are not now, and columns that an attacker gives for them.
FORGED_TIMES = {
    "a day ago": "now() - interval '1 day'",
    "a minute and a second ago": "clock_timestamp() - interval '61 seconds'",
    "in two minutes": "clock_timestamp() + interval '2 minutes'",
    "in ten years": "now() + interval '10 years'",
}
DATED = """
INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind,
    object_id, object_name, changes, reason, request_id, parties, recorded_at, hash_version)
VALUES ('organisation:7', 0, '', '', {at}, 'thing.forged', '', '', 'thing', '1', '', '{{}}', '', '', '[]', {at}, 1)
RETURNING hash_version, recorded_at = clock_timestamp() OR recorded_at > statement_timestamp()
"""


@pytest.mark.parametrize("at", [pytest.param(at, id=name) for name, at in FORGED_TIMES.items()])
def test_event_dated_away_from_now_is_refused(at):
    before = everything()

    with pytest.raises(CheckViolation, match="an_event_is_recorded_when_it_happens"):
        attack("app", DATED.format(at=at))

    assert everything() == before


def test_event_dated_away_from_now_is_refused_in_a_copy_too():
    with connect("app") as session, session.cursor() as cursor:
        columns = "chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind, object_id"
        columns += ", object_name, changes, reason, request_id, parties"
        line = f"{CHAIN}\t2\tx\tx\t2026-01-01\tthing.forged\t\t\tthing\t1\t\t{{}}\t\t\t[]\n"
        with pytest.raises(CheckViolation, match="an_event_is_recorded_when_it_happens"):
            cursor.copy_expert(f"COPY history_event ({columns}) FROM STDIN", StringIO(line))


def test_event_is_dated_and_versioned_by_the_database_whatever_the_insert_gives():
    with connect("app") as session, session.cursor() as cursor:
        cursor.execute(DATED.format(at="clock_timestamp() - interval '5 seconds'"))
        assert cursor.fetchone() == (2, True)
        assert broken(cursor) == []


def test_event_of_a_long_transaction_has_the_moment_of_its_insert():
    """The start of the transaction, which an attacker chooses, is no clock."""
    with connect("app") as session, session.cursor() as cursor:
        cursor.execute("SELECT now(), pg_sleep(0.05)")
        cursor.execute(f"{INSERT.format(chain=CHAIN, seq=0)}, recorded_at - now() >= interval '50 ms'")
        assert cursor.fetchone()[-1]


@pytest.mark.parametrize("at", [pytest.param(at, id=name) for name, at in FORGED_TIMES.items()])
def test_control_without_the_constraint_any_date_is_accepted(at):
    drop = "ALTER TABLE history_event DROP CONSTRAINT an_event_is_recorded_when_it_happens"
    attack("owner", DATED.format(at=at), before=drop)


def test_reader_added_to_an_event_is_found():
    with connect("web") as session, session.cursor() as cursor:
        cursor.execute(
            "INSERT INTO history_party (event_id, organisation_id)"
            " SELECT id, 99 FROM history_event WHERE chain = %s AND seq = 2",
            [CHAIN],
        )

        assert broken(cursor) == [(CHAIN, 2, "its readers were changed")]


#: A function that matches its call better than PostgreSQL's own, so it is chosen if its schema is searched.
BETTER_MATCH = "CREATE FUNCTION public.to_json(text) RETURNS json LANGUAGE sql AS 'SELECT ''{}''::json'"
TEMPORARY = "CREATE TEMP TABLE history_chainhead (chain text, seq bigint, hash text)"


@pytest.mark.parametrize(
    "shadow",
    [
        pytest.param(TEMPORARY, id="a temporary table"),
        pytest.param(f"SET search_path = pg_temp, public; {TEMPORARY}", id="a temporary table that comes first"),
        pytest.param(BETTER_MATCH, id="a function that suits the arguments better"),
    ],
)
def test_trigger_ignores_shadowing_tables_and_functions(shadow):
    """PostgreSQL 14, as it is delivered, lets every role create these; here the owner creates them for the attacker."""
    with connect("owner") as session, session.cursor() as cursor:
        cursor.execute(shadow)

        cursor.execute(INSERT.format(chain=CHAIN, seq=0))

        _place, _previous, hashed = cursor.fetchone()
        cursor.execute("SELECT seq, hash FROM public.history_chainhead WHERE chain = %s", [CHAIN])
        assert cursor.fetchone() == (4, hashed)
        cursor.execute("DROP TABLE IF EXISTS pg_temp.history_chainhead")
        cursor.execute("DROP FUNCTION IF EXISTS public.to_json")
        assert broken(cursor) == []


def test_control_trigger_with_another_search_path_calls_the_better_match():
    with connect("owner") as session, session.cursor() as cursor:
        cursor.execute("ALTER FUNCTION history_chain_event() SET search_path = public, pg_temp")
        cursor.execute(BETTER_MATCH)

        cursor.execute(INSERT.format(chain=CHAIN, seq=0))

        cursor.execute("DROP FUNCTION public.to_json")
        assert broken(cursor) == [(CHAIN, 4, "its content was changed")]
