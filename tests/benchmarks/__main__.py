"""`make bench SCALE=20000`: an estate of that size, the product on it, its clients, and the floors in the same run.

`ESTATE=directory` loads the files of that directory, or makes them there for the next time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import bare, clients, floor, jobs, loading
from tests.benchmarks.product import Product, running

CLIENTS, READERS = 8, 4
SECONDS = int(os.environ.get("BENCH_SECONDS", "15"))
WARM_UP = 3
CHANGES = {"201", "204", "committed"}
PARTS = ("web", "postgresql", "worker")
STAGE = "import logging; logging.disable(); from tests.benchmarks.stage import stage; print(stage())"


def main() -> int:
    scale = int(sys.argv[1])
    load = os.getloadavg()[0]
    with running() as product:
        estate = Path(os.environ.get("ESTATE") or product.var / "estate")
        if not estate.exists():
            say(f"Making an estate of {scale:,} subscriptions …")
            product.manage("make_estate", str(estate), "--subscriptions", str(scale), "--seed", "2")
        say(f"Importing {estate}, and copying its rows …")
        print(f"\n{table(loading.HEAD, loading.measure(product, estate))}", flush=True)
        say("Attaching and removing once on each subscription, to capture the statements …")
        stage = json.loads(product.manage("shell", "--no-imports", "-c", STAGE).splitlines()[-1])
        rows = measure(product, stage)
        say("A job of a thousand rows …")
        thousand = jobs.measure(product)
        memory = [[part, *(f"{size:,.0f}" for size in sizes)] for part, sizes in product.memory().items()]
    print(f"\n{scale:,} subscriptions, {SECONDS} s each, load average {load:.1f} before the run.")
    print(f"{READERS} clients read, {CLIENTS} clients write.\n")
    print(table(HEAD, rows))
    print()
    print(table(jobs.HEAD, thousand))
    print()
    print(table(["Part", "RSS MB", "PSS MB"], memory))
    return 0


def measure(product: Product, stage: dict[str, Any]) -> list[list[str]]:
    """Return a row for each measurement. The floor of reading comes first; each floor of writing follows its row."""

    def http(title: str, *, port: int = product.port, **plan: Any) -> Row:
        plan |= {"port": port, "clients": READERS if plan["kind"] == "reading" else CLIENTS}
        clients.run(plan | {"seconds": WARM_UP})
        return measured(title, lambda: clients.run(plan | {"seconds": SECONDS}))

    def sql(title: str, scripts: list[str]) -> Row:
        url, options = product.addresses["DATABASE_URL"], stage["options"]
        return measured(title, lambda: floor.run(scripts, url, options=options, clients=CLIENTS, seconds=SECONDS))

    def measured(title: str, run: Callable[[], dict[str, Any]]) -> Row:
        say(f"{title} …")
        product.forget_what_waits()
        before = product.cpu()
        figures = run()
        return Row(title, figures, product.cpu() - before)

    def reading(title: str, queries: int, **plan: Any) -> Row:
        return http(f"{title}; {queries} queries", kind="reading", **plan)

    with bare.running(product.addresses["DATABASE_URL"], stage["options"]) as port:
        view = http("A bare Django view of 50 rows; 1 query", kind="reading", port=port, paths=["/"], headers={})
    smallest = http("Smallest answer, `/livez`", kind="reading", paths=["/livez"], headers={})
    reads = [reading(**read) for read in stage["reads"]]
    places = [{name: place[name] for name in ("token", "path", "mpn_id")} for place in stage["places"]]
    scripts = [place["script"] for place in stage["places"]]
    spread = http(f"Attach and remove, spread over {len(places)}", kind="spread", places=places)
    spread_floor = sql("the same SQL by pgbench", scripts)
    hot = http("Attach and remove, one subscription", kind="hot", places=places[:1])
    hot_floor = sql("the same SQL by pgbench", scripts[:1])
    return [
        *(one.cells(of=view) for one in (view, smallest, *reads)),
        *(spread.cells(of=spread_floor), spread_floor.cells(of=spread_floor)),
        *(hot.cells(of=hot_floor), hot_floor.cells(of=hot_floor)),
    ]


class Row(NamedTuple):
    """The result of a measurement: the clients' figures, and the milliseconds that each part of the product used."""

    title: str
    figures: dict[str, Any]
    used: dict[str, float]

    @property
    def rate(self) -> float:
        """Return the changes a second, or the answers a second if nothing is changed."""
        answers: dict[str, int] = self.figures["answers"]
        changes = sum(count for answer, count in answers.items() if answer in CHANGES)
        return (changes or sum(answers.values())) / self.figures["seconds"]

    def cells(self, *, of: Row) -> list[str]:
        count = sum(self.figures["answers"].values())
        each = [*(self.used[part] / count for part in PARTS), self.figures["cpu"] / count]
        return [
            self.title,
            f"{self.rate:,.0f}",
            f"{self.rate / of.rate:.2f}",
            *(f"{self.figures[percentile]:.0f}" for percentile in ("p50", "p95", "p99")),
            *(f"{one:.1f}" for one in each),
            ", ".join(f"{number:,} × {answer}" for answer, number in sorted(self.figures["answers"].items())),
        ]


HEAD = [
    *("What", "Done a second", "Of its floor", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU ms each: web", "PostgreSQL", "worker", "client", "Answers"),
]


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
