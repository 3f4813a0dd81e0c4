"""An import on two connections does what one connection does, whatever is wrong with its files and wherever it dies."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.utils import translation

from por.history.actions import verifying
from por.imports import ahead, loading, staging
from por.imports.second import Stopped, second_connection
from tests import estates

FACTS = """
    SELECT 'usage', subscription.subscription_id::text, month, workload, revision,
        concat_ws('|', paid_units, active_users, consumed_usd), superseded_at IS NULL
    FROM directory_usage AS one JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    UNION ALL
    SELECT 'consumption', subscription.subscription_id::text, month, service, revision, amount_usd::text,
        superseded_at IS NULL
    FROM directory_consumption AS one
    JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    UNION ALL
    SELECT 'revenue', subscription.subscription_id::text, month, kind, revision, concat_ws('|', amount, currency),
        superseded_at IS NULL
    FROM directory_revenue AS one
    JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    UNION ALL
    SELECT 'subscription', subscription_id::text, started_on, status, version, product, left_at IS NULL
    FROM directory_subscription
    UNION ALL
    SELECT 'association', concat_ws('|', subscription.subscription_id, customer.tenant_id, mpn_id), began_at::date,
        one.kind, 1, ended_at::date::text, undone_at IS NULL
    FROM associations_association AS one JOIN directory_partner AS partner ON partner.organisation_id = partner_id
    JOIN directory_customer AS customer ON customer.organisation_id = one.customer_id
    LEFT JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    ORDER BY 1, 2, 3, 4, 5, 6
"""
#: The events of each organisation in their order. Fingerprints are by the keys of rows, so only their number is told.
EVENTS = """
    SELECT organisation.number, event.verb, event.object_kind, CASE event.verb WHEN 'association.described'
        THEN (SELECT count(*)::text FROM jsonb_object_keys(event.changes -> 'fingerprints'))
        ELSE (event.changes - 'association')::text END
    FROM history_event AS event JOIN accounts_organisation AS organisation
        ON event.chain = 'organisation:' || organisation.id
    ORDER BY organisation.number, event.seq
"""


class Killed(BaseException):
    """Stands for the death of the process: nothing may catch it."""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small estate have many batches and many transactions of events."""
    monkeypatch.setattr(loading, "BATCH", 7)
    monkeypatch.setattr(loading, "EVENTS", 3)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the threads in which files are staged and events recorded."""
    found: set[str] = set()

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*given: Any, **more: Any) -> Any:
            found.add(threading.current_thread().name)
            return call(*given, **more)

        return noting

    monkeypatch.setattr(staging.Staged, "fill", noted(staging.Staged.fill))
    monkeypatch.setattr(loading, "_record", noted(loading._record))
    return found


def spoiled(directory: Path, seed: int) -> Path:
    """Make an estate; spoil some cells, and repeat some lines with other figures."""
    call_command("make_estate", str(directory), "--subscriptions", "40", "--seed", str(seed), stdout=StringIO())
    chance = random.Random(seed)
    for path in directory.glob("*.csv"):
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        for place in range(len(lines)):
            cells = lines[place].split(",")
            if chance.random() < 0.06:
                cells[chance.randrange(len(cells))] = chance.choice(["?", "", "0", estates.UNKNOWN, "2025-03"])
                lines[place] = ",".join(cells)
            if chance.random() < 0.06:
                lines.insert(chance.randrange(len(lines)), ",".join([*cells[:-1], chance.choice([cells[-1], "7", ""])]))
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return directory


def rows(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def told(loaded: estates.Loaded) -> Any:
    """Return the report of an import, without its time."""
    out = [line for line in loaded.out.splitlines() if "rows per second" not in line]
    return out, loaded.err, loaded.errors, loaded.failure


def stored() -> Any:
    events = {number: [tuple(of) for of in found] for number, found in groupby(rows(EVENTS), key=lambda row: row[0])}
    return rows(FACTS), events


def on_one_connection(estate: Path, *, times: int = 1) -> Any:
    """Return what imports of the estate tell and store within one transaction, which is rolled back."""
    with transaction.atomic():
        reports = [told(estates.load(estate)) for _time in range(times)]
        found = reports, stored()
        transaction.set_rollback(True)
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_connections_tell_and_store_what_one_does(
    tmp_path: Path, small_batches: None, threads: set[str], seed: int
) -> None:
    estate = spoiled(tmp_path, seed)
    one = on_one_connection(estate, times=2)
    assert threads == {"MainThread"}
    two = [told(estates.load(estate)) for _time in range(2)]
    assert len(threads) == 2
    assert two == one[0]
    assert stored() == one[1]
    assert one[0][0][2], "some rows have failed"
    assert list(verifying.verify()) == []


@pytest.mark.django_db(transaction=True)
def test_file_with_more_refused_lines_than_are_kept_is_told_as_any_other(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "MOST_REFUSED", 2)
    estate = spoiled(tmp_path, 4)
    one = on_one_connection(estate)
    assert [told(estates.load(estate))] == one[0]
    assert stored() == one[1]


@pytest.mark.django_db(transaction=True)
def test_import_that_is_killed_on_either_connection_is_repeated(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = spoiled(tmp_path, 5)
    _reports, (facts, events) = on_one_connection(estate)
    for after, step in enumerate(["_count", "_record"] * 3):
        with monkeypatch.context() as patched, suppress(Killed):
            left, call = [3 + 17 * after], getattr(loading, step)

            def counted(*given: Any, call: Callable[..., None] = call, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                call(*given)

            patched.setattr(loading, step, counted)
            estates.load(estate)
    estates.load(estate)
    found, told_of = stored()
    assert found == facts
    assert told_of.keys() == events.keys()
    assert list(verifying.verify()) == []
    assert rows("SELECT count(*) FROM estate_loaded") == [(0,)]


@pytest.mark.django_db(transaction=True)
def test_steps_are_done_on_both_connections_in_the_language_of_the_import() -> None:
    sessions, found = set(), []

    def step(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), pg_sleep(0.01)")
            sessions.add(cursor.fetchone()[0])
        found.append((number, translation.get_language()))

    with translation.override("sv"), second_connection() as second:
        assert second is not None
        second.do([partial(step, number) for number in range(20)])
    assert sorted(found) == [(number, "sv") for number in range(20)]
    assert len(sessions) == 2
    (other,) = sessions - {connection.connection.info.backend_pid}
    deadline = time.monotonic() + 20
    while rows(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {other}") != [(0,)]:
        assert time.monotonic() < deadline, "it is not closed"


@pytest.mark.django_db(transaction=True)
def test_step_that_fails_on_the_second_connection_ends_the_import() -> None:
    def step(number: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise OperationalError("gone")

    with second_connection() as second:
        assert second is not None
        with pytest.raises(OperationalError, match="gone"):
            second.do([partial(step, number) for number in range(4)])


@pytest.mark.django_db(transaction=True)
def test_work_that_nobody_waits_for_any_more_is_stopped() -> None:
    begun, ended = threading.Event(), []

    def work() -> None:
        begun.set()
        try:
            while True:
                second.check_stopped()
        except Stopped:
            ended.append("stopped")
            raise

    with second_connection() as second:
        assert second is not None
        second.start(work)
        second.start(lambda: ended.append("begun"))
        begun.wait()
    assert ended == ["stopped"]


def test_within_a_transaction_there_is_no_second_connection(db: None) -> None:
    with second_connection() as second:
        assert second is None
