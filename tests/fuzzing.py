"""How far Hypothesis goes: in `make test` some examples, always the same; in `make fuzz` others, for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from os import environ
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SECONDS = float(environ.get("FUZZ_SECONDS", "0"))


def chains(examples: int) -> settings:
    """Return the settings of tests that send requests one after another: this many times, and longer in `make fuzz`."""
    return settings(
        max_examples=examples * (1 + int(SECONDS) // 60),
        stateful_step_count=10,
        derandomize=not SECONDS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def fuzz(test: Callable[..., None], examples: int, *, share: float, **strategies: st.SearchStrategy[Any]) -> None:
    """Call the test with values of these strategies; with FUZZ_SECONDS again and again, for this share of them."""
    ends = time.monotonic() + SECONDS * share
    while True:

        @seed(time.time_ns() if SECONDS else 0)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(**strategies)
        def some(**values: Any) -> None:
            test(**values)

        some()
        if time.monotonic() >= ends:
            return
