"""The directory in which a run keeps its data, and the locks that let one run at a time use it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .processes import Trouble, pause

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un holds 108 with the closing zero


class Home:
    """`var/`: data, logs, secrets, sockets. `VAR` names another directory, so that several runs are possible."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "log"
        self.run = path / "run"
        self.files = path / "files"
        self._environment = self.run / "environment"

    @classmethod
    def from_environment(cls) -> Home:
        return cls(ROOT / os.environ.get("VAR", "var"))

    def make(self) -> None:
        for directory in (self.path, self.logs, self.run, self.files):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_uid != os.geteuid():
                raise Trouble(
                    f"{directory} belongs to another user: run it as that user, or set VAR to a directory of your own."
                )

    @contextlib.contextmanager
    def held(self) -> Iterator[int]:
        """Lock the directory for one run; yield the file descriptor that every server inherits. Raise Trouble.

        There are two locks. The first belongs to the supervisor alone and is released the moment it dies. Its servers
        hold the second too, so a run that starts after a `kill -9` waits until the last of them has ended.
        """
        self.make()
        with _locked(self.run / "supervisor.lock") as supervisor, _opened(self.run / "servers.lock") as servers:
            if supervisor is None:
                raise Trouble(
                    f"{self.path} is in use by another `make run` or `manage.py`:"
                    " stop that one first, or set VAR to another directory."
                )
            for _ in range(400):
                if _lock(servers):
                    break
                pause()
            else:
                raise Trouble(
                    f"Servers of an earlier run still use {self.path}:"
                    f" end the processes that `fuser {self.run}/servers.lock` lists, then start again."
                )
            self._environment.unlink(missing_ok=True)
            try:
                yield servers
            finally:
                self._environment.unlink(missing_ok=True)

    @contextlib.contextmanager
    def sockets(self) -> Iterator[Path]:
        """Yield a directory that only its owner can enter, with a path short enough for a socket."""
        longest = self.run / "postgresql" / ".s.PGSQL.5432"
        if len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH:
            yield self.run
        else:
            with tempfile.TemporaryDirectory(prefix="por-") as directory:
                yield Path(directory)

    def publish(self, environment: dict[str, str]) -> None:
        """Write down where the servers are, for every `manage.py` of this checkout."""
        _write_private(self._environment, json.dumps(environment))

    def published(self) -> dict[str, str] | None:
        """Return the environment of the current run; None if there is none. Raise Trouble."""
        self.make()
        for _ in range(600):
            with _locked(self.run / "supervisor.lock") as lock:
                if lock is not None:
                    return None
            with contextlib.suppress(FileNotFoundError):
                environment: dict[str, str] = json.loads(self._environment.read_text())
                return environment
            time.sleep(0.05)  # the run is starting
        raise Trouble(f"The run that uses {self.path} does not get ready: see {self.logs}.")

    def settings(self, host: str = "127.0.0.1", port: int = 8000) -> dict[str, str]:
        """Return the settings of the product other than its servers. The environment overrides each."""
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
        names = {"localhost", "127.0.0.1", "[::1]", name, os.environ.get("HOST") or name, socket.gethostname()}
        defaults = {
            "SECRET_KEY": self._secret("secret_key", 50),
            "DEMO_PASSWORD": self._secret("demo_password", 12),
            "METRICS_TOKEN": self._secret("metrics_token", 32),
            "ALLOWED_HOSTS": ",".join(sorted(names)),
            "SITE_URL": f"http://{name}:{port}",
            "STATIC_ROOT": str(self.path / "static"),
            "FILES_ROOT": str(self.files),
            "DEMO": "1",
        }
        return {key: os.environ.get(key) or value for key, value in defaults.items()}

    def _secret(self, name: str, length: int) -> str:
        """Return a random text, made once and kept in a file that only its owner can read."""
        file = self.path / name
        with contextlib.suppress(FileNotFoundError):
            if kept := file.read_text().strip():
                return kept
        _write_private(file, secrets.token_urlsafe(length))
        return file.read_text()


def _write_private(file: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(text)
    draft.replace(file)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[int | None]:
    with _opened(file) as descriptor:
        yield descriptor if _lock(descriptor) else None
