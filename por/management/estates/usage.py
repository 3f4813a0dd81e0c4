"""The usage of made-up subscriptions, month by month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

MISSING = 0.02  # months without a report
UNKNOWN = 0.01  # months with paid units but without active users
DIP = 0.03  # months that were reported too low

#: The highest share of paid units in use, by workload; `USUAL` for all others.
REACH = {"exo": 0.96, "teams": 0.85, "proplus": 0.8, "sfb": 0.5, "yammer": 0.3, "aip": 0.35}
USUAL = 0.75


class Month(NamedTuple):
    name: str
    first: date
    last: date


class Figures(NamedTuple):
    month: str
    workload: str
    paid_units: int | str
    active_users: int | str
    consumed_usd: str


def last_months(today: date, count: int) -> list[Month]:
    """Return the last months before the current one, oldest first."""
    months: list[Month] = []
    first = today.replace(day=1)
    for _ in range(count):
        last = first - timedelta(1)
        first = last.replace(day=1)
        months.append(Month(f"{first:%Y-%m}", first, last))
    return months[::-1]


def usage_of(
    months: Sequence[Month], workloads: Sequence[str], seats: int | None, random: Random, *, growing: bool
) -> Iterator[Figures]:
    """Yield the figures of one subscription. If growing, they start low and rise; else they stay about the same."""
    if not months:
        return
    money = 40 * random.paretovariate(1.1) if workloads == ("azure",) else 0.0
    for workload in workloads:
        top = min(1.0, REACH.get(workload, USUAL) * random.uniform(0.8, 1.05))
        start = top * random.uniform(0.2, 0.7) if growing else top * random.uniform(0.9, 1.0)
        for place, month in enumerate(months):
            chance = random.random()
            if chance < MISSING:
                continue
            share = start + (top - start) * (place + 1) / len(months)
            share = max(0.0, min(1.0, share * random.uniform(0.97, 1.03)))
            if chance > 1 - DIP:
                share *= 0.6
            if money:
                yield Figures(month.name, workload, "", "", f"{money * share:.2f}")
            elif seats is None:
                yield Figures(month.name, workload, "", round(20 * share), "")
            else:
                users: int | str = "" if chance < MISSING + UNKNOWN else round(seats * share)
                yield Figures(month.name, workload, seats, users, "")


def corrected(first: Figures, random: Random) -> Figures:
    """Return the corrected, higher figures of a month, some of which was left out at first."""
    share = random.uniform(1.01, 1.15)
    if first.consumed_usd:
        return first._replace(consumed_usd=f"{float(first.consumed_usd) * share:.2f}")
    found = max(1, round(int(first.active_users or 0) * share))
    return first._replace(active_users=min(found, int(first.paid_units or found)))
