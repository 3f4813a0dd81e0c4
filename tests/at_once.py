"""Callers that run together, each in a thread with its own connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from por.errors import Refused
from tests.product import wait_until


def at_once(*calls: Callable[[], Any]) -> list[str]:
    """Return the outcome of each call, sorted: `done`, or the code of its refusal."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> str:
        start.wait()
        try:
            call()
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(run, calls))


def together(check: Callable[..., Any]) -> Callable[..., Any]:
    """Return the check, after which one of two rivals waits until the other has passed it too, or waits for a lock."""
    passed: list[Any] = []

    def checked(*args: Any, **kwargs: Any) -> Any:
        answer = check(*args, **kwargs)
        passed.append(answer)
        wait_until(lambda: len(passed) > 1 or _keeps_another_waiting())
        return answer

    return checked


def _keeps_another_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        (found,) = cursor.fetchone()
    return bool(found)
