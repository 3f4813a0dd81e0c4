"""A kept connection that has ended is replaced before the first statement of a request. No statement is repeated."""

from __future__ import annotations

import copy
import pickle
import uuid
from collections.abc import Callable
from select import select
from typing import Any

import pytest
from django.db import OperationalError, close_old_connections, connection, transaction

from por.db.base import DatabaseWrapper
from por.db.prepared import Param, PreparedQuery
from por.directory.models import Partner
from tests.por.db.test_outages import as_owner_elsewhere
from tests.product import TIMEOUT

pytestmark = pytest.mark.django_db(transaction=True)

BY_NUMBER = PreparedQuery(lambda: Partner.objects.filter(mpn_id=Param("mpn_id")))


@pytest.mark.parametrize("one", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid4()], ids=["0", "most", "any"])
def test_an_id_that_is_read_is_like_one_that_is_made(one):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::uuid, NULL::uuid, ARRAY[%s::uuid, NULL]", [one, one])
        read, none, several = cursor.fetchone()
    assert (read, none, several) == (one, None, [one, None])
    assert (type(read), hash(read), str(read), repr(read)) == (uuid.UUID, hash(one), str(one), repr(one))
    assert (read.version, read.is_safe) == (one.version, one.is_safe)
    assert pickle.loads(pickle.dumps(read)) == copy.deepcopy(read) == one


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end(pid: int) -> None:
    """End a connection from the server's side, and wait until it has ended."""
    with as_owner_elsewhere() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def in_a_transaction() -> None:
    with transaction.atomic():
        Partner.objects.count()


FIRST: dict[str, Callable[[], Any]] = {
    "a read": lambda: Partner.objects.count(),
    "a prepared query": lambda: BY_NUMBER.all(mpn_id="1"),
    "a write": lambda: Partner.objects.filter(mpn_id="1").update(status=Partner.Status.CLOSED),
    "a transaction": in_a_transaction,
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_a_connection_that_has_ended_between_requests_is_replaced(first):
    before, session = backend(), connection.connection
    end(before)
    close_old_connections()  # as Django does when a request or a task begins

    first()

    assert connection.connection is not session
    assert backend() != before


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_control_without_a_look_at_the_connection_the_first_statement_fails(first, monkeypatch):
    monkeypatch.setattr(DatabaseWrapper, "is_usable", lambda _self: True)
    end(backend())
    close_old_connections()

    with pytest.raises(OperationalError):
        first()

    connection.close()


def test_the_look_asks_the_server_nothing():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid() AS asked_last")
        (pid,) = cursor.fetchone()
    close_old_connections()
    with connection.cursor(), as_owner_elsewhere() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
        assert cursor.fetchone() == ("SELECT pg_backend_pid() AS asked_last",)
    assert connection.health_check_done


def test_a_connection_with_something_to_read_is_kept():
    with connection.cursor() as cursor:
        cursor.execute("LISTEN something")
    before = backend()
    with as_owner_elsewhere() as cursor:
        cursor.execute("NOTIFY something")
    assert select([connection.connection], [], [], TIMEOUT)[0], "it has come"
    close_old_connections()

    assert backend() == before
    assert connection.connection.notifies, "it was read"
    connection.close()


def test_after_an_error_the_server_is_asked():
    before = backend()
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert connection.errors_occurred

    close_old_connections()

    assert backend() != before


def test_a_statement_whose_connection_ends_is_not_repeated():
    """The server may have done it: a number that was taken is taken, whatever the caller heard."""
    number = "nextval(pg_get_serial_sequence('notifications_delivery', 'id'))"

    def take() -> int:
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {number}")
            return int(cursor.fetchone()[0])

    before = take()
    close_old_connections()
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute(f"SELECT {number}, pg_terminate_backend(pg_backend_pid())")
    assert take() == before + 2
