"""Reductions of rows to a fact, as the rules define them. The product does the same in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from por.programs.quantity import ZERO, Q, all_of, total


def reduce_entitlements(active: Mapping[str, Q], workloads: Iterable[str]) -> Q:
    """Return the active entitlements: active users of each workload added up, so a person counts in each."""
    return total(active[one] for one in workloads if one in active)


def reduce_instances(tenants: Iterable[tuple[Q, Q, Q]], threshold: Q) -> Q:
    """Return the production instances of tenants that grew into large deployments.

    Each tenant is its active users twelve months ago, the most of them since, and its production instances.
    """
    return total(
        instances if grew else ZERO if grew is False else ZERO | instances
        for before, most, instances in tenants
        for grew in [all_of([before.lt(threshold), threshold.lte(most)])]
    )


def reduce_consumption_value(lines: Iterable[tuple[Q, Q]]) -> Q:
    """Return the monthly consumption value: units times the rate of their workload, added up."""
    return total(units * rate for units, rate in lines)


def reduce_track(monthly: Sequence[str | None], wins: str, other: str) -> str | None:
    """Return the track of an enrolment: the one that wins if any month was in it; None if a month is not known."""
    return wins if wins in monthly else None if None in monthly else other
