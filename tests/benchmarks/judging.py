"""Verdicts a CPU second: levels of two tests, and scores of five metrics.

    .venv/bin/python -m tests.benchmarks.judging

Needs no server and no Django. The facts of each verdict differ, and one in ten is unknown.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from time import process_time

from por.programs.facts import Facts, Value
from por.programs.judging import judge
from por.programs.quantity import point
from por.programs.reading import read_programs

RULES = Path(__file__).parents[2] / "competencies" / "rules"
#: What is judged: programme, day, choices, and its facts with their greatest value.
LEVELS = ("competency.smcs", date(2015, 10, 1), {}, {"new_customers": 50, "seats_sold": 500})
SCORES = (
    "pcs.modern_work",
    date(2026, 6, 1),
    {"track": "smb"},
    {
        "net_customer_adds": 20,
        "skilling_intermediate": 4,
        "skilling_advanced": 2,
        "usage_growth.cpor": 1000,
        "usage_growth.csp": 4000,
        "deployments.cpor": 10,
        "deployments.csp": 20,
    },
)
SECONDS = 2.0


def facts(choice: dict[str, str], most: dict[str, int], seed: int, count: int = 1000) -> list[Facts]:
    """Return random facts. One value in ten is left out."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        values: dict[str, Value] = {
            name: point(chance.randint(0, top)) for name, top in most.items() if chance.random() > 0.1
        }
        found.append(Facts(values, choice))
    return found


def verdicts_a_second(program_id: str, day: date, choice: dict[str, str], most: dict[str, int]) -> float:
    """Return how many verdicts one CPU second makes."""
    program = read_programs([RULES], RULES / "sources.yaml")[program_id]
    version = program.on(day)
    assert version is not None
    given: Sequence[Facts] = facts(choice, most, seed=7)
    judged, begin = 0, process_time()
    while process_time() - begin < SECONDS:
        for one in given:
            judge(program, version, one)
        judged += len(given)
    return judged / (process_time() - begin)


def main() -> None:
    print(f"levels of two tests:    {verdicts_a_second(*LEVELS):8,.0f} verdicts a CPU second")
    print(f"scores of five metrics: {verdicts_a_second(*SCORES):8,.0f} verdicts a CPU second")
    program, day, _choice, most = SCORES
    print(f"the better of 2 tracks: {verdicts_a_second(program, day, {}, most):8,.0f} verdicts a CPU second")


if __name__ == "__main__":
    main()
