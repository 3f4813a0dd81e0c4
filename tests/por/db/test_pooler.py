"""The product behind PgBouncer, which gives each transaction another session of the server. `make chaos` runs it.

The controls show that what the product does without fails there: a cursor, a lock, a statement of the session.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import pytest
from django.db import Error, connection, transaction
from django.test import Client

from por.accounts.models import Actor
from por.db import defaults
from por.db.base import DatabaseWrapper
from por.db.locks import advisory_lock
from por.db.prepared import Param, PreparedQuery
from por.directory.models import Customer, Subscription
from por.embedded import servers
from por.embedded.home import Home
from por.embedded.processes import Processes
from por.web import csv_export
from tests import estates, pooler
from tests.databases import empty_database
from tests.factories import make_subscription
from tests.por.db.test_outages import a_partner, change
from tests.product import Product, connected, free_port, manage, running, wait_until

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.environ.get("POOLER"), reason="needs POOLER=1"),
]

T = TypeVar("T")
LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database AS here ON here.oid = database
 WHERE locktype = 'advisory' AND datname = current_database()
"""
END = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"
BY_ID = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")))


def ask(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def in_turn(call: Callable[[], T]) -> list[T]:
    """Return what the call returns, twelve times, after the pooler has got some sessions to choose from."""
    others = [connection.copy() for _ in range(4)]
    for other in others:
        other.set_autocommit(False)
        other.cursor().execute("SELECT 1")
    for other in others:
        other.rollback()
        other.close()
    return [call() for _ in range(12)]


def in_a_transaction(query: Callable[[], T]) -> T:
    with transaction.atomic():
        return query()


def test_each_transaction_has_another_session():
    assert len(set(in_turn(lambda: ask("SELECT pg_backend_pid()")))) > 1


def test_each_session_begins_with_the_defaults_of_the_database():
    assert in_turn(defaults.missing) == [[]] * 12


def test_nothing_is_prepared(customer):
    assert in_turn(lambda: BY_ID.one(pk=customer.pk)) == [customer] * 12

    assert not connection.is_direct  # type: ignore[attr-defined]  # our own backend
    assert set(in_turn(lambda: ask("SELECT count(*) FROM pg_prepared_statements"))) == {0}


def test_control_what_is_prepared_is_not_there_in_the_next_transaction(customer, monkeypatch):
    monkeypatch.setattr(DatabaseWrapper, "is_direct", True)

    with pytest.raises(Error, match="prepared statement"):
        in_turn(lambda: in_a_transaction(lambda: BY_ID.one(pk=customer.pk)))

    in_turn(lambda: connection.cursor().execute("DEALLOCATE ALL"))


def test_one_worker_at_a_time_has_a_lock_and_nothing_is_left_of_it():
    def others() -> tuple[object, ...]:
        with advisory_lock("this") as same, advisory_lock("this", [0, 1]) as next_one:
            return same, next_one and next_one.number

    with advisory_lock("this") as held:
        assert held
        assert in_turn(others) == [(None, 1)] * 12
        held.check()

    assert ask(LOCKS) == 0
    with advisory_lock("this") as again:
        assert again


def test_control_a_lock_of_a_session_is_left_behind():
    mine = in_turn(lambda: ask("SELECT pg_try_advisory_lock(7, 7)"))

    assert set(mine) == {True, False}
    assert ask(LOCKS) == 1
    in_turn(lambda: connection.cursor().execute("SELECT pg_advisory_unlock_all()"))


def test_a_file_has_all_rows_while_others_work(customer, admin: Actor, monkeypatch):
    monkeypatch.setattr(csv_export, "CHUNK", 2)
    monkeypatch.setattr("associations.subscriptions.exports.CHUNK", 2)
    made = {str(make_subscription(customer).subscription_id) for _ in range(9)}
    browser = Client()
    browser.force_login(admin.user)
    over = threading.Event()

    def work() -> None:
        with closing(connection):
            while not over.is_set():
                ask("SELECT 1")

    with ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            threads.submit(work)
        try:
            lines = b"".join(browser.get("/c/subscriptions/?format=csv")).decode().splitlines()
        finally:
            over.set()

    assert {line.partition(",")[0] for line in lines[1:]} == made


def test_control_a_cursor_outside_a_transaction_is_lost(customer):
    for _ in range(9):
        make_subscription(customer)

    with pytest.raises((Error, psycopg2.Error), match="cursor"):
        in_turn(lambda: list(Subscription.objects.iterator(chunk_size=2)))


# --- The whole product ----------------------------------------------------------------------------------------------


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    with empty_database(f"{connection.settings_dict['NAME']}_pooled") as addresses:
        var, port = tmp_path / "var", free_port()
        with running(var, port, **addresses) as run:
            yield Product(run, var, port)
        # The pooler keeps sessions, and only their own role may end them.
        application = str(connection.settings_dict["USER"])
        with connected(os.environ["DATABASE_OWNER_URL"], application) as cursor:
            cursor.execute(END, [addresses["DATABASE_URL"].rpartition("/")[2]])


def test_changes_mails_jobs_and_an_import_go_through_the_pooler(product: Product, tmp_path: Path):
    assert product.status("/readyz") == 200
    token = product.token("customer")
    headers = {"Authorization": f"Bearer {token}"}
    query = "/api/v1/subscriptions/?partner_of_record=none&status=active"
    free = [one["id"] for one in product.ask("GET", query, **headers).json["results"]]
    mpn_id = a_partner(product, token)

    with ThreadPoolExecutor(8) as threads:
        attached = list(
            threads.map(lambda one: change(product, token, f"/api/v1/subscriptions/{one}/", f"key {one}", mpn_id), free)
        )
    rows = [{"subscription_id": one, "mpn_id": mpn_id} for one in free]
    job = product.ask(
        "POST",
        "/api/v1/bulk/partner-of-record/",
        json.dumps({"rows": rows}),
        Content_Type="application/json",
        Idempotency_Key="a job of some rows",
        **headers,
    )

    assert free
    assert {answer.status for answer in attached} == {201}
    assert job.status == 202, job.text
    wait_until(lambda: product.ask("GET", f"/api/v1/jobs/{job.json['job']['id']}/", **headers).json["status"] == "done")
    wait_until(lambda: "\ndeliveries_waiting 0.0\n" in product.metrics().text)
    assert len(list((product.var / "mail" / "new").iterdir())) >= len(free)
    directory = tmp_path / "estate"
    directory.mkdir()
    estates.write(directory, partners=[estates.partner()], customers=[estates.customer()])
    assert "all:                 1 created, 1 changed" in manage(product.var, "load_estate", str(directory))
    logs = "".join((product.var / "log" / f"{name}.log").read_text() for name in ("web", "worker"))
    assert [line for line in logs.splitlines() if '"ERROR"' in line] == []
    database = product.addresses["DATABASE_URL"].rpartition("/")[2]
    with connected(os.environ["DATABASE_OWNER_URL"], database=database) as cursor:

        def locks() -> Any:
            cursor.execute(LOCKS)
            return cursor.fetchone()

        wait_until(lambda: locks() == (0,))


def test_while_the_database_behind_the_pooler_is_down_answers_are_503_and_it_recovers_by_itself(
    tmp_path: Path, monkeypatch
):
    for name in servers.ADDRESSES:
        monkeypatch.delenv(name, raising=False)  # servers of its own
    home, port = Home(tmp_path / "servers"), free_port()
    home.make()
    processes = Processes(home.logs, {})
    with servers.started(home, processes, throwaway=True) as addresses:
        addresses |= {"DATABASE_URL": pooler.start(processes, home.path / "pgbouncer", addresses["DATABASE_URL"])}
        with running(tmp_path / "var", port, **addresses) as run:
            product = Product(run, tmp_path / "var", port)
            headers = {"Authorization": f"Bearer {product.token('customer')}"}
            database = next(one for one in processes.running if one.name == "postgresql")

            def status() -> int:
                return product.ask("GET", "/api/v1/me/", **headers).status

            assert status() == 200
            database.popen.send_signal(signal.SIGQUIT)  # it ends at once, with all sessions
            wait_until(lambda: status() != 200)
            down = {status() for _ in range(10)}
            database.popen.wait()
            database.popen = database.launch()
            wait_until(lambda: status() == 200)

    assert down == {503}
