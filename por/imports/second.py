"""The second connection of an import, in a thread of its own. PostgreSQL works on each connection with one core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

from django.db import connection
from django.utils import translation

R = TypeVar("R")

QUEUED = 2  # steps for the second connection: the one that it does, and the one that follows without a pause


class Stopped(Exception):
    """The import has ended while the second connection was still at work."""


class Second:
    """Work on the second connection: long pieces, one after another, and then steps that may be done in any order."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._long: list[Future[Any]] = []
        self._steps: list[Future[Any]] = []
        self._is_stopped = False

    def start(self, work: Callable[[], R]) -> Future[R]:
        """Begin a long piece of work after those before it. It calls `check_stopped` now and then."""
        future = self._submit(work)
        self._long.append(future)
        return future

    def check_stopped(self) -> None:
        """Raise Stopped if nobody waits for the work any more."""
        if self._is_stopped:
            raise Stopped

    def do(self, steps: Iterable[Callable[[], None]]) -> None:
        """Do steps, each a transaction of its own, on both connections, in any order.

        While long work is left, all of them are done on the first connection.
        """
        for step in steps:
            if self._is_free():
                self._steps.append(self._submit(step))
            else:
                step()
        for one in self._steps:
            one.result()
        self._steps = []

    def stop(self) -> None:
        """Wait for the step that is being done, give up all others, and close the connection."""
        self._is_stopped = True
        for one in self._long + self._steps:
            one.cancel()
        self._pool.submit(_close)

    def _is_free(self) -> bool:
        self._long = [one for one in self._long if not one.done()]
        return not self._long and sum(not one.done() for one in self._steps) < QUEUED

    def _submit(self, work: Callable[[], R]) -> Future[R]:
        """Let the thread do this in the language of this thread, and for the same request."""
        return self._pool.submit(copy_context().run, _in_language, translation.get_language(), work)


def _in_language(language: str, work: Callable[[], R]) -> R:
    with translation.override(language):
        return work()


def _close() -> None:
    """Close the connection of this thread."""
    connection.close()


@contextmanager
def second_connection() -> Iterator[Second | None]:
    """Yield a second connection. Yield None within a transaction, as of a dry run: no other connection sees into it."""
    if connection.in_atomic_block:
        yield None
        return
    with ThreadPoolExecutor(1, "second connection") as pool:
        second = Second(pool)
        try:
            yield second
        finally:
            second.stop()
