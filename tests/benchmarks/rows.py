"""A measurement as a row: what was done in a second, how long an answer took, and the processor time of each part."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

CHANGES = {"201", "204", "committed"}


class Measured(NamedTuple):
    """The figures of the clients, and the milliseconds that each part used meanwhile."""

    figures: dict[str, Any]
    used: dict[str, float]

    @property
    def answers(self) -> int:
        return sum(self.figures["answers"].values())

    @property
    def changes(self) -> int:
        return sum(count for answer, count in self.figures["answers"].items() if answer in CHANGES)

    @property
    def rate(self) -> float:
        """Return the changes a second, or the answers a second if nothing is changed."""
        seconds: float = self.figures["seconds"]
        return (self.changes or self.answers) / seconds

    def each(self, part: str) -> float:
        """Return the milliseconds of a part for each change, or for each answer if nothing is changed."""
        return self.used.get(part, 0.0) / max(1, self.changes or self.answers)

    def percentiles(self) -> list[str]:
        return [f"{self.figures[percentile]:.0f}" for percentile in ("p50", "p95", "p99")]

    def counted(self) -> str:
        return ", ".join(f"{number:,} × {answer}" for answer, number in sorted(self.figures["answers"].items()))


def show(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a table under its title."""
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
    print(f"\n## {title}\n\n{table}", flush=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
