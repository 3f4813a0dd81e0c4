"""`make bench SCALE=20000`: an estate of that size, the product on it, its clients, and the floors in the same run.

`ESTATE=directory` loads the files of that directory, or makes them there for the next time. `BENCH_ONLY=lists,mail`
does only these parts. `BENCH_SECONDS` is the length of each measurement, `BENCH_SUSTAINED` that of the sustained one,
`BENCH_MAILS` the number of messages that wait, and `BENCH_CLAIMS` that of the claims.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import changing, claims, jobs, loading, mailing, measuring, reading, starting, verifying
from tests.benchmarks.product import Product, running
from tests.benchmarks.rows import say, show

PARTS = ("starts", "loads", "lists", "pages", "changes", "sustained", "mail", "jobs", "history", "claims", "measures")
SECONDS = int(os.environ.get("BENCH_SECONDS", "15"))
SUSTAINED = int(os.environ.get("BENCH_SUSTAINED", "300"))
MAILS = int(os.environ.get("BENCH_MAILS", "2000"))
STAGE = "import logging; logging.disable(); from tests.benchmarks.stage import stage; print(stage())"


def main() -> int:
    parts = set(filter(None, os.environ.get("BENCH_ONLY", "").split(","))) or set(PARTS)
    if unknown := parts - set(PARTS):
        raise SystemExit(f"BENCH_ONLY knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}.")
    scale = int(sys.argv[1])
    print(f"{scale:,} subscriptions, {SECONDS} s each, load average {os.getloadavg()[0]:.1f} before the run.")
    if "starts" in parts:
        show("Starts", starting.HEAD, starting.measure())
    if parts != {"starts"}:
        with running() as product:
            estate = Path(os.environ.get("ESTATE") or product.var / "estate")
            if not estate.exists():
                imported = min(scale, measuring.IMPORTED) if parts == {"measures"} else scale
                say(f"Making an estate of {imported:,} subscriptions …")
                product.manage("make_estate", str(estate), "--subscriptions", str(imported), "--seed", "2")
            if parts == {"measures"}:
                with product.without_worker():
                    _measure(product, estate, parts, scale)
            else:
                _measure(product, estate, parts, scale)
    return 0


def _measure(product: Product, estate: Path, parts: set[str], scale: int) -> None:
    say(f"Importing {estate} …")
    first = loading.load(product, estate)
    if "loads" in parts:
        say("Importing it again, and copying its rows …")
        show("Loads", loading.HEAD, loading.measure(product, estate, first))
    if parts <= {"starts", "loads", "history", "claims", "measures"}:
        stage: dict[str, Any] = {}
    else:
        say("Attaching and removing once on each subscription, to capture the statements …")
        stage = json.loads(product.manage("shell", "--no-imports", "-c", STAGE).splitlines()[-1])
        say("Waiting for what the import has made due …")
        product.settle()
    at_rest = product.memory()
    if "measures" in parts:
        if parts == {"measures"}:
            say("Copying the estate …")
            measuring.copy(product, scale)
        say("Measuring all companies …")
        measures, programmes, peak = measuring.measure(product)
        show("Measures of competencies", measuring.HEAD, measures)
        show("Programmes", measuring.PROGRAMMES, programmes)
        print(f"\nThe process had {peak:,.0f} MB at most. Load average {os.getloadavg()[0]:.1f}.", flush=True)
    if "lists" in parts:
        lists = reading.measure(product, stage["lists"], None, SECONDS)
        show(f"Lists by the API, {reading.READERS} clients", reading.HEAD, lists)
    if "pages" in parts:
        pages = reading.measure(product, stage["pages"], stage["cold"], SECONDS)
        show(f"Pages, {reading.READERS} clients", reading.HEAD, pages)
    if "changes" in parts:
        rows = changing.bursts(product, stage, SECONDS)
        show(f"Changes in a burst, {changing.CLIENTS} clients", changing.BURSTS, rows)
    if "sustained" in parts:
        rows = changing.sustained(product, stage, SUSTAINED)
        show(f"Changes with every mail delivered, {changing.CLIENTS} clients", changing.SUSTAINED, rows)
    if "mail" in parts:
        show("Mail", mailing.HEAD, mailing.measure(product, stage["places"], MAILS))
    if "jobs" in parts:
        say("A job of a thousand rows …")
        show("Jobs", jobs.HEAD, jobs.measure(product))
    if "history" in parts:
        show("History", verifying.HEAD, verifying.measure(product))
    if "claims" in parts:
        say(f"Adding {claims.CLAIMS:,} claims …")
        claims.fill(product)
        reads = json.loads(product.manage("shell", "--no-imports", "-c", claims.READS).splitlines()[-1])
        show("Claims, one client", reading.HEAD, reading.measure(product, reads, None, SECONDS, readers=1))
        looked_up = json.loads(product.manage("shell", "--no-imports", "-c", claims.LOOKUPS).splitlines()[-1])
        show("What holds a unit, in the product", claims.HEAD, looked_up)
    _show_memory(at_rest, product.memory())


def _show_memory(at_rest: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> None:
    rows = [
        [part, *(f"{size:,.0f}" for size in (*at_rest[part][::-1], *after[part][::-1]))]
        for part in ("web", "worker", "beat", "supervisor", "postgresql", "valkey")
    ]
    ours = ("web", "worker", "beat", "supervisor")
    total = ["all but the servers", *(f"{sum(one[part][1] for part in ours):,.0f}" for one in (at_rest, after))]
    rows.append([total[0], total[1], "", total[2], ""])
    show("Memory", ["Part", "PSS MB at rest", "RSS", "PSS MB after the run", "RSS"], rows)


if __name__ == "__main__":
    sys.exit(main())
