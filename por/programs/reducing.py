"""Reductions of rows to a fact, as the rules define them. The product does the same in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from por.programs.quantity import Number, times


def reduce_entitlements(active: Mapping[str, int], workloads: Iterable[str]) -> int:
    """Return the active entitlements: active users of each workload added up, so a person counts in each."""
    return sum(active.get(one, 0) for one in workloads)


def reduce_instances(tenants: Iterable[tuple[int, int, int]], threshold: Number) -> int:
    """Return the production instances of tenants that grew into large deployments.

    Each tenant is its active users twelve months ago, the most of them since, and its production instances.
    """
    return sum(instances for before, most, instances in tenants if before < threshold <= most)


def reduce_consumption_value(lines: Iterable[tuple[Number, Number]]) -> Number:
    """Return the monthly consumption value: units times the rate of their workload, added up."""
    return sum(times(units, rate) for units, rate in lines)


def reduce_track(monthly: Sequence[str], wins: str, other: str) -> str:
    """Return the track of an enrolment: the one that wins if any month was in it."""
    return wins if wins in monthly else other
