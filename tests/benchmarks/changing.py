"""Changes: as fast as clients send them, and as fast as the product can go on with every mail delivered.

A burst is measured twice: until the last answer, and then until the last mail has arrived, because a change causes work
after its answer. Nothing that waits is dropped. The sustained rate counts a change when its mails have arrived.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks import clients, floor
from tests.benchmarks.product import WAITING, Product
from tests.benchmarks.rows import Measured, say
from tests.product import connected

CLIENTS = 8
#: The clients of the sustained run pause while more than this wait, an event as three messages, until half are gone.
BACKLOG = 300
BURSTS = [
    *("What", "Changes a second", "Of pgbench", "p50 ms", "p95 ms", "p99 ms", "CPU ms a change: web"),
    *("PostgreSQL", "Of pgbench's", "worker", "beat", "valkey", "Client", "Answers"),
]
SUSTAINED = [
    *("Sustained", "Changes a second", "Mails a second", "CPU ms a change: all", "web", "PostgreSQL", "worker"),
    *("beat and supervisor", "valkey", "SMTP server", "Client", "p50 ms", "p95 ms", "p99 ms"),
    *("Seconds", "of these after the last answer", "Clients paused", "Changes", "Mails"),
]


def bursts(product: Product, stage: dict[str, Any], seconds: int) -> list[list[str]]:
    """Return rows for changes at many subscriptions and at one: until the answer, the work after it, and the floor."""
    places, scripts = _places(stage), [place["script"] for place in stage["places"]]
    rows = []
    for title, kind, count in (
        (f"Attach and remove, spread over {len(places)}", "spread", len(places)),
        ("Attach and remove, one subscription", "hot", 1),
    ):
        product.drain()
        say(f"{title} …")
        answered, drained = _burst(product, {"kind": kind, "places": places[:count]}, seconds)
        lower = _by_pgbench(product, scripts[:count], seconds)
        rows += [
            _cells(f"{title}: until the answer", answered, lower),
            _cells(f"the work after the answers, {drained.figures['seconds']:.1f} s", drained, lower),
            _cells("the same SQL by pgbench", lower, lower),
        ]
    return rows


def sustained(product: Product, stage: dict[str, Any], seconds: int) -> list[list[str]]:
    """Return a row for changes with every mail delivered. The clock stops when the last mail has arrived."""
    product.drain()
    say(f"Attach and remove for {seconds} s, with every mail delivered …")
    arrived = len(product.sink.arrivals())
    places = _places(stage)
    plan = {"kind": "spread", "places": places, "port": product.port, "clients": CLIENTS, "seconds": seconds}
    before, began = product.cpu(), time.monotonic()
    with _pacing(product) as (held, pauses):
        figures = clients.run(plan | {"held": str(held)})
    answered = time.monotonic()
    took = product.drain() - began
    used = product.cpu_since(before)
    mails = len(product.sink.arrivals()) - arrived
    found = Measured(figures | {"seconds": took}, used)
    both = found.each("beat") + found.each("supervisor")
    parts = [*(found.each(part) for part in ("web", "postgresql", "worker")), both, found.each("valkey")]
    cpu = [sum(parts), *parts, found.each("smtp"), figures["cpu"] / found.changes]
    return [
        [
            f"Attach and remove, spread over {len(places)}",
            *(f"{found.rate:.1f}", f"{mails / took:.1f}"),
            *(f"{one:.1f}" for one in cpu),
            *found.percentiles(),
            *(f"{took:.0f}", f"{took - (answered - began):.1f}", f"{sum(pauses) / seconds:.0%}"),
            *(f"{found.changes:,}", f"{mails:,}"),
        ]
    ]


@contextmanager
def _pacing(product: Product) -> Iterator[tuple[Path, list[float]]]:
    """Yield a file that exists while the clients should pause, and the seconds of each pause."""
    held, over, pauses = product.var / "held", threading.Event(), list[float]()

    def watch() -> None:
        since = 0.0
        with connected(product.addresses["DATABASE_URL"]) as cursor:
            while not over.wait(0.2):
                cursor.execute(WAITING)
                events, messages = cursor.fetchall()[0]
                waiting = 3 * events + messages
                if not since and waiting > BACKLOG:
                    held.touch()
                    since = time.monotonic()
                elif since and waiting < BACKLOG / 2:
                    held.unlink()
                    pauses.append(time.monotonic() - since)
                    since = 0.0
        if since:
            pauses.append(time.monotonic() - since)
        held.unlink(missing_ok=True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield held, pauses
    finally:
        over.set()
        watcher.join()


def _burst(product: Product, plan: dict[str, Any], seconds: int) -> tuple[Measured, Measured]:
    """Return the figures until the last answer, and those from then until the last mail, both for each change."""
    before = product.cpu()
    figures = clients.run(plan | {"port": product.port, "clients": CLIENTS, "seconds": seconds})
    until_answered, between, ended = product.cpu_since(before), product.cpu(), time.monotonic()
    rest = max(0.0, product.drain() - ended)
    late = figures | {"seconds": rest, "cpu": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0}
    return Measured(figures, until_answered), Measured(late, product.cpu_since(between))


def _by_pgbench(product: Product, scripts: list[str], seconds: int) -> Measured:
    """Return the figures of the same SQL alone. The worker rests, and the events it leaves are no one's."""
    say("the same SQL by pgbench …")
    url = product.addresses["DATABASE_URL"]
    with product.without_worker():
        before = product.cpu()
        figures = floor.run(scripts, url, clients=CLIENTS, seconds=seconds)
        used = product.cpu_since(before)
        product.forget_the_events()
    return Measured(figures, used)


def _cells(title: str, found: Measured, lower: Measured) -> list[str]:
    late = not found.figures["p50"]
    return [
        title,
        *(("", "") if late else (f"{found.rate:,.0f}", f"{found.rate / lower.rate:.2f}")),
        *(["", "", ""] if late else found.percentiles()),
        *(f"{found.each('web'):.1f}", f"{found.each('postgresql'):.1f}"),
        f"{found.each('postgresql') / lower.each('postgresql'):.1f}",
        *(f"{found.each(part):.1f}" for part in ("worker", "beat", "valkey")),
        f"{found.figures['cpu'] / max(1, found.changes):.1f}",
        "" if late else found.counted(),
    ]


def _places(stage: dict[str, Any]) -> list[dict[str, str]]:
    return [{name: place[name] for name in ("token", "path", "mpn_id")} for place in stage["places"]]
