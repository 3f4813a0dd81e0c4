"""PostgreSQL and Valkey for the tests, real and thrown away afterwards, unless the environment names others.

A pytest plugin (`-p tests.servers`): the servers must be there before Django reads its settings. Processes of
pytest-xdist find the addresses in their environment and share them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from por.embedded import servers
from por.embedded.home import Home
from por.embedded.processes import Processes

SETTINGS = {
    "SECRET_KEY": "only for tests, where nothing is secret",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "SITE_URL": "http://testserver",
    "EMAIL_URL": "memorymail://",
    # The browser's driver keeps an event loop in the thread of the tests; Django would take them for asynchronous.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Around pytest-django's own hook, which reads the settings."""
    os.environ.update(SETTINGS)
    static = tempfile.TemporaryDirectory(prefix="por-test-static-")  # nothing is collected, but it must be there
    early_config.add_cleanup(static.cleanup)
    os.environ["STATIC_ROOT"] = static.name
    for name in ("DEBUG", "DEMO"):
        os.environ.pop(name, None)
    if not ("DATABASE_URL" in os.environ and "REDIS_URL" in os.environ):
        stack = contextlib.ExitStack()
        early_config.add_cleanup(stack.close)
        os.environ.update(stack.enter_context(_throwaway_servers()))
    yield


@contextlib.contextmanager
def _throwaway_servers() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="por-test-") as directory:
        home = Home(Path(directory))
        home.make()
        with servers.started(home, Processes(home.logs, {}), throwaway=True) as addresses:
            yield addresses
