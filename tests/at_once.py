"""Callers that run together, each in a thread with its own connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from django.db import connection

from por.errors import Refused


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


def together(check: Callable[..., Any], *, rivals: int = 2, wait: float = 3) -> Callable[..., Any]:
    """Return the check, after which each rival waits until the others have passed it too, or for `wait` seconds."""
    passed = threading.Barrier(rivals)

    def checked(*args: Any, **kwargs: Any) -> Any:
        answer = check(*args, **kwargs)
        with suppress(threading.BrokenBarrierError):
            passed.wait(wait)
        return answer

    return checked
