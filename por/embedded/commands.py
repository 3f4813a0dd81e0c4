"""The environment of `manage.py`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from . import servers
from .home import Home
from .processes import Processes


@contextlib.contextmanager
def surroundings() -> Iterator[dict[str, str]]:
    """Yield the environment to work in: what is set, else that of the current run, else servers for this command."""
    if os.environ.get("DATABASE_URL"):
        yield {}
        return
    home = Home.from_environment()
    published = home.published()
    if published is not None:
        yield published | os.environ
        return
    with home.held() as lock:
        processes = Processes(home.logs, home.settings(), inherit=[lock])
        with servers.started(home, processes) as addresses:
            processes.environment |= addresses
            home.publish(processes.environment)
            yield processes.environment
