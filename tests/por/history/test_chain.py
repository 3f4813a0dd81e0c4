"""History only grows: the application cannot change it, and every change by others is detected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from django.db import InternalError, ProgrammingError, connection, transaction
from django.utils import timezone

from por.accounts.models import SYSTEM
from por.db.grants import as_owner
from por.history.actions import recording as history
from por.history.actions import verifying
from por.history.models import ChainHead, Event, Party

TABLES = ("history_event", "history_party")
TRIGGERS = ("refuse_change", "refuse_truncate")
CHAIN = "organisation:7"


def record_five() -> None:
    """Record five events in each of two chains."""
    for number in range(5):
        for of in (7, 8):
            history.record(
                "thing.done",
                history.ObjectRef("thing", str(number), "A thing with “quotes” and ö"),
                by=SYSTEM,
                at=timezone.now(),
                chain=of,
                parties=[11, 12],
                changes={"number": number, "none": None, "amount": "1.50"},
                reason="Because.\nReally.",
            )


@contextmanager
def _tampering() -> Iterator[Any]:
    """Yield a cursor of the tables' owner, with the triggers disabled, as an attacker with all passwords could have."""
    with as_owner(), connection.cursor() as cursor:
        _each_trigger(cursor, "DISABLE TRIGGER")
        yield cursor
        _each_trigger(cursor, "ENABLE ALWAYS TRIGGER")


def _each_trigger(cursor: Any, what: str) -> None:
    for table in TABLES:
        for trigger in TRIGGERS:
            cursor.execute(f"ALTER TABLE {table} {what} {trigger}")


@pytest.fixture
def tamper(transactional_db: None) -> Callable[[str], None]:
    """Record ten events; return a function that changes them past the application and the triggers."""
    record_five()

    def tamper(sql: str) -> None:
        with _tampering() as cursor:
            cursor.execute(sql)

    return tamper


def broken() -> list[tuple[str, int, str]]:
    return [tuple(one) for one in verifying.verify()]


def test_untouched_chains_hold():
    record_five()
    assert broken() == []
    assert list(Event.objects.filter(chain=CHAIN).order_by("seq").values_list("seq", flat=True)) == [1, 2, 3, 4, 5]
    assert Event.objects.values("hash").distinct().count() == 10


AWKWARD = [
    "",
    " ",
    '"',
    "\\",
    "\\u0041",
    "/",
    "\b\f\n\r\t",
    "\x01\x1f\x7f",
    "ö “x” \u2028 😀",
    "{}",
    "null",
    "1e2",
    '\', "seq": 1',
]


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("actor", [None, 2**40])
def test_check_and_trigger_hash_the_text_of_the_object(text, actor):
    with connection.cursor() as cursor:
        for parties in ("[]", "[3, 20, 100]"):
            cursor.execute(f"INSERT INTO history_event ({COLUMNS}) SELECT {ROW}", awkward(text, actor, parties))
        counts = ", ".join(
            f"count(*) FILTER (WHERE hash = {expression})" for expression in (verifying.HASH, NEW_OBJECT)
        )
        cursor.execute(f"SELECT {counts} FROM history_event WHERE hash_version = 2")
        assert cursor.fetchone() == (2, 2)


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("actor", [None, 2**40])
def test_check_hashes_the_text_of_the_object_of_old_events(text, actor):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {verifying.HASH}, {OLD_OBJECT} FROM (SELECT {ROW}) AS row ({COLUMNS})"
            " CROSS JOIN (VALUES (1, NULL::timestamptz)) AS version (hash_version, recorded_at)",
            awkward(text, actor, "[3, 20, 100]") | {"at": "1969-12-31 23:59:59.999999"},
        )
        by_text, by_object = cursor.fetchone()
    assert by_text == by_object


COLUMNS = (
    "chain, seq, prev, hash, at, verb, actor_id, actor_name, actor_organisation_id, actor_organisation_name,"
    " object_kind, object_id, object_name, changes, reason, request_id, parties"
)
ROW = (
    "%(text)s, 0::bigint, '', '', %(at)s::timestamptz, %(text)s, %(actor)s::bigint, %(text)s, %(actor)s::bigint,"
    " %(text)s, %(text)s, %(text)s, %(text)s, %(changes)s::jsonb, %(text)s, %(text)s, %(parties)s::jsonb"
)


def awkward(text: str, actor: int | None, parties: str) -> dict[str, Any]:
    """Return the values of a row that is hard to write as JSON."""
    changes = {text: [text, None, True, 1, -0.5, 1e20, {"b": {}, "aa": [], "a": text}], "seq": 2**62}
    return {"text": text, "actor": actor, "changes": json.dumps(changes), "parties": parties, "at": timezone.now()}


def _hash_of_object() -> str:
    """Return the expression of the first events' hashes, from the migration of that time."""
    migration = import_module("por.history.migrations.0003_names_of_the_chain")
    (expression,) = re.findall(r"NEW\.hash := (encode\(.*?'hex'\));", migration.FUNCTION, re.DOTALL)
    return str(expression).replace("NEW.", "")


OLD_OBJECT = _hash_of_object()
#: The same with what events of version 2 hash too.
NEW_OBJECT = OLD_OBJECT.replace(
    "'parties', parties)",
    "'parties', parties, 'recorded_at', (extract(epoch FROM recorded_at) * 1000000)::bigint, 'hash_version', 2)",
)


@pytest.mark.django_db(transaction=True)
def test_chain_holds_across_the_changes_of_its_function():
    text, recorded = (
        import_module(f"por.history.migrations.{name}") for name in ("0010_hashed_text", "0012_recorded_at")
    )
    rights = "SELECT prosecdef, proowner, proconfig, proacl::text FROM pg_proc WHERE proname = 'history_chain_event'"
    kept = []
    with as_owner(), connection.cursor() as cursor:
        for sql in (text.BEFORE, text.FUNCTION, recorded.FUNCTION):
            cursor.execute(rights)
            kept.append(cursor.fetchone())
            cursor.execute(sql)
            record_five()
        cursor.execute(rights)
        assert kept == [cursor.fetchone()] * 3
    assert Event.objects.filter(hash_version=1, recorded_at=None).count() == 20
    assert Event.objects.filter(hash_version=2, recorded_at__isnull=False).count() == 10
    assert broken() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        "recorded_at = '2026-01-01'",  # it was recorded earlier
        "hash_version = 2, recorded_at = '2026-01-01'",
        "hash_version = 0",
    ],
)
def test_old_event_that_is_made_to_look_like_a_new_one_is_reported(change):
    migration = import_module("por.history.migrations.0012_recorded_at")
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(migration.BEFORE)
        record_five()
        cursor.execute(migration.FUNCTION)
    with _tampering() as cursor:
        cursor.execute(f"UPDATE history_event SET at = '2026-01-01' WHERE chain = '{CHAIN}' AND seq = 3")
        cursor.execute(
            f"UPDATE history_event SET hash = {verifying.HASH} WHERE chain = '{CHAIN}' AND seq = 3;"
            f"UPDATE history_event SET {change} WHERE chain = '{CHAIN}' AND seq = 3"
        )
    assert broken() == [(CHAIN, 3, "its content was changed")]


def test_empty_history_holds():
    assert broken() == []


@pytest.mark.parametrize(
    "column",
    [
        "at = at + interval '1 microsecond'",
        "verb = 'thing.undone'",
        "actor_id = 1",
        "actor_name = 'Someone else'",
        "actor_organisation_id = 1",
        "actor_organisation_name = 'Another'",
        "object_kind = 'other'",
        "object_id = '99'",
        "object_name = 'Other'",
        "changes = changes || '{\"number\": 99}'",
        "reason = 'For another reason.'",
        "request_id = 'x'",
        "parties = '[11]'",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "recorded_at = NULL",
        "hash_version = 1",
        "hash_version = 1, recorded_at = NULL",
        "hash_version = 3",
    ],
)
def test_changed_content_is_reported(tamper, column):
    tamper(f"UPDATE history_event SET {column} WHERE chain = '{CHAIN}' AND seq = 3")
    assert broken() == [(CHAIN, 3, "its content was changed")]


def test_content_changed_with_its_hash_breaks_the_next_link(tamper):
    tamper(
        f"UPDATE history_event SET reason = 'Mine.' WHERE chain = '{CHAIN}' AND seq = 3;"
        f"UPDATE history_event SET hash = {verifying.HASH} WHERE chain = '{CHAIN}' AND seq = 3"
    )
    assert broken() == [(CHAIN, 4, "it does not follow the event before it")]


DELETE = (
    "DELETE FROM history_{table} WHERE {column} IN (SELECT id FROM history_event WHERE chain = '{chain}' AND {which})"
)


def delete(which: str) -> str:
    return ";".join(
        DELETE.format(table=table, column=column, chain=CHAIN, which=which)
        for table, column in [("outbox", "event_id"), ("party", "event_id"), ("event", "id")]
    )


def test_event_deleted_from_the_middle_is_reported(tamper):
    tamper(delete("seq = 3"))
    assert broken() == [(CHAIN, 4, "an event is missing before it")]


def test_deleted_first_event_is_reported(tamper):
    tamper(delete("seq = 1"))
    assert broken() == [(CHAIN, 2, "an event is missing before it")]


def test_deleted_tail_is_reported(tamper):
    tamper(delete("seq >= 4"))
    assert broken() == [(CHAIN, 4, "the newest events are missing")]


def test_deleted_chain_is_reported(tamper):
    tamper(delete("true"))
    assert broken() == [(CHAIN, 1, "all its events are missing")]


def test_deleted_or_changed_head_is_reported(tamper):
    tamper(f"UPDATE history_chainhead SET hash = 'x' WHERE chain = '{CHAIN}'")
    assert broken() == [(CHAIN, 6, "the head of its chain was changed")]
    tamper(f"DELETE FROM history_chainhead WHERE chain = '{CHAIN}'")
    assert broken() == [(CHAIN, 6, "the head of its chain is missing")]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM history_party WHERE organisation_id = 12 AND event_id IN ({third})",
        "UPDATE history_party SET organisation_id = 13 WHERE organisation_id = 12 AND event_id IN ({third})",
        "INSERT INTO history_party (event_id, organisation_id) SELECT id, 13 FROM ({third}) AS third",
    ],
)
def test_changed_readers_are_reported(tamper, change):
    tamper(change.format(third=f"SELECT id FROM history_event WHERE chain = '{CHAIN}' AND seq = 3"))
    assert broken() == [(CHAIN, 3, "its readers were changed")]


def test_first_break_of_every_broken_chain_is_reported(tamper):
    tamper("UPDATE history_event SET reason = 'Mine.' WHERE seq >= 2")
    assert broken() == [
        (CHAIN, 2, "its content was changed"),
        ("organisation:8", 2, "its content was changed"),
    ]


def test_chain_continues_after_tampering_and_the_break_is_still_reported(tamper):
    tamper(delete("seq = 3"))
    record_five()
    assert broken() == [(CHAIN, 4, "an event is missing before it")]


# --- The guards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        *(f"UPDATE {table} SET id = id" for table in TABLES),
        *(f"DELETE FROM {table}" for table in TABLES),
        *(f"TRUNCATE {table} CASCADE" for table in TABLES),
        "UPDATE history_chainhead SET seq = 0",
        "DELETE FROM history_chainhead",
        "INSERT INTO history_chainhead (chain, seq, hash) VALUES ('mine', 0, '')",
        "TRUNCATE history_chainhead",
        "DELETE FROM history_outbox",
        "ALTER TABLE history_event DISABLE TRIGGER refuse_change",
        "DROP TRIGGER chain_event ON history_event",
        "SET session_replication_role = replica",
    ],
)
def test_application_can_neither_change_history_nor_remove_its_guards(sql):
    record_five()
    with pytest.raises(ProgrammingError, match="permission denied|must be owner"), transaction.atomic():
        _execute(sql)
    assert (Event.objects.count(), Party.objects.count(), ChainHead.objects.count()) == (10, 20, 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "sql",
    [
        *(f"UPDATE {table} SET id = id" for table in TABLES),
        *(f"DELETE FROM {table}" for table in TABLES),
        *(f"TRUNCATE {table} CASCADE" for table in TABLES),
    ],
)
def test_triggers_stop_even_the_owner(sql):
    record_five()
    with as_owner(), pytest.raises((ProgrammingError, InternalError), match="is append-only"):
        _execute(sql)
    assert Event.objects.count() == 10


def test_database_sets_place_and_hash():
    event = Event(chain=CHAIN, seq=99, prev="x", hash="x", at=timezone.now(), verb="x", object_kind="x", object_id="1")
    event.save()
    event.refresh_from_db()
    assert (event.seq, event.prev) == (1, "")
    assert broken() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("setting", ["SET enable_seqscan = off", "RESET enable_seqscan"], ids=["set", "control"])
def test_import_reads_no_more_heads_on_a_connection_that_knew_few(setting):
    """The control, without the setting, reads all heads for each event."""
    count = 300
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE history_chainhead")  # deleted rows would leave pages, and the plan would be another
        cursor.execute(f"ALTER FUNCTION history_chain_event() {setting}")
    try:
        _record_one_each(1, 20)
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("ANALYZE history_chainhead")
        for _call in range(10):  # PostgreSQL plans the first calls anew, then keeps a plan
            _record_one_each(1, 2)
        with transaction.atomic():
            _record_one_each(1000, count)
            read = _heads_read_one_by_one()
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("ALTER FUNCTION history_chain_event() SET enable_seqscan = off")
    assert (read == 0) if setting.startswith("SET") else (read > count * count / 4)


def _record_one_each(first: int, count: int) -> None:
    """One event in each of this many chains, by one statement."""
    about = history.ObjectRef("thing", "1", "A thing")
    events = [history.EventDraft(first + number, {}, about) for number in range(count)]
    history.record_each("thing.done", by=SYSTEM, at=timezone.now(), events=events)


def _heads_read_one_by_one() -> int:
    """Return how many rows of chain heads this transaction has read without an index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'history_chainhead'")
        (read,) = cursor.fetchone()
    return int(read)


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
