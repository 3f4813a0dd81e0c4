"""The product as `make run` starts it, in a directory that is thrown away, and what each part of it uses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.product import connected

ROOT = Path(__file__).resolve().parents[2]
OWN = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "EMAIL_URL", "SECRET_KEY", "SITE_URL", "ALLOWED_HOSTS"}
#: What the command line of a part's first process contains.
PARTS = {
    "web": "gunicorn",
    "worker": "\0worker\0",
    "scheduler": "\0beat\0",
    "database": "bin/postgres",
    "broker": "valkey",
    "mail": "aiosmtpd",
}
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds


@dataclass
class Product:
    port: int
    var: Path
    environment: dict[str, str]
    supervisor: int

    def manage(self, *arguments: str, **environment: str) -> str:
        """What the command prints; its progress goes to the terminal."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(
            command, env=self.environment | environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def servers(self) -> dict[str, str]:
        """The environment that every process of the product has."""
        published: dict[str, str] = json.loads((self.var / "run" / "environment").read_text())
        return published

    def cpu(self) -> Counter[str]:
        """Milliseconds of processor time that each part has used so far."""
        return Counter({part: sum(map(cpu_of, pids)) for part, pids in self.processes().items()})

    def memory(self) -> dict[str, tuple[float, float]]:
        """Megabytes that each part holds: RSS, and PSS, in which what processes share counts once."""
        held: dict[str, tuple[float, float]] = {}
        for part, pids in self.processes().items():
            rss = pss = 0.0
            for pid in pids:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
                    sizes = {name: int(size.split()[0]) / 1024 for name, size in (line.split(":") for line in lines)}
                    rss, pss = rss + sizes["Rss"], pss + sizes["Pss"]
            held[part] = rss, pss
        return held

    def processes(self) -> dict[str, list[int]]:
        """The processes of each part."""
        found: dict[str, list[int]] = {}
        for pid in children(self.supervisor):
            with contextlib.suppress(FileNotFoundError):
                command = Path(f"/proc/{pid}/cmdline").read_text()
                for part, mark in PARTS.items():
                    if mark in command:
                        found[part] = [pid, *descendants(pid)]
        return found

    def forget_what_waits(self) -> None:
        """Whoever should still be told of what a measurement changed is not, or the worker would do so during the next.

        The floor alone leaves ten thousand events behind it: minutes of mail.
        """
        for _ in range(2):  # what was being told the first time has become mail by the second
            with connected(self.servers()["DATABASE_URL"]) as cursor:
                cursor.execute("UPDATE history_outbox SET done_at = now() WHERE done_at IS NULL AND dead_at IS NULL")
                cursor.execute("UPDATE notifications_delivery SET status = 'dead' WHERE status = 'waiting'")
            time.sleep(3)


@contextlib.contextmanager
def running() -> Iterator[Product]:
    var = Path(tempfile.mkdtemp(prefix="por-bench-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    environment |= {"VAR": str(var), "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "por.embedded", "--with-parent"],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "is ready" in line:
                break
        else:
            raise SystemExit("The product did not start:\n" + "".join(said))
        yield Product(port, var, environment, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
        shutil.rmtree(var, ignore_errors=True)


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in _words(task / "children")]
    return []


def descendants(pid: int) -> list[int]:
    return [one for child in children(pid) for one in (child, *descendants(child))]


def cpu_of(pid: int) -> float:
    """Its own time and that of its children that have ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * TICK
    return 0.0


def _words(file: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return file.read_text().split()
    return []
