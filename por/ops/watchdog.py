"""How long a request may take. A database that neither answers nor hangs up would hold its thread for ever.

The driver waits inside the system, where nothing but the end of the conversation reaches it. So a thread of its own
ends the conversation of whoever waits too long; the driver then finds the connection lost, which is a 503 like any
other loss, and the thread is free for others.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """A request that is being answered, and until when."""

    until: float


_connections: WeakValueDictionary[int, BaseDatabaseWrapper] = WeakValueDictionary()  # by thread
_waits: dict[int, Wait] = {}  # by thread
_guard: threading.Thread | None = None
_starting = threading.Lock()


@contextmanager
def bounded() -> Iterator[None]:
    """Gives what this thread does in here its time."""
    _start()
    thread = threading.get_ident()
    _waits[thread] = Wait(time.monotonic() + settings.REQUEST_SECONDS)
    try:
        yield
    finally:
        del _waits[thread]


@contextmanager
def unbounded() -> Iterator[None]:
    """For what takes as long as the caller's line does, such as an upload; the request's time begins anew after it."""
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
                _guard = threading.Thread(target=_watch, name="patience", daemon=True)
                _guard.start()


def _forget() -> None:
    """Threads stay behind in a fork: the child starts its own with its first request."""
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
                wait.until = now + settings.REQUEST_SECONDS  # it may try once more
                _hang_up(connection)


def _hang_up(connection: BaseDatabaseWrapper) -> None:
    """Whoever reads from it gets the end of it. Nothing happens to one that is closed already."""
    try:
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as conversation:
            conversation.shutdown(socket.SHUT_RDWR)
    except (AttributeError, OSError, psycopg2.Error):
        return
    logger.warning("A request waited %s s for the database; its connection is given up.", settings.REQUEST_SECONDS)
