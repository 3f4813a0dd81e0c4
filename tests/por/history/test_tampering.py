"""Six ways in which someone with all rights on the database could change history; each is found and reported.

The last one, a chain that is rewritten completely and correctly, holds in itself; only the signed heads reveal it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from por.accounts.models import SYSTEM
from por.db.grants import as_owner
from por.history.actions import recording as history
from por.history.actions import sealing, verifying
from por.history.actions.verifying import HASH, examine
from por.history.models import Event, Seal
from por.queue.models import PeriodicRun

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN, OTHER = "organisation:7", "organisation:8"
GUARDS = [(table, trigger) for table in ("history_event", "history_party") for trigger in ("refuse_change",)]
GUARDS += [("history_event", "chain_event")]


@contextmanager
def superuser() -> Iterator[Any]:
    """Yield a cursor of the superuser, with the triggers disabled; of the tables' owner if the server is not local."""
    with as_owner():
        if str(settings.DATABASE_OWNER["HOST"]).startswith("/"):
            connection.settings_dict["USER"] = "postgres"
        with transaction.atomic(), connection.cursor() as cursor:
            for table, guard in GUARDS:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
            yield cursor
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table, guard in GUARDS:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")


def tamper(sql: str) -> None:
    with superuser() as cursor:
        cursor.execute(sql)


def record(times: int) -> None:
    for number in range(times):
        for of in (7, 8):
            about = history.ObjectRef("thing", str(number), "A thing")
            history.record("thing.done", about, by=SYSTEM, at=timezone.now(), chain=of, parties=[11, 12])


def seal() -> str:
    """Sign the heads as if an hour had passed; return the time, as in the findings."""
    PeriodicRun.objects.update(done_at=Now() - sealing.EVERY)
    sealed = sealing.seal()
    assert sealed is not None
    return f"{sealed.at:%Y-%m-%d %H:%M} UTC"


@pytest.fixture
def signed(files: Path) -> str:
    """Sign two chains of five events after the third and after the fifth; return the time of the latter."""
    record(3)
    seal()
    record(2)
    return seal()


def broken_chains() -> list[tuple[str, int, str]]:
    return [tuple(one) for one in verifying.verify()]


def findings_of_examine() -> list[tuple[str, int, str]]:
    findings = examine()
    assert (findings.unfit, findings.away) == ([], "")
    return [tuple(one) for one in findings.broken]


def cut(which: str) -> str:
    events = f"(SELECT id FROM history_event WHERE chain = '{CHAIN}' AND {which})"
    return ";".join(
        f"DELETE FROM history_{table} WHERE {column} IN {events}"
        for table, column in [("outbox", "event_id"), ("party", "event_id"), ("event", "id")]
    )


def rewrite(start: int, *, content: str = "reason = 'Never happened.'") -> str:
    """Return SQL that changes the content from an event on, with hashes and a head that fit."""
    return f"""
    DO $$
    DECLARE
        this record;
        before text := coalesce((SELECT hash FROM history_event WHERE chain = '{CHAIN}' AND seq = {start} - 1), '');
    BEGIN
        FOR this IN SELECT id FROM history_event WHERE chain = '{CHAIN}' AND seq >= {start} ORDER BY seq LOOP
            UPDATE history_event SET prev = before, {content} WHERE id = this.id;
            UPDATE history_event SET hash = {HASH} WHERE id = this.id RETURNING hash INTO before;
        END LOOP;
        UPDATE history_chainhead SET hash = before, seq = (SELECT max(seq) FROM history_event WHERE chain = '{CHAIN}')
            WHERE chain = '{CHAIN}';
    END $$
    """


INSERT = f"""
    UPDATE history_event SET seq = -seq - 1 WHERE chain = '{CHAIN}' AND seq >= 3;
    UPDATE history_event SET seq = -seq WHERE seq < 0;
    INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind,
        object_id, object_name, changes, reason, request_id, parties)
    SELECT chain, 3, hash, '', at, 'thing.invented', '', '', object_kind, '99', '', '{{}}', '', '', '[]'
    FROM history_event WHERE chain = '{CHAIN}' AND seq = 2
"""
SWAP = f"""
    UPDATE history_event SET seq = seq - 100 WHERE chain = '{CHAIN}' AND seq IN (2, 3);
    UPDATE history_event SET seq = CASE seq WHEN -98 THEN 3 ELSE 2 END WHERE seq < 0
"""


@pytest.mark.parametrize(
    ("sql", "first", "why"),
    [
        pytest.param(
            f"UPDATE history_event SET reason = 'Mine.' WHERE chain = '{CHAIN}' AND seq = 3",
            3,
            "its content was changed",
            id="edit one",
        ),
        pytest.param(cut("seq = 2"), 3, "an event is missing before it", id="delete one in the middle"),
        pytest.param(cut("seq >= 4"), 4, "the newest events are missing", id="cut the tail"),
        pytest.param(INSERT, 3, "its content was changed", id="insert one"),
        pytest.param(SWAP, 2, "it does not follow the event before it", id="swap two"),
        pytest.param(rewrite(1), 1, None, id="rewrite everything"),
    ],
)
def test_tampering_is_found_and_its_first_event_reported(signed: str, sql: str, first: int, why: str | None) -> None:
    tamper(sql)

    ((chain, seq, found),) = findings_of_examine()
    assert (chain, seq) == (CHAIN, first)
    assert why is None or found == why
    with pytest.raises(CommandError, match=r"^1 chain does not hold\.$"):
        call_command("verify_history")


def test_control_rewritten_chain_holds_in_itself(signed: str) -> None:
    """The control: every event and the head of the rewritten chain fit together."""
    tamper(rewrite(1))
    assert Event.objects.filter(chain=CHAIN, reason="Never happened.").count() == 5
    assert broken_chains() == []


def test_untouched_history_has_no_findings(signed: str) -> None:
    assert findings_of_examine() == []
    record(1)  # not signed yet
    assert findings_of_examine() == []


def test_rewriting_is_located_between_two_signed_heads(signed: str) -> None:
    tamper(rewrite(5))
    ((chain, seq, why),) = findings_of_examine()
    assert (chain, seq) == (CHAIN, 4)
    assert why == f"it or one up to 5 was rewritten after 5 was signed at {signed}"


def test_inserted_event_with_a_fitting_hash_is_found(signed: str) -> None:
    tamper(f"{INSERT}; UPDATE history_event SET hash = {HASH} WHERE verb = 'thing.invented'")
    assert broken_chains() == [(CHAIN, 4, "it does not follow the event before it")]
    ((chain, seq, why),) = findings_of_examine()
    assert (chain, seq) == (CHAIN, 1)
    assert why.startswith("it or one up to 3 was rewritten after 3 was signed at ")


def test_rewriting_of_the_only_event_between_two_signed_heads_is_located_exactly(signed: str) -> None:
    record(1)
    again = seal()
    tamper(rewrite(6))
    assert findings_of_examine() == [(CHAIN, 6, f"it is not the one that was signed at {again}")]


def test_tail_deleted_with_a_fitting_head_is_found(signed: str) -> None:
    tamper(cut("seq >= 4") + ";" + rewrite(4))
    assert broken_chains() == []
    assert findings_of_examine() == [(CHAIN, 4, f"it is missing, and event 5 was signed at {signed}")]


def test_tail_deleted_and_replaced_by_new_events_is_found(signed: str) -> None:
    tamper(cut("seq >= 4") + ";" + rewrite(4))
    record(2)
    assert broken_chains() == []
    seal()  # sign it again
    ((chain, seq, why),) = findings_of_examine()
    assert (chain, seq) == (CHAIN, 4)
    assert why == f"it or one up to 5 was rewritten after 5 was signed at {signed}"


def test_restore_of_an_old_backup_is_reported_until_the_newer_files_are_set_aside(signed: str, files: Path) -> None:
    """Follow docs/operations.md: the backup was made after the first file and before the second."""
    first, second = Seal.objects.order_by("pk")
    with superuser() as cursor:
        for chain in (CHAIN, OTHER):
            cursor.execute((cut("seq >= 4") + ";" + rewrite(4)).replace(CHAIN, chain))
        cursor.execute("DELETE FROM history_seal WHERE id = %s", [second.pk])
        cursor.execute(
            "UPDATE history_signedhead AS signed SET signed_at = %s, seq = head.seq, hash = head.hash"
            " FROM history_chainhead AS head WHERE head.chain = signed.chain",
            [first.at],
        )
    assert [(chain, seq) for chain, seq, _ in findings_of_examine()] == [(CHAIN, 4), (OTHER, 4)]

    aside = files / "set-aside"
    aside.mkdir()
    (files / second.name).rename(aside / Path(second.name).name)
    assert findings_of_examine() == []
    record(2)
    seal()
    assert findings_of_examine() == []
    assert Seal.objects.count() == 2


def test_chain_deleted_with_its_head_is_found(signed: str) -> None:
    tamper(cut("true") + f";DELETE FROM history_chainhead WHERE chain = '{CHAIN}'")
    assert broken_chains() == []
    assert [(chain, seq) for chain, seq, _ in findings_of_examine()] == [(CHAIN, 1)]


def test_deletion_of_the_whole_history_is_found_chain_by_chain(signed: str) -> None:
    with superuser() as cursor:
        cursor.execute("DELETE FROM history_outbox; DELETE FROM history_party; DELETE FROM history_event")
        cursor.execute("DELETE FROM history_chainhead")
    assert broken_chains() == []
    assert [(chain, seq) for chain, seq, _ in findings_of_examine()] == [(CHAIN, 1), (OTHER, 1)]


def test_first_of_two_findings_in_a_chain_is_reported(signed: str) -> None:
    tamper(rewrite(2) + f";UPDATE history_event SET reason = 'Mine.' WHERE chain = '{CHAIN}' AND seq = 5")
    assert broken_chains() == [(CHAIN, 5, "its content was changed")]
    assert [(chain, seq) for chain, seq, _ in findings_of_examine()] == [(CHAIN, 1)]


def test_event_inserted_past_the_trigger_is_reported(signed: str) -> None:
    past = f"""
        INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind,
            object_id, object_name, changes, reason, request_id, parties)
        SELECT chain, seq + 1, hash, {{}}, at, verb, '', '', object_kind, '99', '', '{{{{}}}}', '', '', '[]'
        FROM history_event WHERE chain = '{CHAIN}' AND seq = 5
    """
    tamper(past.format("'x'"))
    assert broken_chains() == [(CHAIN, 6, "its content was changed")]
    tamper(f"UPDATE history_event SET hash = {HASH} WHERE chain = '{CHAIN}' AND seq = 6")
    assert broken_chains() == [(CHAIN, 6, "it was added past the head of its chain")]
