"""Lists by the API and pages, each beside a bare Django view of 50 rows on the same web server in the same run."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from tests.benchmarks import bare, clients
from tests.benchmarks.clients import percentiles
from tests.benchmarks.product import Product
from tests.benchmarks.rows import Measured, say

READERS, WARM_UP = 4, 2
ROUNDS = 10  # of the cold dashboard
HEAD = [
    *("What", "Answers a second", "Of the bare view", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU ms each: web", "PostgreSQL", "Web CPU, × the bare view", "Client", "Answers"),
]


def measure(
    product: Product,
    reads: list[dict[str, Any]],
    cold: dict[str, Any] | None,
    seconds: int,
    *,
    readers: int = READERS,
) -> list[list[str]]:
    """Return a row for the bare view, for the smallest answer, for each read, and for the cold dashboard if asked."""
    product.drain()
    with bare.running(product.addresses["DATABASE_URL"], product.var / "log" / "bare.log") as server:

        def of_the_view() -> dict[str, float]:
            return {"web": server.cpu(), "postgresql": product.cpu()["postgresql"]}

        plan = {"port": server.port, "paths": ["/"], "headers": {}}
        floor = _read("A bare Django view of 50 rows", plan, seconds, of_the_view, readers)
    rows = [_cells("A bare Django view of 50 rows; 1 query", floor, floor)]
    smallest = {"title": "Smallest answer, `/livez`", "paths": ["/livez"], "headers": {}, "queries": 0}
    for read in [smallest, *reads]:
        plan = {"port": product.port, "paths": read["paths"], "headers": read["headers"]}
        found = _read(read["title"], plan, seconds, product.cpu, readers)
        rows.append(_cells(f"{read['title']}; {read['queries']} queries", found, floor))
    if cold:
        say("The dashboard after each change …")
        rows.append(_cells("Dashboard of the largest partner, cold: after each change", _cold(product, cold), floor))
    return rows


def _read(title: str, plan: dict[str, Any], seconds: int, cpu: Any, readers: int) -> Measured:
    say(f"{title} …")
    plan |= {"kind": "reading", "clients": readers}
    clients.run(plan | {"seconds": WARM_UP})
    before = cpu()
    figures = clients.run(plan | {"seconds": seconds})
    after = cpu()
    return Measured(figures, {part: after[part] - before[part] for part in after})


def _cold(product: Product, cold: dict[str, Any]) -> Measured:
    """Read the dashboard after each of some changes that concern its partner: so no figures are kept for it."""
    place, taken, used = cold["place"], list[float](), defaultdict[str, float](float)
    with product.without_worker():
        for number in range(ROUNDS):
            changed = clients.ask(product.port, clients.change("DELETE" if number % 2 else "PUT", place))
            assert changed in (201, 204), changed
            before, began = product.cpu(), time.perf_counter()
            answer = clients.ask(product.port, ("GET", cold["path"], b"", cold["headers"]))
            taken.append(time.perf_counter() - began)
            for part, milliseconds in product.cpu_since(before).items():
                used[part] += milliseconds
            assert answer == 200, answer
    figures = {"answers": {"200": ROUNDS}, "seconds": sum(taken), "cpu": 0.0, **percentiles(taken)}
    return Measured(figures, used)


def _cells(title: str, found: Measured, floor: Measured) -> list[str]:
    return [
        *(title, f"{found.rate:,.1f}", f"{found.rate / floor.rate:.2f}", *found.percentiles()),
        *(f"{found.each('web'):.1f}", f"{found.each('postgresql'):.1f}"),
        f"{found.each('web') / floor.each('web'):.1f}",
        *(f"{found.figures['cpu'] / found.answers:.1f}", found.counted()),
    ]
