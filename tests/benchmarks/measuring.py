"""What the measures of competencies take for all companies, each beside a plain GROUP BY of its rows."""

from __future__ import annotations

import json

from tests.benchmarks.product import Product

HEAD = ["Measure, all companies", "Companies", "ms", "Plain ms", "Ratio", "One company, ms"]
MEASURE = "import logging; logging.disable(); from tests.benchmarks.measures import run; print(run())"


def measure(product: Product) -> list[list[str]]:
    """Return a row for each measure."""
    rows: list[list[str]] = json.loads(product.manage("shell", "--no-imports", "-c", MEASURE).splitlines()[-1])
    return rows
