"""What it takes to verify the whole history, which grows with its events."""

from __future__ import annotations

import time

from tests.benchmarks.processor import cpu_of_commands
from tests.benchmarks.product import Product
from tests.benchmarks.rows import say
from tests.product import connected

HEAD = ["`verify_history`", "Events", "Chains", "Seconds", "CPU s: PostgreSQL", "Python", "CPU s for a million events"]


def measure(product: Product) -> list[list[str]]:
    """Return a row for the check of all events that the run has recorded. The start of the command is not scaled."""
    product.drain()
    say("Verifying the history …")
    with connected(product.addresses["DATABASE_URL"]) as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT chain) FROM history_event")
        events, chains = cursor.fetchall()[0]
    start = _python(product, "check")
    began, before = time.monotonic(), product.cpu()["postgresql"]
    python = _python(product, "verify_history")
    seconds, postgresql = time.monotonic() - began, (product.cpu()["postgresql"] - before) / 1000
    scaled = (postgresql + max(0.0, python - start)) * 1_000_000 / events
    figures = (f"{events:,}", f"{chains:,}", f"{seconds:.1f}", f"{postgresql:.1f}", f"{python:.1f}", f"{scaled:.1f}")
    return [["All events of the run", *figures]]


def _python(product: Product, command: str) -> float:
    before = cpu_of_commands()
    product.manage(command)
    return (cpu_of_commands() - before) / 1000
