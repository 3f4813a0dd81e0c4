"""PgBouncer before the database of the tests, with `pool_mode = transaction`. It is a package of Debian."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from por.embedded.postgres import _hand_over, _unprivileged
from por.embedded.processes import Processes

PGBOUNCER = Path("/usr/sbin/pgbouncer")
#: Each transaction gets another connection of the server than the one before it, so that nothing of a session lasts.
CONFIGURATION = """
[databases]
* = host={host}
[pgbouncer]
pool_mode = transaction
server_round_robin = 1
default_pool_size = 30
max_client_conn = 500
unix_socket_dir = {place}
listen_port = 5432
auth_type = trust
auth_file = {place}/users
"""


def start(processes: Processes, place: Path, url: str) -> str:
    """Start it before the database of this address; return the address through it."""
    parts = urlsplit(url)
    place.mkdir(mode=0o700)
    host = unquote(parts.netloc.rpartition("@")[2])
    (place / "users").write_text(f'"{parts.username}" ""\n')
    (place / "pgbouncer.ini").write_text(CONFIGURATION.format(host=host, place=place))
    unprivileged = _unprivileged()
    _hand_over(place, unprivileged)
    pooler = processes.start("pgbouncer", [PGBOUNCER, place / "pgbouncer.ini"], before_exec=unprivileged)
    processes.wait_for(pooler, lambda: (place / ".s.PGSQL.5432").exists())
    return f"postgres://{parts.username}@{quote(str(place), safe='')}{parts.path}"
