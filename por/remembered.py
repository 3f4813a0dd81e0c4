"""Figures that take long to add up, kept in this process for as long as nothing has happened that they show."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

Figures = TypeVar("Figures")

#: Changes whose transactions overlapped may be seen in another order than they were numbered: this long at most.
SECONDS = 60.0
MOST = 500

_kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
_lock = Lock()


def remembered(key: Hashable, add_up: Callable[[], Figures]) -> Figures:
    """What was added up for the key before, else now. The key has to change with whatever the figures show."""
    now = time.monotonic()
    with _lock:
        kept = _kept.get(key)
    if kept and now - kept[0] < SECONDS:
        figures: Figures = kept[1]
        return figures
    figures = add_up()
    with _lock:
        _kept[key] = now, figures
        _kept.move_to_end(key)
        if len(_kept) > MOST:
            _kept.popitem(last=False)
    return figures
