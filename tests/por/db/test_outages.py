"""Servers that are away, full or hung: requests get a message and no 500, nothing is half done, all recovers after."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY

from associations.record.models import Association
from por.accounts.tasks import purge_sessions
from por.db.grants import as_owner
from por.directory.models import Subscription
from por.history.models import Event, Outbox
from tests.api import Api
from tests.factories import make_member
from tests.product import TIMEOUT, Answer, Product, alive, descendants, free_port, running, wait_until

AWAY = "We cannot reach our database at the moment. Nothing was left half changed. Try again in a minute."
FULL = "We cannot save anything at the moment. What you see is safe. Try again in a few minutes."


# --- Errors of PostgreSQL, raised where the record is written ---------------------------------------------------------

RAISE = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'of somebody@people.example' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON history_outbox FOR EACH ROW EXECUTE FUNCTION fail();
"""


@contextmanager
def failing_with(code: str) -> Iterator[None]:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(RAISE.format(code=code))
    try:
        yield
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER fail ON history_outbox; DROP FUNCTION fail()")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("53100", 503, FULL),  # disk full
        ("53200", 503, FULL),  # out of memory
        ("58030", 503, FULL),  # the disk fails
        ("25006", 503, FULL),  # read-only
        ("53300", 503, AWAY),  # too many connections
        ("57P01", 503, AWAY),  # shutting down
        ("57P03", 503, AWAY),  # starting up
        ("08006", 503, AWAY),  # the connection broke
        ("40001", 429, "Someone else is changing this right now. Wait a moment, then try again."),
        ("40P01", 429, "Someone else is changing this right now. Wait a moment, then try again."),
        ("55P03", 429, "Someone else is changing this right now. Wait a moment, then try again."),
    ],
)
def test_an_outage_is_answered_with_a_message_and_leaves_nothing_behind(
    customer, partner, subscription, code, status, message, caplog
):
    admin = make_member(customer.organisation)
    api = Api(admin)
    browser = Client(raise_request_exception=False)
    browser.force_login(admin.user)
    path = f"subscriptions/{subscription.subscription_id}/partner-of-record/"

    def attach() -> Any:
        return api.put(path, {"mpn_id": partner.mpn_id}, If_Match="*", Idempotency_Key="the same")

    timeouts = REGISTRY.get_sample_value("lock_timeouts_total") or 0
    with failing_with(code):
        answer = attach()
        page = browser.post(
            f"/c/subscriptions/{subscription.subscription_id}/attach/",
            {"mpn_id": partner.mpn_id, "version": subscription.version, "confirm": "on"},
        )

    assert (answer.status_code, answer.json()["detail"]) == (status, message)
    assert answer.json()["code"] == ("unavailable" if status == 503 else "busy")
    assert int(answer["Retry-After"]) > 0
    assert page.status_code == status
    assert message in page.content.decode()
    assert not Association.objects.exists()
    assert not Event.objects.exists()
    assert not Outbox.objects.exists()
    assert Subscription.objects.get().version == 1
    assert "somebody@people.example" not in caplog.text
    assert (REGISTRY.get_sample_value("lock_timeouts_total") or 0) - timeouts == (2 if code == "55P03" else 0)
    assert attach().status_code == 201, "the same request works once the outage has passed"


@pytest.mark.django_db(transaction=True)
def test_a_defect_of_ours_stays_a_500(customer, partner, subscription):
    api = Api(make_member(customer.organisation))
    api.client.raise_request_exception = False

    with failing_with("22012"):  # division by zero
        answer = api.put(
            f"subscriptions/{subscription.subscription_id}/partner-of-record/",
            {"mpn_id": partner.mpn_id},
            If_Match="*",
        )

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_one_503_and_then_a_new_one_is_used(customer):
    api = Api(make_member(customer.organisation))
    assert api.get("me/").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with transaction.atomic():  # as within a request, where the connection is not checked again
        with as_owner_elsewhere() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
        answer = api.get("me/")
        transaction.set_rollback(True)

    assert (answer.status_code, answer.json()["detail"]) == (503, AWAY)
    assert api.get("me/").status_code == 200


@contextmanager
def as_owner_elsewhere() -> Iterator[Any]:
    """Yield a second connection of the same role, which may end its own backends."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            yield cursor
    finally:
        other.close()


def test_only_expired_sessions_are_deleted(customer):
    over, stays = Client(), Client()
    for browser in (over, stays):
        browser.force_login(make_member(customer.organisation).user)
    Session.objects.filter(pk=over.cookies["session"].value).update(expire_date=timezone.now() - timedelta(seconds=1))

    purge_sessions()

    assert [one.pk for one in Session.objects.all()] == [stays.cookies["session"].value]
    assert stays.get("/c/").status_code == 200


# --- The whole product with a server that is away ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    var, port = tmp_path_factory.mktemp("product"), free_port()
    with running(var, port, REQUEST_SECONDS="15") as run:
        yield Product(run, var, port)


@pytest.fixture(scope="module")
def token(product: Product) -> str:
    return product.token("customer")


@pytest.fixture(scope="module")
def subscription_path(product: Product, token: str) -> str:
    """Return the path of a subscription of the demo that has no partner."""
    free = product.ask(
        "GET",
        "/api/v1/subscriptions/?partner_of_record=none&status=active",
        Authorization=f"Bearer {token}",
    )
    return f"/api/v1/subscriptions/{free.json['results'][0]['id']}/"


@contextmanager
def away(product: Product, name: str) -> Iterator[None]:
    """Kill a part; it starts again only after the block, because its supervisor is stopped."""
    os.kill(product.run.pid, signal.SIGSTOP)
    try:
        product.signal(name, signal.SIGKILL, with_children=True)
        yield
    finally:
        os.kill(product.run.pid, signal.SIGCONT)


@contextmanager
def hung(product: Product, name: str, *, with_children: bool = False) -> Iterator[None]:
    """Stop a part, so that it neither answers nor hangs up."""
    product.signal(name, signal.SIGSTOP, with_children=with_children)
    try:
        yield
    finally:
        product.signal(name, signal.SIGCONT, with_children=with_children)


def change(product: Product, token: str, path: str, key: str, mpn_id: str = "") -> Answer:
    """Attach this partner; without one, remove the partner of record."""
    method, body = ("PUT", f'{{"mpn_id": "{mpn_id}"}}') if mpn_id else ("DELETE", "{}")
    return product.ask(
        method,
        f"{path}partner-of-record/",
        body,
        Authorization=f"Bearer {token}",
        If_Match="*",
        Idempotency_Key=key,
        Content_Type="application/json",
    )


def not_ready(product: Product) -> tuple[str, str]:
    """Return what a probe that is not ready says of database and broker. Each has a second: ask again if it is busy."""
    ready = product.ask("GET", "/readyz")
    assert ready.status == 503
    return ready.json["components"]["database"], ready.json["components"]["broker"]


def a_partner(product: Product, token: str) -> str:
    found = product.ask("GET", "/api/v1/associations/?kind=dpor", Authorization=f"Bearer {token}")
    return str(found.json["results"][0]["partner"]["mpn_id"])


def test_without_the_database_everything_is_503_and_recovers_by_itself(product, token, subscription_path):
    mpn_id = a_partner(product, token)
    assert product.metrics().text.count("\noutbox_undone ") == 1
    assert product.sign_in("customer").status == 302
    assert product.status("/c/") == 200
    web = product.children("web")

    with away(product, "postgresql"):
        page = product.ask("GET", "/c/")
        answer = change(product, token, subscription_path, "away", mpn_id)
        as_session = product.ask("GET", "/api/v1/me/")
        wait_until(lambda: not_ready(product) == ("failed", "ok"))
        alive, metrics = product.status("/livez"), product.metrics()

    assert (page.status, page.headers["Retry-After"]) == (503, "10")
    assert AWAY in page.text
    for problem in (answer, as_session):
        assert (problem.status, problem.json["code"], problem.json["detail"]) == (503, "unavailable", AWAY)
        assert problem.headers["Content-Type"] == "application/problem+json"
        assert "Retry-After" in problem.headers
    assert alive == 200
    assert metrics.status == 200
    assert "\ndatabase_answers 0.0\n" in metrics.text
    assert "outbox_undone" not in metrics.text, "a stale figure"

    wait_until(lambda: product.status("/readyz") == 200)
    assert product.status("/c/") == 200, "still signed in"
    assert change(product, token, subscription_path, "away", mpn_id).status == 201
    assert change(product, token, subscription_path, "away", mpn_id).headers["Idempotent-Replayed"] == "true"
    assert change(product, token, subscription_path, "undo away").status == 204
    assert product.children("web") == web, "the web server was not started again"


def end_connections(product: Product) -> None:
    """End every connection of web and worker, as a server that is restarted does, and wait until they have ended."""
    with product.database() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename IN ('por_app', 'por_worker')"
        )


@pytest.mark.chaos
def test_every_request_is_answered_after_connections_have_ended(product, token, subscription_path):
    mpn_id = a_partner(product, token)
    assert product.status("/c/") == 200, "still signed in"
    bearer = {"Authorization": f"Bearer {token}"}
    requests = [
        (lambda: product.ask("GET", "/c/"), 200),
        (lambda: product.ask("GET", "/api/v1/me/"), 200),
        (lambda: product.ask("GET", "/api/v1/me/", **bearer), 200),
        (lambda: product.ask("GET", "/api/v1/subscriptions/", **bearer), 200),
        (lambda: change(product, token, subscription_path, "ended", mpn_id), 201),
        (lambda: change(product, token, subscription_path, "ended again"), 204),
        (lambda: Product(product.run, product.var, product.port).sign_in("customer"), 302),
    ]

    for ask, status in requests:
        with ThreadPoolExecutor(12) as pool:  # so that every thread of the web server has a connection
            list(pool.map(lambda _number: product.ask("GET", "/api/v1/me/", **bearer), range(24)))
        end_connections(product)
        assert ask().status == status

    before = product.pid("postgresql")
    os.kill(before, signal.SIGINT)
    wait_until(lambda: product.find("postgresql") not in (None, before))
    wait_until(lambda: product.status("/readyz") == 200)
    with ThreadPoolExecutor(12) as pool:
        answers = pool.map(lambda _number: product.ask("GET", "/api/v1/me/", **bearer).status, range(24))
    assert set(answers) == {200}


@pytest.mark.chaos
def test_the_worker_keeps_its_connections_and_replaces_those_that_have_ended(product):
    log = product.var / "log" / "worker.log"

    def last_used() -> Any:
        """Return when a connection was used last, and whether none is in use now."""
        with product.database() as cursor:
            cursor.execute(
                "SELECT max(state_change), bool_and(state = 'idle') FROM pg_stat_activity WHERE usename = 'por_worker'"
            )
            return cursor.fetchone()

    def wait_for_tasks(number: int) -> None:
        seen = {last_used()[0]}
        wait_until(lambda: seen.add(last_used()[0]) or len(seen) > number)

    def connections() -> set[int]:
        """Return the worker's connections. A task may have more, and the database's own workers have a query."""
        with product.database() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'por_worker' AND backend_type = 'client backend'"
            )
            return {pid for (pid,) in cursor}

    def rests() -> bool:
        """Return whether no connection is used for some seconds, so no task runs. Tasks take less time than this."""
        before = last_used()
        time.sleep(3)
        return before[1] and bool(last_used() == before)

    wait_for_tasks(4)
    with hung(product, "beat"):
        wait_until(rests)
        kept = connections()
    assert kept
    wait_for_tasks(8)

    with hung(product, "beat"):
        wait_until(rests)
        assert kept <= connections()  # the second process may have had its first task since
        assert len(connections()) <= len(product.children("worker"))
        end_connections(product)
    lines = log.read_text().count("A server is not available")
    wait_for_tasks(4)
    assert connections()
    assert not connections() & kept
    assert log.read_text().count("A server is not available") == lines


@pytest.mark.chaos
def test_readyz_does_not_wait_for_a_hung_database(product):
    with hung(product, "postgresql"):
        began = time.monotonic()
        ready = product.ask("GET", "/readyz")
        took = time.monotonic() - began
        assert product.status("/livez") == 200

    assert (ready.status, ready.json["components"]["database"]) == (503, "failed")
    assert took < 30, "readyz waits for a second; a busy machine may add to it"
    wait_until(lambda: product.status("/readyz") == 200)


@pytest.mark.chaos
def test_requests_that_a_hung_database_holds_are_answered(product, token):
    """There are more of them than the web server has threads."""

    def ask(_number: int) -> Answer:
        return product.ask("GET", "/api/v1/me/", timeout=TIMEOUT, Authorization=f"Bearer {token}")

    with ThreadPoolExecutor(12) as pool:
        assert {answer.status for answer in pool.map(ask, range(24))} == {200}
        with hung(product, "postgresql", with_children=True):
            answers = list(pool.map(ask, range(12)))
            alive = product.status("/livez")

    assert {(answer.status, answer.json["detail"]) for answer in answers} == {(503, AWAY)}
    assert alive == 200
    wait_until(lambda: product.status("/readyz") == 200)
    assert ask(0).status == 200


def stranger_to(product: Product) -> Product:
    """Return a browser in which no one has signed in."""
    return Product(product.run, product.var, product.port)


@pytest.mark.chaos
@pytest.mark.parametrize("fault", [away, hung])
def test_without_the_cache_everything_works_and_guessing_still_has_a_bound(product, token, subscription_path, fault):
    mpn_id = a_partner(product, token)
    wait_until(lambda: product.status("/c/") == 200 or product.sign_in("customer").status == 302)
    stranger = stranger_to(product)

    with fault(product, "valkey"):
        assert product.status("/c/") == 200
        assert change(product, token, subscription_path, f"{fault.__name__} 1", mpn_id).status == 201
        assert change(product, token, subscription_path, f"{fault.__name__} 2").status == 204
        assert stranger.sign_in("customer").status == 302
        assert stranger.status("/c/") == 200
        guesses = (stranger_to(product).sign_in("partner", "not this one").status for _ in range(31))
        assert 429 in guesses, "each of the two processes counts for itself"
        wait_until(lambda: not_ready(product) == ("ok", "failed"))
        alive = product.status("/livez")

    assert alive == 200
    wait_until(lambda: product.status("/readyz") == 200)


def test_none_of_these_outages_was_a_500_or_put_an_address_into_a_log(product):
    for log in (product.var / "log").glob("*.log"):
        text = Path(log).read_text()
        assert ' 500"' not in text, log  # the status at the end of a line, not the milliseconds of its time
        assert "Internal Server Error" not in text, log
    assert "customer@demo.example" not in (product.var / "log" / "web.log").read_text()


@pytest.mark.chaos
def test_a_server_that_keeps_dying_ends_the_run_and_is_named(product):
    """It ends the product of this file too, so this is the last test."""
    family = descendants(product.run.pid)
    [manifest] = (product.var / "valkey" / "appendonlydir").glob("*.manifest")
    manifest.write_text("not a manifest")
    product.signal("valkey", signal.SIGKILL)
    lines = product.run.communicate(timeout=TIMEOUT)[0].strip().splitlines()
    assert product.run.returncode == 1
    assert lines[-1].startswith("valkey has ended 5 times within a minute")
    assert str(product.var / "log" / "valkey.log") in lines[-1]
    assert not alive(family)
