"""The product as `make run` starts it, in a directory that is thrown away, and what each part of it uses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests import product
from tests.product import PARTS, ROOT, TIMEOUT, connected, environment, free_port

TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds


class Product(product.Product):
    """A running product, its commands, and the processor time and memory of its parts."""

    def manage(self, *arguments: str, **more: str) -> str:
        """Return what the command prints; its progress goes to the terminal."""
        command = [sys.executable, "manage.py", *arguments]
        given = environment(self.var, self.port) | more
        return subprocess.run(command, env=given, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout

    def cpu(self) -> Counter[str]:
        """Return the milliseconds of processor time that each part has used so far."""
        return Counter({part: sum(map(cpu_of, pids)) for part, pids in self.processes().items()})

    def memory(self) -> dict[str, tuple[float, float]]:
        """Return the megabytes of each part: RSS, and PSS, which counts once what processes share."""
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
        """Return the processes of each part."""
        return {part: [self.pid(part), *self.children(part)] for part in PARTS}

    def forget_what_waits(self) -> None:
        """Drop the notifications of the last measurement, or the worker would send them during the next one.

        The floor alone leaves ten thousand events: minutes of mail.
        """
        for _ in range(2):  # an event that was being handled the first time has become mail by the second
            with connected(self.addresses["DATABASE_URL"]) as cursor:
                cursor.execute("UPDATE history_outbox SET done_at = now() WHERE done_at IS NULL AND dead_at IS NULL")
                cursor.execute("UPDATE notifications_delivery SET status = 'dead' WHERE status = 'waiting'")
            time.sleep(3)


@contextlib.contextmanager
def running() -> Iterator[Product]:
    """Yield a product that is ready; end it and delete its data after."""
    with tempfile.TemporaryDirectory(prefix="por-bench-") as directory:
        var, port = Path(directory), free_port()
        with product.running(var, port, "--with-parent") as run:
            try:
                yield Product(run, var, port)
            finally:
                run.terminate()
                run.wait(TIMEOUT)


def cpu_of(pid: int) -> float:
    """Return the milliseconds that a process and its children that have ended have used."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * TICK
    return 0.0
