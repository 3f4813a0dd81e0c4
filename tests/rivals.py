"""Somebody else acts at an exact moment of a caller's verb: no sleeps, and nothing of the product is patched.

The moment is a statement on the caller's connection; the rival works in a thread, and so on a connection, of its own.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

Rival = Callable[[], Any]

#: The caller's lock on the subscription, as every verb takes it first.
LOCK = re.compile(r"directory_subscription.* FOR NO KEY UPDATE(?: OF \S+)?", re.DOTALL)
_CLAUSE = re.compile(r" FOR (?:NO KEY UPDATE|SHARE)(?: OF \S+)?")
WRITE = re.compile(r"\s*(?:INSERT INTO|UPDATE) \"?(?:associations_association|directory_subscription)")
#: After so many seconds something is certainly wrong; the database itself gives a lock up sooner.
PATIENCE = 20


class NeverWaited(AssertionError):
    """The caller got through without waiting for the rival: they do not meet anywhere."""


@contextmanager
def before_the_lock(rival: Rival) -> Iterator[None]:
    """The rival acts and commits between what the caller has read so far and its lock."""
    with _at(LOCK, lambda: _elsewhere(rival).result(PATIENCE)):
        yield


@contextmanager
def before_the_write_without_a_lock(rival: Rival) -> Iterator[None]:
    """The same between the caller's checks and its first write, which only a caller without locks lets happen."""
    with connection.execute_wrapper(unlocked), _at(WRITE, lambda: _elsewhere(rival).result(PATIENCE)):
        yield


@contextmanager
def holding_the_lock(rival: Rival) -> Iterator[None]:
    """The rival has acted but not committed when the caller comes for its lock, and commits once the caller waits."""
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
        assert acted.wait(PATIENCE)

    try:
        with _at(LOCK, meet):
            yield
    finally:
        over.set()
        for one in done:
            one.result(PATIENCE)


def _until_waiting(caller: int, over: threading.Event) -> None:
    """Returns once the caller waits for this very session."""
    end = time.monotonic() + PATIENCE
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
    """Acts before the first statement of the caller that matches; fails if there was none."""
    acted = False

    def watch(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        nonlocal acted
        if not acted and moment.search(str(sql)):
            acted = True
            act()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield
    assert acted, "the caller never came to the moment its rival waited for"


def unlocked(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """For `execute_wrapper`: no statement takes a lock on a row before it writes it."""
    return execute(_CLAUSE.sub("", str(sql)), params, many, context)


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
