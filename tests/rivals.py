"""A rival that acts at an exact moment of a caller's verb, without sleeps and without patches of the product.

The moment is a statement on the caller's connection. The rival works in its own thread, so on its own connection.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from django.db import connection, transaction

Rival = Callable[[], Any]

#: The caller's lock on the subscription, which every verb takes first.
LOCK = re.compile(r"directory_subscription.* FOR NO KEY UPDATE(?: OF \S+)?", re.DOTALL)
#: The lock on the customer, which every verb of claims takes first.
CUSTOMER_LOCK = re.compile(r"directory_customer.* FOR NO KEY UPDATE(?: OF \S+)?", re.DOTALL)
_CLAUSE = re.compile(r" FOR (?:NO KEY UPDATE|SHARE)(?: OF \S+)?")
WRITE = re.compile(r"\s*(?:INSERT INTO|UPDATE) \"?(?:associations_association|directory_subscription|claims_claim)")
EVENT = re.compile(r"INSERT INTO history_event")
#: Seconds; longer than anything takes. The database itself gives up waiting for a lock sooner.
TIMEOUT = 20


class NeverWaited(AssertionError):
    """The caller has ended without waiting for the rival: they do not exclude each other."""


@contextmanager
def before_the_lock(rival: Rival, lock: re.Pattern[str] = LOCK) -> Iterator[None]:
    """Let the rival act and commit after what the caller has read so far, before it takes its lock."""
    with _at(lock, lambda: _elsewhere(rival).result(TIMEOUT)):
        yield


@contextmanager
def before_the_event(rival: Rival) -> Iterator[None]:
    """Let the rival act and commit before the caller's first event is inserted."""
    with _at(EVENT, lambda: _elsewhere(rival).result(TIMEOUT)):
        yield


@contextmanager
def before_the_write_without_a_lock(rival: Rival) -> Iterator[None]:
    """Let the rival act between the caller's checks and its first write; the caller's locks are taken away."""
    with connection.execute_wrapper(unlocked), _at(WRITE, lambda: _elsewhere(rival).result(TIMEOUT)):
        yield


@contextmanager
def holding_the_lock(rival: Rival, lock: re.Pattern[str] = LOCK) -> Iterator[None]:
    """Let the rival act before the caller's lock, and commit when the caller waits. Raise NeverWaited."""
    acted = threading.Event()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (caller,) = cursor.fetchone()
    done: list[Future[None]] = []
    over = threading.Event()

    def act_and_wait() -> None:
        try:
            with transaction.atomic():
                rival()
                acted.set()
                _until_waiting(caller, over)
        finally:
            acted.set()

    def meet() -> None:
        done.append(_elsewhere(act_and_wait))
        assert acted.wait(TIMEOUT)

    try:
        with _at(lock, meet):
            yield
    finally:
        over.set()
        for one in done:
            one.result(TIMEOUT)


def _until_waiting(caller: int, over: threading.Event) -> None:
    """Return when the caller waits for this session. Raise NeverWaited."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid() = ANY(pg_blocking_pids(%s))", [caller])
            if cursor.fetchone()[0]:
                return
        if over.is_set():
            break
    raise NeverWaited


@contextmanager
def _at(moment: re.Pattern[str], act: Callable[[], Any]) -> Iterator[None]:
    """Act before the first statement of the caller that matches; fail if there was none."""
    acted = False

    def watch(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        nonlocal acted
        if not acted and moment.search(str(sql)):
            acted = True
            act()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield
    assert acted, "the caller never reached the moment of its rival"


def unlocked(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Run a statement without its row locks; for `execute_wrapper`."""
    return execute(_CLAUSE.sub("", str(sql)), params, many, context)


def end_lock(work: str, number: int = 0) -> None:
    """End the session that has the lock of this work, and wait until it has ended."""
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database AS here ON here.oid = database"
            " WHERE locktype = 'advisory' AND classid = hashtext(%s)::oid AND objid = %s::oid"
            " AND datname = current_database()",
            [work, number],
        )


def _elsewhere(work: Rival) -> Future[None]:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    threads = ThreadPoolExecutor(1)
    future = threads.submit(run)
    threads.shutdown(wait=False)
    return future
