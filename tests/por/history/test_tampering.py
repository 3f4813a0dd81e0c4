"""Six ways in which somebody with every key of the database could lie, each found out and named (A2).

The last one, a chain rewritten wholly and correctly, holds in itself; only what was signed outside tells.
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
    """As PostgreSQL's own superuser, with the guards taken down; as the tables' owner on a server of somebody else."""
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
            history.record("thing.done", about, by=SYSTEM, at=timezone.now(), of=of, parties=[11, 12])


def seal() -> str:
    """As if an hour had passed; when that was, as people read it."""
    PeriodicRun.objects.update(done_at=Now() - sealing.EVERY)
    sealed = sealing.seal()
    assert sealed is not None
    return f"{sealed.at:%Y-%m-%d %H:%M} UTC"


@pytest.fixture
def signed(files: Path) -> str:
    """Five events in each of two chains, signed after the third and after the fifth; when the latter was."""
    record(3)
    seal()
    record(2)
    return seal()


def in_itself() -> list[tuple[str, int, str]]:
    return [tuple(one) for one in verifying.verify()]


def against_what_was_signed() -> list[tuple[str, int, str]]:
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
    """Other content from an event on, with hashes and a head that fit, by the very expression of the trigger."""
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
def test_a_tampering_is_found_and_its_first_event_named(signed: str, sql: str, first: int, why: str | None) -> None:
    tamper(sql)

    ((chain, seq, said),) = against_what_was_signed()
    assert (chain, seq) == (CHAIN, first)
    assert why is None or said == why
    with pytest.raises(CommandError, match=r"^1 chain does not hold\.$"):
        call_command("verify_history")


def test_without_what_was_signed_a_chain_rewritten_wholly_would_hold(signed: str) -> None:
    """The control: it does hold in itself, in every event and with its head."""
    tamper(rewrite(1))
    assert Event.objects.filter(chain=CHAIN, reason="Never happened.").count() == 5
    assert in_itself() == []


def test_nothing_is_found_where_nothing_was_done(signed: str) -> None:
    assert against_what_was_signed() == []
    record(1)  # not signed yet
    assert against_what_was_signed() == []


def test_a_rewriting_is_narrowed_down_to_between_two_signed_heads(signed: str) -> None:
    tamper(rewrite(5))
    ((chain, seq, why),) = against_what_was_signed()
    assert (chain, seq) == (CHAIN, 4)
    assert why == f"it or one up to 5 was rewritten after 5 was signed at {signed}"


def test_an_event_put_in_with_a_hash_that_fits_is_found_at_the_signed_head_or_the_next_link(signed: str) -> None:
    tamper(f"{INSERT}; UPDATE history_event SET hash = {HASH} WHERE verb = 'thing.invented'")
    assert in_itself() == [(CHAIN, 4, "it does not follow the event before it")]
    ((chain, seq, why),) = against_what_was_signed()
    assert (chain, seq) == (CHAIN, 1)
    assert why.startswith("it or one up to 3 was rewritten after 3 was signed at ")


def test_a_rewriting_of_the_one_event_between_two_signed_heads_is_named_exactly(signed: str) -> None:
    record(1)
    again = seal()
    tamper(rewrite(6))
    assert against_what_was_signed() == [(CHAIN, 6, f"it is not the one that was signed at {again}")]


def test_a_tail_cut_off_together_with_the_head_is_missed(signed: str) -> None:
    tamper(cut("seq >= 4") + ";" + rewrite(4))
    assert in_itself() == []
    assert against_what_was_signed() == [(CHAIN, 4, f"it is missing, and event 5 was signed at {signed}")]


def test_a_tail_cut_off_and_grown_again_is_found(signed: str) -> None:
    tamper(cut("seq >= 4") + ";" + rewrite(4))
    record(2)
    assert in_itself() == []
    seal()  # and signed once more
    ((chain, seq, why),) = against_what_was_signed()
    assert (chain, seq) == (CHAIN, 4)
    assert why == f"it or one up to 5 was rewritten after 5 was signed at {signed}"


def test_a_restore_from_an_old_back_up_is_named_and_goes_on_once_the_newer_files_are_set_aside(
    signed: str, files: Path
) -> None:
    """As docs/operations.md has it: the back-up is from after the first file and before the second."""
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
    assert [(chain, seq) for chain, seq, _ in against_what_was_signed()] == [(CHAIN, 4), (OTHER, 4)]

    aside = files / "set-aside"
    aside.mkdir()
    (files / second.name).rename(aside / Path(second.name).name)
    assert against_what_was_signed() == []
    record(2)
    seal()
    assert against_what_was_signed() == []
    assert Seal.objects.count() == 2


def test_a_chain_taken_away_together_with_its_head_is_missed(signed: str) -> None:
    tamper(cut("true") + f";DELETE FROM history_chainhead WHERE chain = '{CHAIN}'")
    assert in_itself() == []
    assert [(chain, seq) for chain, seq, _ in against_what_was_signed()] == [(CHAIN, 1)]


def test_the_whole_history_taken_away_is_missed_chain_by_chain(signed: str) -> None:
    with superuser() as cursor:
        cursor.execute("DELETE FROM history_outbox; DELETE FROM history_party; DELETE FROM history_event")
        cursor.execute("DELETE FROM history_chainhead")
    assert in_itself() == []
    assert [(chain, seq) for chain, seq, _ in against_what_was_signed()] == [(CHAIN, 1), (OTHER, 1)]


def test_of_two_findings_in_a_chain_the_first_is_named(signed: str) -> None:
    tamper(rewrite(2) + f";UPDATE history_event SET reason = 'Mine.' WHERE chain = '{CHAIN}' AND seq = 5")
    assert in_itself() == [(CHAIN, 5, "its content was changed")]
    assert [(chain, seq) for chain, seq, _ in against_what_was_signed()] == [(CHAIN, 1)]


def test_an_event_that_got_in_past_the_trigger_is_named(signed: str) -> None:
    past = f"""
        INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name, object_kind,
            object_id, object_name, changes, reason, request_id, parties)
        SELECT chain, seq + 1, hash, {{}}, at, verb, '', '', object_kind, '99', '', '{{{{}}}}', '', '', '[]'
        FROM history_event WHERE chain = '{CHAIN}' AND seq = 5
    """
    tamper(past.format("'x'"))
    assert in_itself() == [(CHAIN, 6, "its content was changed")]
    tamper(f"UPDATE history_event SET hash = {HASH} WHERE chain = '{CHAIN}' AND seq = 6")
    assert in_itself() == [(CHAIN, 6, "it was added past the head of its chain")]
