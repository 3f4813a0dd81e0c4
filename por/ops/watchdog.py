"""The time limit of a request. A database that neither answers nor hangs up would hold its thread for ever.

The driver waits inside a system call, which only the end of the connection interrupts. So a thread of its own shuts
down the connection of a request that waits too long. The driver then finds the connection lost, which is a 503 like
any other loss, and the request's thread is free for others.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from math import inf
from typing import Any
from weakref import WeakValueDictionary

import psycopg2
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

logger = logging.getLogger(__name__)


@dataclass
class Wait:
    """A request that is being answered, the end of its time, and what its log lines name."""

    until: float
    context: Context = field(default_factory=copy_context)


_connections: WeakValueDictionary[int, BaseDatabaseWrapper] = WeakValueDictionary()  # by thread
_waits: dict[int, Wait] = {}  # by thread
_guard: threading.Thread | None = None
_starting = threading.Lock()


@contextmanager
def bounded() -> Iterator[None]:
    """Limit the time of what this thread does in the block."""
    _start()
    thread = threading.get_ident()
    _waits[thread] = Wait(time.monotonic() + settings.REQUEST_SECONDS)
    try:
        yield
    finally:
        del _waits[thread]


@contextmanager
def unbounded() -> Iterator[None]:
    """Lift the limit in the block, for what depends on the caller's connection, such as an upload; restart it after."""
    wait = _waits.get(threading.get_ident(), Wait(inf))
    wait.until = inf
    try:
        yield
    finally:
        wait.until = time.monotonic() + settings.REQUEST_SECONDS


def _remember(connection: BaseDatabaseWrapper, **_rest: Any) -> None:
    _connections[threading.get_ident()] = connection


connection_created.connect(_remember)


def _start() -> None:
    global _guard
    if _guard is None:
        with _starting:
            if _guard is None:
                _guard = threading.Thread(target=_watch, name="watchdog", daemon=True)
                _guard.start()


def _forget() -> None:
    """Forget the thread and what it watches. A fork copies no threads: the child starts its own when it needs it."""
    global _guard, _starting
    _guard, _starting = None, threading.Lock()
    _waits.clear()


os.register_at_fork(after_in_child=_forget)


def _watch() -> None:
    while True:
        time.sleep(1)
        now = time.monotonic()
        for thread, wait in list(_waits.items()):
            if now > wait.until and (connection := _connections.get(thread)) is not None:
                wait.until = now + settings.REQUEST_SECONDS  # the request may try once more
                wait.context.run(_hang_up, connection)


def _hang_up(connection: BaseDatabaseWrapper) -> None:
    """Shut down a connection, so that the driver finds it lost. Do nothing to one that is closed already."""
    try:
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as stream:
            stream.shutdown(socket.SHUT_RDWR)
    except (AttributeError, OSError, psycopg2.Error):
        return
    logger.warning("A request waited %s s for the database; its connection is given up.", settings.REQUEST_SECONDS)
