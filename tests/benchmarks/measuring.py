"""What the measures of competencies take for all companies, and all programmes for some, beside plain GROUP BYs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.product import Product

_BESIDE = ["ms", "Plain ms", "Ratio", "CPU ms of PostgreSQL", "Plain CPU ms", "Ratio of CPU"]
HEAD = ["Measure, all companies", "Companies", *_BESIDE, "The largest company, ms"]
PROGRAMMES = ["All programmes", "Associations", "Questions", *_BESIDE, "CPU ms of Python"]
MEASURE = "import logging; logging.disable(); from tests.benchmarks.measures import run; print(run())"
#: The subscriptions that are imported. A larger estate is made of copies of them, in minutes.
IMPORTED = 20_000


def copy(product: Product, scale: int) -> None:
    """Copy the imported estate until there are as many subscriptions, and let PostgreSQL look at all tables."""
    with product.database() as cursor:
        if copies := scale // IMPORTED - 1:
            cursor.execute(Path(__file__).with_name("copies.sql").read_text(), {"copies": copies})
        cursor.execute("VACUUM ANALYZE")


def measure(product: Product) -> tuple[list[list[str]], list[list[str]], float]:
    """Return a row for each measure and for the programmes of some companies, and the peak of memory in megabytes."""
    measures, programmes, peak = json.loads(product.manage("shell", "--no-imports", "-c", MEASURE).splitlines()[-1])
    return measures, programmes, peak
