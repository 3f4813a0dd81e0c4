"""Mail: messages that wait, sent by the worker; and the same messages to the same server by a loop of smtplib."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from smtplib import SMTP
from typing import Any

from tests.benchmarks import clients
from tests.benchmarks.product import Product
from tests.benchmarks.rows import say
from tests.benchmarks.sink import Sink
from tests.product import ROOT, wait_until

HEAD = [
    *("Mail", "Messages", "A second", "Of bare SMTP", "CPU ms each: all of the product", "worker", "PostgreSQL"),
    *("Sender of bare SMTP", "SMTP server", "× the CPU of bare SMTP"),
]


def measure(product: Product, places: list[dict[str, str]], count: int) -> list[list[str]]:
    """Return a row for the worker, which has two processes, and a row for bare SMTP."""
    product.drain()
    say(f"{count:,} messages …")
    product.sink.close()  # while it is away, messages wait and no try is counted
    plan = {"kind": "spread", "places": places, "port": product.port, "clients": 8, "seconds": 5}
    while 2 * product.waiting()[0] + product.waiting()[1] < count:
        clients.run(plan)
    wait_until(lambda: product.waiting()[0] == 0)
    waiting = product.waiting()[1]
    before, arrived = product.cpu(), len(product.sink.arrivals())
    product.sink.open()
    product.drain()
    used = product.cpu_since(before)
    arrivals = product.sink.arrivals()[arrived:]
    assert len(arrivals) >= waiting, f"{len(arrivals)} of {waiting} messages have arrived"
    rate = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])  # from the first: until it begins, only the clock runs
    each = {part: milliseconds / len(arrivals) for part, milliseconds in used.items()}
    every = sum(milliseconds for part, milliseconds in each.items() if part != "smtp")
    plain = by_smtplib(product.sink, len(arrivals))
    return [
        [
            *("Waiting messages, two worker processes", f"{len(arrivals):,}", f"{rate:.0f}"),
            *(f"{rate / plain['rate']:.2f}", f"{every:.1f}", f"{each['worker']:.1f}", f"{each['postgresql']:.1f}", ""),
            *(f"{each['smtp']:.1f}", f"{every / plain['sender']:.1f}"),
        ],
        [
            *("The same messages by a loop of smtplib, one connection", f"{len(arrivals):,}", f"{plain['rate']:.0f}"),
            *("1.00", "", "", "", f"{plain['sender']:.1f}", f"{plain['smtp']:.1f}", "1.0"),
        ],
    ]


def by_smtplib(sink: Sink, count: int) -> dict[str, float]:
    """Send the messages that the server has kept, by a process of its own; return the rate and the CPU for each."""
    before = sink.cpu()
    command = [sys.executable, "-m", "tests.benchmarks.mailing", str(sink.port), str(sink.directory), str(count)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures | {"smtp": (sink.cpu() - before) / count}


def main() -> None:
    """Send the messages that the mail server has kept, in turn."""
    port, directory, count = sys.argv[1:]
    messages = [file.read_bytes() for file in sorted(Path(directory).glob("*.eml"))]
    began, before = time.perf_counter(), time.process_time()
    with SMTP("127.0.0.1", int(port)) as server:
        for number in range(int(count)):
            server.sendmail("no-reply@sender.example", ["someone@recipient.example"], messages[number % len(messages)])
    seconds, cpu = time.perf_counter() - began, time.process_time() - before
    figures: dict[str, Any] = {"rate": int(count) / seconds, "sender": cpu * 1000 / int(count)}
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
