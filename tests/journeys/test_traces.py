"""Logs, metrics and error pages hold no one's address, secret or partner.

The product is used, with success and with failures, with values that occur nowhere else (canaries). Then all it has
written is searched for them. These tests break the product for a moment, so they are the last in this directory.
"""

from __future__ import annotations

import json
import re
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from tests import estates
from tests.product import Product, manage, wait_until

TENANT, SUBSCRIPTION = "0a2f6f52-5d0c-4a30-9d55-1d1f3f1fca11", "5c1d0f0e-7a53-4a86-8b0d-3f6f0f3fca21"
C = SimpleNamespace(
    address="sunniva.kanariefugl@kanarie.example",
    partner_address="post@kanarieoya.example",
    customer_name="Kanarieberget Energi",
    partner_name="Kanarieøya Konsult",
    name="Sunniva Kanariefugl",
    mpn_id="7730442219",
    unknown_mpn_id="8830442219",
    refused_mpn_id="9930442219",
    password="kanarie-passord-4711",
    wrong_password="kanarie-feil-4712",
    new_password="kanarie-nytt-4713",
    no_token="por_kanarie4714kanarie4714kanarie4714",
    short_token="kanarie4715",
    reset_key="kanarie4716-reset",
    idempotency_key="kanarie-nokkel-4717",
    note="kanarie merknad 4718",
    reason="kanarie grunn 4719",
    search="kanariesok4720",
    nothing="kanarie-side-4721",
    cell="kanarie-celle-4722",
    stranger_address="ukjent@kanarieskog.example",
    user_agent="kanarie-agent-4723",
)
JSON = "application/json"


def found_in(text: str) -> set[str]:
    """Return the canaries in a text, as they are or as an address or JSON writes them."""
    forms = {
        name: {canary, urllib.parse.quote(canary), urllib.parse.quote_plus(canary), json.dumps(canary)[1:-1]}
        for name, canary in vars(C).items()
    }
    return {name for name, written in forms.items() if any(one in text for one in written)}


class Canaries:
    """A running product with an estate of canaries in it."""

    def __init__(self, product: Product, files: Path) -> None:
        self.product, self.var, self.files = product, product.var, files
        self.read: dict[str, str] = {}  # the logs, after everything below was done
        self.record = f"/api/v1/subscriptions/{SUBSCRIPTION}/partner-of-record/"
        estates.write(
            files,
            partners=[estates.partner(C.mpn_id, name=C.partner_name, contact_email=C.partner_address)],
            customers=[estates.customer(TENANT, name=C.customer_name, contact_email=C.address)],
            subscriptions=[estates.subscription(SUBSCRIPTION, tenant_id=TENANT)],
        )
        manage(self.var, "load_estate", str(files))
        self.token = manage(
            self.var, "shell", "--no-imports", "-c",
            "from por.accounts.models import User\nfrom por.accounts.actions import create_token\n"
            f"user = User.objects.get(email={C.address!r})\n"
            f"user.name = {C.name!r}\nuser.set_password({C.password!r})\nuser.save()\n"
            "print(create_token(user, user.memberships.get().organisation, name='t', read_only=False)[1])",
        ).split()[-1]  # fmt: skip
        C.token = self.token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        given = {"Authorization": f"Bearer {self.token}", "User_Agent": C.user_agent} | headers
        if body is not None:
            body = json.dumps(body)
            given["Content_Type"] = JSON
        return self.product.ask(method, path, body, **given)

    @contextmanager
    def refusing(self, table: str, condition: str) -> Iterator[None]:
        """Make the database refuse rows with a person's data in the block."""
        with self.product.database() as cursor:
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT no_canaries CHECK ({condition}) NOT VALID")
        yield
        with self.product.database() as cursor:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT no_canaries")

    def logs(self) -> dict[str, str]:
        return {path.name: path.read_text(errors="replace") for path in sorted((self.var / "log").iterdir())}


@pytest.fixture(scope="module")
def canaries(stack: Product, tmp_path_factory: pytest.TempPathFactory) -> Canaries:
    canaries = Canaries(stack, tmp_path_factory.mktemp("estate"))
    signs_in_and_out(canaries)
    asks_and_is_refused(canaries)
    meets_faults(canaries)
    imports_invalid_files(canaries)
    canaries.read = canaries.logs()
    return canaries


# --- Use of the product ---------------------------------------------------------------------------------------------


def signs_in_and_out(canaries: Canaries) -> None:
    product = canaries.product
    address = C.address
    assert product.post("/login", "/login", login=address, password=C.wrong_password).status == 422
    assert product.post("/login", "/login", login=C.stranger_address, password=C.wrong_password).status == 422
    assert product.post("/password/reset/", "/password/reset/", email=address).status == 302
    assert product.post("/password/reset/", "/password/reset/", email=C.stranger_address).status == 302
    product.ask("GET", f"/password/reset/1-{C.reset_key}/?next={C.nothing}")
    product.ask("GET", f"/password/reset/{C.reset_key}")
    link = re.search(r"/password/reset/[\w-]+/", mail(canaries, address))
    assert link
    C.mailed_key = link[0].rstrip("/").rpartition("-")[2]
    form = product.ask("GET", link[0]).headers.get("Location", link[0])
    product.post(form, form, password1=C.new_password, password2="not the same")
    product.ask("POST", form, f"password1={C.new_password}", Content_Type="application/x-www-form-urlencoded")
    assert product.post("/login", "/login", login=address, password=C.password).status == 302
    product.post("/me", "/me", name=C.name, language="xx", time_zone=C.cell)
    product.ask("GET", f"/c/subscriptions/?search={C.search}")
    product.ask("GET", f"/c/{C.nothing}/")


def mail(canaries: Canaries, address: str) -> str:
    def texts() -> list[str]:
        files = (canaries.var / "mail" / "new").glob("*")
        return [text for text in (file.read_text(errors="replace") for file in files) if address in text]

    wait_until(lambda: bool(texts()))
    return texts()[-1].replace("=\n", "")


def asks_and_is_refused(canaries: Canaries) -> None:
    ask, record = canaries.ask, canaries.record
    assert ask("GET", f"/api/v1/partners/check/?mpn_id={C.mpn_id}").status == 200
    assert ask("GET", f"/api/v1/partners/check/?mpn_id={C.unknown_mpn_id}").status == 404
    assert ask("GET", f"/api/v1/partners/check/?mpn_id={C.cell}").status == 422
    assert (
        ask("GET", f"/api/v1/subscriptions/?search={C.search}&renews_before={C.note}".replace(" ", "+")).status == 422
    )
    for none in (C.no_token, C.short_token):
        assert ask("GET", "/api/v1/me/", Authorization=f"Bearer {none}").status == 401
        assert ask("GET", f"/api/v1/me/?token={none}", Authorization=f"Basic {none}").status == 401
    key = {"Idempotency_Key": C.idempotency_key, "If_Match": "*"}
    attach = {"mpn_id": C.mpn_id, "note": C.note}
    assert ask("PUT", record, attach).status == 428
    assert ask("PUT", record, attach, If_Match='"7000"').status == 412
    assert ask("PUT", record, attach | {C.cell: 1}, If_Match="*").status == 422
    assert ask("PUT", record, attach | {"mpn_id": C.unknown_mpn_id}, **key).status == 422
    assert ask("PUT", record, attach, **key).status == 201
    assert ask("PUT", record, attach, **key).headers["Idempotent-Replayed"] == "true"
    assert ask("PUT", record, attach | {"note": "Other"}, **key).status == 422
    assert ask("DELETE", record, {"reason": C.reason}, If_Match="*").status == 204
    assert ask("PATCH", record + C.nothing).status == 404
    assert ask("GET", f"/api/v1/{C.nothing}/?{C.search}").status == 404
    canaries.product.ask("GET", f"/static/{C.nothing}")
    canaries.product.ask("GET", "/login", Host="nobody.example")
    canaries.product.ask("POST", "/login", "login=x", Content_Type="application/x-www-form-urlencoded")


def meets_faults(canaries: Canaries) -> None:
    ask, record = canaries.ask, canaries.record
    refused = C.refused_mpn_id
    with canaries.refusing("directory_checkofid", f"entered <> '{refused}'"):
        assert ask("GET", f"/api/v1/partners/check/?mpn_id={refused}").status == 500
        page = f"/c/subscriptions/{SUBSCRIPTION}/"
        assert canaries.product.post(page, f"{page}check/", mpn_id=refused).status == 500
    attach = {"mpn_id": C.mpn_id, "note": C.note}
    with canaries.refusing("associations_association", f"note <> '{C.note}'"):
        assert ask("PUT", record, attach, If_Match="*", Idempotency_Key=C.idempotency_key + "2").status == 500
    with canaries.product.database() as cursor:
        cursor.execute("ALTER TABLE associations_association RENAME COLUMN note TO gone")
        status = ask("PUT", record, attach, If_Match="*").status
        cursor.execute("ALTER TABLE associations_association RENAME COLUMN gone TO note")
    assert status == 500
    with canaries.product.database() as cursor:
        cursor.execute("BEGIN; SELECT * FROM directory_subscription FOR UPDATE")
        assert ask("PUT", record, attach, If_Match="*").status == 429
        cursor.execute("ROLLBACK")
    with canaries.refusing("notifications_delivery", f"recipient <> '{C.partner_address}'"):
        assert ask("PUT", record, attach, If_Match="*").status == 201
        wait_until(lambda: "failed" in canaries.logs()["worker.log"])
    with canaries.product.database() as cursor:
        violate(cursor, "SET ROLE por_app")


def violate(cursor: Any, setting: str) -> None:
    """Run statements that fail, with people's data in them, with a setting of the session."""
    address = C.address
    cursor.execute(setting)
    for statement in (
        "INSERT INTO accounts_user (email, name, password, language, time_zone, is_active, date_joined)"
        f" VALUES ('{address}', '{C.name}', '{C.password}', 'en', 'UTC', true, now())",
        f"SELECT 1 / 0 AS \"{C.note}\" FROM accounts_user WHERE email = '{address}'",
        f"SELECT nothing FROM accounts_user WHERE email = '{address}'",
        f"DELETE FROM accounts_organisation WHERE name = '{C.customer_name}'",
    ):
        with pytest.raises(psycopg2.Error):
            cursor.execute(statement)


def imports_invalid_files(canaries: Canaries) -> None:
    cell = C.cell
    files = canaries.files / "bad"
    files.mkdir()
    estates.write(
        files,
        customers=[estates.customer("not a guid " + cell, contact_email=C.stranger_address)],
        associations=[estates.association(C.unknown_mpn_id, subscription_id=SUBSCRIPTION)],
    )
    with pytest.raises(AssertionError, match="could not be imported"):
        manage(canaries.var, "load_estate", str(files))


# --- What the product has written -----------------------------------------------------------------------------------


def test_no_log_holds_a_canary(canaries):
    leaks = {name: found_in(text) for name, text in canaries.read.items()}

    lines = [line[:600] for text in canaries.read.values() for line in text.splitlines() if found_in(line)]
    assert {name: found for name, found in leaks.items() if found} == {}, "\n".join(lines)


def test_the_logs_still_have_the_reasons_of_failures(canaries):
    logs = canaries.read

    assert "no_canaries" in logs["web.log"]
    assert "no_canaries" in logs["worker.log"]
    assert "UndefinedColumn" in logs["web.log"]
    assert "duplicate key value violates unique constraint" in logs["postgresql.log"]
    assert "canceling statement due to lock timeout" in logs["postgresql.log"]


@pytest.mark.parametrize("log", ["web.log", "worker.log", "beat.log"])
def test_every_line_of_a_log_is_json_from_the_start(canaries, log):
    lines = [json.loads(line) for line in canaries.read[log].splitlines()]

    assert [line for line in lines if not {"at", "level", "logger", "message", "request_id"} <= line.keys()] == []
    assert log != "web.log" or "Starting gunicorn" in lines[0]["message"]


def about(canaries: Canaries, request_id: str, log: str = "web.log", *, least: int = 1) -> list[dict[str, Any]]:
    """Return what a log says about a request, as soon as it has so many lines. The last is written after the answer."""

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in canaries.logs()[log].splitlines() if request_id in line]

    wait_until(lambda: len(lines()) >= least)
    return lines()


def ids_in(lines: list[dict[str, Any]]) -> set[tuple[int | None, ...]]:
    """Return the person, the organisation and the token that each of these lines names."""
    return {tuple(line.get(name) for name in ("person_id", "organisation_id", "token_id")) for line in lines}


def ids_of(canaries: Canaries) -> tuple[int, int, int]:
    """Return the keys of the person, the organisation and the token of the canaries."""
    with canaries.product.database() as cursor:
        cursor.execute(
            "SELECT person.id, token.organisation_id, token.id FROM accounts_user AS person"
            " JOIN accounts_token AS token ON token.user_id = person.id WHERE person.email = %s",
            [C.address],
        )
        (found,) = cursor.fetchall()
    person, organisation, token = found
    return person, organisation, token


def test_every_line_about_a_call_names_person_organisation_and_token_by_their_ids(canaries):
    ids = ids_of(canaries)

    canaries.ask("GET", "/api/v1/me/", X_Request_ID="line-of-a-call")
    canaries.ask("GET", f"/api/v1/{C.nothing}/", X_Request_ID="line-of-no-page")
    with canaries.refusing("associations_association", "ended_at IS NULL"):
        refused = canaries.ask("DELETE", canaries.record, {}, If_Match="*", X_Request_ID="line-of-a-fault")

    assert refused.status == 500
    assert ids_in(about(canaries, "line-of-a-call")) == {ids}
    of_fault = about(canaries, "line-of-a-fault", least=2)  # the error has a line of its own
    assert ids_in(of_fault) == {ids}
    assert ids_in(about(canaries, "line-of-no-page")) == {(None, None, None)}, "no one asked whose token it was"


def test_a_task_names_the_person_and_the_organisation_that_caused_it(canaries):
    person, organisation, _token = ids_of(canaries)

    answer = canaries.ask("DELETE", canaries.record, {}, If_Match="*", X_Request_ID="line-of-a-task")

    assert answer.status == 204
    assert ids_in(about(canaries, "line-of-a-task", "worker.log")) == {(person, organisation, None)}


def test_a_page_names_the_person_and_the_organisation_and_the_page_of_a_stranger_no_one(canaries):
    person, organisation, _token = ids_of(canaries)
    stranger = Product(canaries.product.run, canaries.var, canaries.product.port)

    canaries.product.ask("GET", "/c/subscriptions/", X_Request_ID="line-of-a-page")
    stranger.ask("GET", "/login", X_Request_ID="line-of-a-stranger")

    assert ids_in(about(canaries, "line-of-a-page")) == {(person, organisation, None)}
    assert ids_in(about(canaries, "line-of-a-stranger")) == {(None, None, None)}


def test_a_sign_in_names_the_person(canaries):
    lines = [json.loads(line) for line in canaries.read["web.log"].splitlines()]
    sign_ins = [line for line in lines if line["message"] == "POST /login 302"]

    assert ids_of(canaries)[0] in {line.get("person_id") for line in sign_ins}


def test_a_line_about_no_request_at_all_does_not_name_the_one_before_it(canaries):
    for _ in range(20):  # a process of the web server keeps its threads
        canaries.ask("GET", "/api/v1/me/")
    with socket.create_connection(("127.0.0.1", canaries.product.port), timeout=20) as client:
        client.sendall(b"GET /kanarie HTTP/7.7\r\n\r\n")
        assert client.recv(12).startswith(b"HTTP/1.1 400")

    lines = about(canaries, "Invalid request")
    assert ids_in(lines) == {(None, None, None)}
    assert {line["request_id"] for line in lines} == {""}


def test_metrics_hold_no_canary(canaries):
    metrics = canaries.product.metrics()

    assert metrics.status == 200
    assert found_in(metrics.text) == set()


def test_answers_to_others_hold_no_canary(canaries):
    """A partner of the demo asks for what it may not see."""
    product = canaries.product
    token = {"Authorization": f"Bearer {product.token('partner')}", "If_Match": "*", "Content_Type": JSON}
    rival = Product(product.run, product.var, product.port)
    rival.sign_in("rival")
    key = {"Idempotency_Key": C.idempotency_key}
    body = json.dumps({"mpn_id": "4471902"})
    answers = [
        product.ask("GET", f"/api/v1/subscriptions/{SUBSCRIPTION}/", **token),
        product.ask("GET", f"/api/v1/subscriptions/{SUBSCRIPTION}/history/", **token),
        product.ask("PUT", canaries.record, body, **token, **key),
        product.ask("DELETE", canaries.record, "{}", **token, **key),
        product.ask("GET", "/api/v1/subscriptions/?search=kanarie", **token),
        product.ask("GET", f"/api/v1/associations/?tenant_id={TENANT}", **token),
        rival.ask("GET", f"/p/subscriptions/{SUBSCRIPTION}/"),
        rival.ask("GET", f"/p/customers/{TENANT}/"),
        rival.ask("GET", f"/c/subscriptions/{SUBSCRIPTION}/"),
        rival.ask("GET", "/p/subscriptions/?search=kanarie"),
    ]

    assert {answer.status for answer in answers} <= {200, 403, 404}
    assert [found_in(answer.text + json.dumps(answer.headers)) for answer in answers] == [set()] * len(answers)


# --- Controls: a leak is found --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("SET log_min_error_statement = error", {"address", "name", "note"}),
        ("SET log_error_verbosity = 'default'", {"address"}),
    ],
)
def test_with_its_default_settings_the_databases_log_holds_canaries(canaries, setting, shown):
    before = len(canaries.logs()["postgresql.log"])

    with canaries.product.database() as cursor:
        violate(cursor, setting)

    wait_until(lambda: shown <= found_in(canaries.logs()["postgresql.log"][before:]))


def test_a_canary_in_a_log_is_found(canaries, monkeypatch):
    """A request is logged with the ID of its sender."""
    monkeypatch.setattr(C, "request_id", "kanarie-id-4724", raising=False)
    assert "request_id" not in found_in(canaries.logs()["web.log"])

    canaries.product.ask("GET", "/livez", X_Request_ID=C.request_id)

    wait_until(lambda: "request_id" in found_in(canaries.logs()["web.log"]))
