"""The product as `make run` starts it, in a directory that is thrown away, and what each part of it uses."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import product
from tests.benchmarks.processor import cpu_of, memory_of
from tests.benchmarks.sink import Sink
from tests.product import ROOT, TIMEOUT, connected, environment, free_port

#: The parts whose work is the product's. The mail server is measured apart: it is the same for the floor.
PARTS = ("web", "worker", "beat", "supervisor", "postgresql", "valkey")
WAITING = """SELECT (SELECT count(*) FROM history_outbox WHERE done_at IS NULL AND dead_at IS NULL),
    (SELECT count(*) FROM notifications_delivery WHERE status = 'waiting')"""
STUCK = 600  # seconds after which a queue that does not get shorter has failed
#: The product looks once a minute for what has become due, such as notices about renewals.
MINUTE = 62


class Product(product.Product):
    """A running product and its mail server, its commands, and the processor time and memory of its parts."""

    sink: Sink

    def manage(self, *arguments: str, **more: str) -> str:
        """Return what the command prints; its progress goes to the terminal."""
        command = [sys.executable, "manage.py", *arguments]
        given = environment(self.var, self.port) | more
        return subprocess.run(command, env=given, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout

    # --- What its parts use

    def cpu(self) -> dict[str, float]:
        """Return the milliseconds of processor time that each part has used so far, and the mail server."""
        used = {part: sum(map(cpu_of, pids)) for part, pids in self.processes().items()}
        return used | {"smtp": self.sink.cpu()}

    def cpu_since(self, before: dict[str, float]) -> dict[str, float]:
        """Return the milliseconds that each part has used since then."""
        return {part: used - before[part] for part, used in self.cpu().items()}

    def memory(self) -> dict[str, tuple[float, float]]:
        """Return the megabytes of each part: RSS, and PSS, which counts once what processes share."""
        held: dict[str, tuple[float, float]] = {}
        for part, pids in self.processes().items():
            sizes = [memory_of(pid) for pid in pids]
            held[part] = sum(rss for rss, _pss in sizes), sum(pss for _rss, pss in sizes)
        return held

    def processes(self) -> dict[str, list[int]]:
        """Return the processes of each part."""
        parts = {part: [self.pid(part), *self.children(part)] for part in PARTS if part != "supervisor"}
        return parts | {"supervisor": [self.run.pid]}

    # --- What waits

    def waiting(self) -> tuple[int, int]:
        """Return how many events wait for the relay, and how many messages wait to be sent."""
        with connected(self.addresses["DATABASE_URL"]) as cursor:
            cursor.execute(WAITING)
            events, messages = cursor.fetchall()[0]
        return events, messages

    def drain(self) -> float:
        """Wait until the last message has arrived at the mail server; return when that was."""
        left, deadline = self.waiting(), time.monotonic() + STUCK
        while any(left):
            time.sleep(0.25)
            if (now := self.waiting()) != left:
                left, deadline = now, time.monotonic() + STUCK
            assert time.monotonic() < deadline, f"events and messages that still wait: {left}"
        return self.sink.last_arrival()

    def settle(self) -> None:
        """Wait until what became due by an import has been looked for and sent, so that it is in no measurement."""
        time.sleep(MINUTE)
        self.drain()

    @contextlib.contextmanager
    def without_worker(self) -> Iterator[None]:
        """Hold the worker still during the block, once it has nothing to do."""
        self.drain()
        time.sleep(1)
        self.signal("worker", signal.SIGSTOP, with_children=True)
        try:
            yield
        finally:
            self.signal("worker", signal.SIGCONT, with_children=True)

    def forget_the_events(self) -> None:
        """Mark all events as done. This is only for those that a floor has left, which no one made by the product."""
        with connected(self.addresses["DATABASE_WORKER_URL"]) as cursor:
            cursor.execute("UPDATE history_outbox SET done_at = now() WHERE done_at IS NULL AND dead_at IS NULL")


@contextlib.contextmanager
def running() -> Iterator[Product]:
    """Yield a product that is ready, with a mail server in a process of its own; end both and delete their data."""
    with tempfile.TemporaryDirectory(prefix="por-bench-") as directory:
        var, port = Path(directory) / "var", free_port()
        with (
            Sink(Path(directory) / "mail").running() as sink,
            product.running(var, port, "--with-parent", EMAIL_URL=sink.url) as run,
        ):
            try:
                one = Product(run, var, port)
                one.sink = sink
                yield one
            finally:
                run.terminate()
                run.wait(TIMEOUT)
