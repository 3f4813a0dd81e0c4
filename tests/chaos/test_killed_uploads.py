"""Processes that are killed between the file of a proof and its row, in the product as `make run` starts it.

What was promised is there, what is there was promised or is removed after a day, and whoever tries again succeeds.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from por.files.proofs import PROOFS, QUARANTINE, UNNAMED_FOR
from tests.files import PDF
from tests.product import Answer, Product, form_with_file, free_port, manage, running, wait_until

RECONCILE = "from associations.claims.actions.examining import remove_unnamed; print(remove_unnamed())"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    var, port = tmp_path_factory.mktemp("killed") / "var", free_port()
    with running(var, port) as run:
        yield Product(run, var, port)


@pytest.fixture(scope="module")
def token(product: Product) -> str:
    return product.token("partner")


@pytest.fixture
def claim(product: Product, token: str) -> dict[str, Any]:
    """Return a new draft of a partner of the demo."""
    [(tenant, domain)] = rows(
        product,
        "SELECT tenant_id::text, domain FROM directory_customer WHERE domain <> '' ORDER BY organisation_id LIMIT 1",
    )
    body = {"tenant_id": tenant, "domain": domain, "program": "osu_m365", "role": "usage", "workloads": ["exo"]}
    made = product.ask(
        "POST", "/api/v1/claims/", json.dumps(body), Content_Type="application/json", Authorization=f"Bearer {token}"
    )
    assert made.status == 201, made.text
    found: dict[str, Any] = made.json
    return found


def rows(product: Product, sql: str) -> list[tuple[Any, ...]]:
    with product.database() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def upload(product: Product, token: str, claim: dict[str, Any], content: bytes, key: str) -> Answer:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    body, kind = form_with_file("proof.pdf", content, units="exo", acknowledged_on=today)
    return product.ask(
        "POST",
        f"/api/v1/claims/{claim['id']}/proofs/",
        body,
        Content_Type=kind,
        Authorization=f"Bearer {token}",
        Idempotency_Key=key,
    )


@contextmanager
def locked(product: Product, sql: str) -> Iterator[None]:
    """Hold the rows of a query, so that whoever wants to write them waits."""
    with product.database() as cursor:
        address = cursor.connection.get_dsn_parameters()
    with closing(psycopg2.connect(host=address["host"], user="postgres", dbname=address["dbname"])) as other:
        with other.cursor() as cursor:
            cursor.execute(sql)
        yield


def stored(product: Product, folder: str) -> set[Path]:
    """Return the files of proofs in a folder of the storage, without the pictures of pages."""
    place = Path(product.addresses["FILES_ROOT"]) / folder
    return {one for one in place.glob("*") if one.suffix != ".png"}


def kill(product: Product, part: str) -> None:
    for pid in product.children(part):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def make_old(product: Product) -> None:
    """Let all files be older than what may lie without a row."""
    long_ago = time.time() - UNNAMED_FOR.total_seconds() - 60
    for folder in (QUARANTINE, PROOFS):
        for one in stored(product, folder):
            os.utime(one, (long_ago, long_ago))


def reconcile(product: Product) -> int:
    return int(manage(product.var, "shell", "--no-imports", "-c", RECONCILE).splitlines()[-1])


def state(product: Product, claim: dict[str, Any]) -> list[tuple[Any, ...]]:
    return rows(
        product, f"SELECT number, scan, stored_as FROM claims_proof WHERE claim_id = {claim['id']} ORDER BY number"
    )


def test_web_server_killed_between_file_and_row_promises_nothing_and_its_file_goes_after_a_day(product, token, claim):
    before, key, first = stored(product, QUARANTINE), uuid.uuid4().hex, list[Answer]()
    customer = f"SELECT FROM directory_customer WHERE tenant_id = '{claim['tenant_id']}' FOR UPDATE"
    with locked(product, customer):
        sender = threading.Thread(target=lambda: first.append(upload(product, token, claim, PDF, key)))
        sender.start()
        wait_until(lambda: bool(stored(product, QUARANTINE) - before))
        kill(product, "web")
    sender.join()
    assert first[0].status == 0, "the server died before it answered"
    assert state(product, claim) == []
    (left,) = stored(product, QUARANTINE) - before

    answers: list[Answer] = []

    def is_answered() -> bool:
        answers.append(upload(product, token, claim, PDF, key))
        return answers[-1].status not in {0, 409, 429, 503}

    wait_until(is_answered)
    assert answers[-1].status == 201, answers[-1].text
    wait_until(lambda: state(product, claim)[0][1] in {"clean", "not_scanned"})
    [(number, _scan, stored_as)] = state(product, claim)
    assert number == 1

    assert reconcile(product) == 0, "a day is not over"
    assert left.exists()
    make_old(product)
    assert reconcile(product) >= 1
    assert not left.exists()
    assert (Path(product.addresses["FILES_ROOT"]) / stored_as).read_bytes() == PDF
    content = product.ask("GET", f"/api/v1/claims/{claim['id']}/proofs/1/content/", Authorization=f"Bearer {token}")
    assert content.status == 302


def test_worker_killed_between_the_released_file_and_its_row_scans_it_again(product, token, claim):
    released = stored(product, PROOFS)
    content = PDF + b"\n"
    product.signal("worker", signal.SIGSTOP, with_children=True)
    try:
        answer = upload(product, token, claim, content, uuid.uuid4().hex)
        assert answer.status == 201, answer.text
        one = f"SELECT FROM claims_proof WHERE claim_id = {claim['id']} FOR UPDATE"
        with locked(product, one):
            product.signal("worker", signal.SIGCONT, with_children=True)
            wait_until(lambda: bool(stored(product, PROOFS) - released))
            kill(product, "worker")
            [(_number, scan, stored_as)] = state(product, claim)
            assert (scan, stored_as.partition("/")[0]) == ("pending", QUARANTINE), "nothing is said that is not so"
    finally:
        product.signal("worker", signal.SIGCONT, with_children=True)
    wait_until(lambda: state(product, claim)[0][1] in {"clean", "not_scanned"})
    [(_number, _scan, stored_as)] = state(product, claim)
    assert (Path(product.addresses["FILES_ROOT"]) / stored_as).read_bytes() == content
    make_old(product)
    reconcile(product)
    assert {one.name for one in stored(product, PROOFS)} == {
        Path(name).name
        for [name] in rows(product, "SELECT stored_as FROM claims_proof WHERE stored_as LIKE 'proofs/%'")
    }
    assert (Path(product.addresses["FILES_ROOT"]) / stored_as).exists()
