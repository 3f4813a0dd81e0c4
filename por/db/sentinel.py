"""Connections of the cache to the server that sentinels call the master, whichever it is at the moment."""

from __future__ import annotations

from typing import Any, Self

from redis.sentinel import Sentinel, SentinelConnectionPool

from por.brokers import sentinels


class MasterPool(SentinelConnectionPool):
    """A pool for Django's cache. A new connection asks the sentinels; one that finds no master any more is closed."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        asked = sentinels(url)
        patience = {name: value for name, value in options.items() if name.startswith("socket_")}
        manager = Sentinel(asked.hosts, sentinel_kwargs=patience)  # type: ignore[no-untyped-call]
        login = {"username": asked.username, "password": asked.password}
        return cls(asked.master, manager, db=asked.database, **login, **options)
