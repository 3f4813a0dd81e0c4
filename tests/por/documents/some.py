"""Which of many cases run every day: the first of each sort. The others take a child process each, and are crawled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

One = TypeVar("One")


def first_of_each(
    cases: Iterable[One], sort: Callable[[One], object], name: Callable[[One], str] = str
) -> list[object]:
    """Return the cases as parameters; all but the first of each sort are marked `crawl`."""
    seen: set[object] = set()
    found = []
    for one in cases:
        marks = [pytest.mark.crawl] if sort(one) in seen else []
        seen.add(sort(one))
        found.append(pytest.param(one, marks=marks, id=name(one)))
    return found
