"""The cache that all processes share. While its server is away, each process goes on with a smaller one of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from por.db import outages

#: Seconds for which a process does not ask a server again that did not answer, because each question may take a second.
AWAY_FOR = 5
#: The most entries of a process's own cache. The ones that were used last stay.
MOST = 10_000

_away_until = 0.0


def _with_own(name: str) -> Callable[..., Any]:
    """Return the method of this name: on the server, or in the process's own cache while the server is away."""
    on_server, in_process = getattr(RedisCache, name), getattr(LocMemCache, name)

    @wraps(on_server)
    def method(self: Cache, *args: Any, **kwargs: Any) -> Any:
        global _away_until
        if time.monotonic() >= _away_until:
            try:
                return on_server(self, *args, **kwargs)
            except redis.RedisError as error:
                outages.note(error)
                _away_until = time.monotonic() + AWAY_FOR
        return in_process(self.own, *args, **kwargs)

    return method


class Cache(RedisCache):
    """The cache on the server, or the process's own."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self.own = LocMemCache("while the server is away", {"OPTIONS": {"MAX_ENTRIES": MOST}})


for _name in (
    "add",
    "get",
    "set",
    "touch",
    "delete",
    "get_many",
    "has_key",
    "incr",
    "set_many",
    "delete_many",
    "clear",
):
    setattr(Cache, _name, _with_own(_name))
