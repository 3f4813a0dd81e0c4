"""What a log line contains, and what it leaves out."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import copy_context
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test import Client

from por.accounts.models import User
from por.ops.logs import Cause, Formatter, begin_request, caused_by, name_sender
from tests.factories import make_user

ADDRESS, NAME = "sunniva@kanarie.example", "Sunniva Kanariefugl"


def line(message: str = "It failed", *args: Any, name: str = "por", exc_info: Any = None, **extra: Any) -> Any:
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, exc_info)
    record.__dict__.update(extra)
    return json.loads(Formatter("%(levelname)s %(name)s %(message)s").format(record))


def failing(sql: str) -> Any:
    """Return the exception of a statement that fails, as sys.exc_info has it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    except Error:
        return sys.exc_info()
    raise AssertionError(sql)


def test_the_log_of_a_refused_row_names_the_constraint_and_no_values():
    user = make_user(NAME, email=ADDRESS)
    try:
        with transaction.atomic():
            User.objects.create(email=ADDRESS, name=NAME)
    except Error:
        logged = line(exc_info=sys.exc_info())["exc_info"]

    assert "23505 accounts_user accounts_user_email_key" in logged
    assert "test_logs.py" in logged
    assert NAME not in logged
    assert user.email not in logged


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"SELECT nothing FROM accounts_user WHERE name = '{NAME}'", 'column "nothing" does not exist'),
        (f"SELECT '{NAME}'::int", "InvalidTextRepresentation: 22P02"),
        (f"UPDATE accounts_user SET name = NULL WHERE name = '{NAME}' OR '{NAME}'::uuid IS NULL", "22P02"),
    ],
)
def test_the_log_of_a_failed_statement_has_the_reason_and_not_its_values(sql, reason):
    failure = failing(sql)

    logged = line("It failed: %s", failure[1], exc_info=failure)

    assert reason in logged["exc_info"]
    assert NAME not in json.dumps(logged)


def test_a_failed_task_is_logged_once_and_without_values():
    failure = failing(f"SELECT '{NAME}'::int")
    context = {"name": "por.tasks.one", "exc": repr(failure[1]), "traceback": str(failure[1])}

    logged = line("%(name)s raised %(exc)s", context, name="celery.app.trace", exc_info=failure, data=context)

    assert logged["message"] == "por.tasks.one raised DataError(22P02)"
    assert NAME not in json.dumps(logged)


def test_the_log_has_the_route_instead_of_the_address():
    request = Client().get("/password/reset/1-kanarie4716/?next=kanarie").wsgi_request
    unknown = Client().get("/kanarie/?kanarie").wsgi_request

    logged = line("Not Found: %s", request.path, request=request, status_code=404)

    assert "<key>" in logged["message"]
    assert "kanarie" not in json.dumps(logged)
    assert line("Not Found: %s", unknown.path, request=unknown)["message"] == "Not Found: /…"


def test_formatting_leaves_the_record_as_it_was_for_other_handlers():
    request = Client().get("/kanarie/").wsgi_request
    record = logging.LogRecord("django.request", logging.WARNING, __file__, 1, "Not Found: %s", (request.path,), None)
    record.request = request

    Formatter("%(message)s").format(record)

    assert (record.getMessage(), record.request) == ("Not Found: /kanarie/", request)


def ids_in(logged: Any) -> dict[str, Any]:
    return {name: value for name, value in logged.items() if name.endswith("_id")}


def test_a_line_that_another_thread_writes_about_a_request_names_its_sender():
    begin_request("request-4711")
    elsewhere = copy_context()  # as the thread has it that ends requests which wait too long
    name_sender(person_id=7, organisation_id=12)

    assert ids_in(elsewhere.run(line)) == {"request_id": "request-4711", "person_id": 7, "organisation_id": 12}


def test_the_next_request_and_the_next_work_of_a_thread_name_no_one_of_before():
    begin_request("request-4711")
    name_sender(person_id=7, token_id=3)
    with caused_by(Cause("request-4712", organisation_id=12)):
        assert ids_in(line()) == {"request_id": "request-4712", "organisation_id": 12}
    assert ids_in(line()) == {"request_id": "request-4711", "person_id": 7, "token_id": 3}

    begin_request()
    assert ids_in(line()) == {"request_id": ""}
