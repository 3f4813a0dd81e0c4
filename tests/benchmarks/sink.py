"""The mail server of a benchmark, in a process of its own. It writes down when each message arrived."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tests.benchmarks.processor import cpu_of
from tests.product import ROOT, free_port, wait_until

#: So many messages are kept, for the floor to send again.
KEPT = 100


class Sink:
    """The mail server as the benchmark sees it: it can be away for a while, and says what has arrived."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.url = f"smtp://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.used = 0.0
        directory.mkdir()
        (directory / "arrivals").touch()

    @contextlib.contextmanager
    def running(self) -> Iterator[Sink]:
        self.open()
        try:
            yield self
        finally:
            self.close()

    def open(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.sink", str(self.port), str(self.directory)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        wait_until(self._answers)

    def close(self) -> None:
        if self.process is not None:
            self.used = self.cpu()
            self.process.terminate()
            self.process.wait()
            self.process = None

    def cpu(self) -> float:
        """Return the milliseconds of processor time that it has used."""
        return self.used + (cpu_of(self.process.pid) if self.process else 0)

    def arrivals(self) -> list[float]:
        """Return the moments at which messages arrived, by the monotonic clock that all processes share."""
        return [float(line) for line in (self.directory / "arrivals").read_text().splitlines()]

    def last_arrival(self) -> float:
        return max(self.arrivals(), default=time.monotonic())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class Arrivals:
    """The handler of the server's process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = (directory / "arrivals").open("a", buffering=1)
        self.kept = len(list(directory.glob("*.eml")))

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.kept < KEPT:
            (self.directory / f"{self.kept:03}.eml").write_bytes(envelope.content)
            self.kept += 1
        self.file.write(f"{time.monotonic()}\n")
        return "250 OK"


def main() -> None:
    port, directory = sys.argv[1:]
    Controller(Arrivals(Path(directory)), hostname="127.0.0.1", port=int(port)).start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
