"""`make bench SCALE=20000`: an estate of that size, the product on it, its clients, and the floor in the same run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.benchmarks import clients, floor
from tests.benchmarks.product import Product, running

CLIENTS = 8
SECONDS = int(os.environ.get("BENCH_SECONDS", "15"))
WARM_UP = 3
CHANGES = {"201", "204", "committed"}
PARTS = ("web", "database", "worker")
STAGE = "import logging; logging.disable(); from tests.benchmarks.stage import setting; print(setting())"


def main() -> int:
    scale = int(sys.argv[1])
    load = os.getloadavg()[0]
    with running() as product:
        say(f"Making and loading an estate of {scale:,} subscriptions …")
        estate = product.var / "estate"
        product.manage("make_estate", str(estate), "--subscriptions", str(scale), "--seed", "2")
        product.manage("load_estate", str(estate))
        say("Attaching and removing once on each subscription, to capture the statements …")
        stage = json.loads(product.manage("shell", "--no-imports", "-c", STAGE).splitlines()[-1])
        rows = measure(product, stage)
    print(f"\n{scale:,} subscriptions, {CLIENTS} clients, {SECONDS} s each, load average {load:.1f} before the run.\n")
    print(table(rows))
    return 0


def measure(product: Product, stage: dict[str, Any]) -> list[list[str]]:
    """A row for each thing that is measured; what writes is followed by its floor, the smallest answer comes first."""

    def http(title: str, **plan: Any) -> Row:
        plan |= {"port": product.port, "clients": CLIENTS}
        clients.run(plan | {"seconds": WARM_UP})
        return measured(title, lambda: clients.run(plan | {"seconds": SECONDS}))

    def sql(title: str, scripts: list[str]) -> Row:
        url, options = product.servers()["DATABASE_URL"], stage["options"]
        return measured(title, lambda: floor.run(scripts, url, options=options, clients=CLIENTS, seconds=SECONDS))

    def measured(title: str, run: Callable[[], dict[str, Any]]) -> Row:
        say(f"{title} …")
        product.forget_what_waits()
        before = product.cpu()
        figures = run()
        return Row(title, figures, product.cpu() - before)

    smallest = http("Smallest answer, `/livez`", kind="reading", path="/livez", token="")
    lists = [
        http(f"50 subscriptions, {reader}", kind="reading", path="/api/v1/subscriptions/?page_size=50", token=token)
        for reader, token in stage["readers"].items()
    ]
    places = [{name: place[name] for name in ("token", "path", "mpn_id")} for place in stage["places"]]
    scripts = [place["script"] for place in stage["places"]]
    spread = http(f"Attach and remove, spread over {len(places)}", kind="spread", places=places)
    spread_floor = sql("the same SQL by pgbench", scripts)
    hot = http("Attach and remove, one subscription", kind="hot", places=places[:1])
    hot_floor = sql("the same SQL by pgbench", scripts[:1])
    return [
        smallest.cells(of=smallest),
        *(one.cells(of=smallest) for one in lists),
        *(spread.cells(of=spread_floor), spread_floor.cells(of=spread_floor)),
        *(hot.cells(of=hot_floor), hot_floor.cells(of=hot_floor)),
    ]


class Row(NamedTuple):
    """What a measurement came to: the clients' figures, and the milliseconds each part of the product used."""

    title: str
    figures: dict[str, Any]
    used: dict[str, float]

    @property
    def rate(self) -> float:
        """Changes a second, or answers where nothing is changed."""
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
            f"{self.figures['p50']:.0f}",
            f"{self.figures['p99']:.0f}",
            *(f"{one:.1f}" for one in each),
            ", ".join(f"{number:,} × {answer}" for answer, number in sorted(self.figures["answers"].items())),
        ]


HEAD = [
    *("What", "Done a second", "Of its floor", "p50 ms", "p99 ms"),
    *("CPU ms each: web", "PostgreSQL", "worker", "client", "Answers"),
]


def table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [HEAD, ["---"] * len(HEAD), *rows])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
