"""The sums of a partner's usage again, added up in Python row by row. Tests compare the two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

from associations.record.models import Association
from associations.record.sums import UseOfRecord
from associations.record.usage import MonthOfUsage, Totals, UseOfWorkload
from por.directory.models import Partner, Usage


def added_up(figures: Iterable[Any]) -> Any:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None


def largest(figures: Iterable[Any]) -> Any:
    return max((figure for figure in figures if figure is not None), default=None)


def subscriptions_of(partners: list[Partner]) -> Any:
    of_record = Association.objects.filter(partner__in=partners, kind="dpor", ended_at=None, undone_at=None)
    return of_record.values("subscription")


def plain(partners: list[Partner], since: date | None) -> UseOfRecord:
    """Return the same as use_of_record, added up in Python, row by row."""
    usage = Usage.objects.filter(superseded_at=None, subscription__in=subscriptions_of(partners))
    by_workload: dict[Any, list[Usage]] = defaultdict(list)
    by_month: dict[Any, list[Usage]] = defaultdict(list)
    for row in usage:
        if since is None or row.month >= since:
            by_workload[row.month, row.workload].append(row)
            by_month[row.month, row.subscription_id].append(row)
    of_one = {
        key: (
            largest(row.paid_units for row in rows),
            largest(row.active_users for row in rows),
            added_up(row.consumed_usd for row in rows),
        )
        for key, rows in by_month.items()
    }

    def total(keys: Iterable[Any]) -> tuple[Any, Any, Any]:
        columns = list(zip(*(of_one[key] for key in keys), strict=True)) or [(), (), ()]
        return tuple(added_up(column) for column in columns)  # type: ignore[return-value]

    months = sorted({month for month, _subscription in by_month})
    newest: dict[int, date] = {}
    for month, subscription in sorted(by_month):
        newest[subscription] = month
    return UseOfRecord(
        [
            UseOfWorkload(
                *key,
                added_up(row.paid_units for row in rows),
                added_up(row.active_users for row in rows),
                added_up(row.consumed_usd for row in rows),
            )
            for key, rows in sorted(by_workload.items())
        ],
        [MonthOfUsage(month, *total(key for key in of_one if key[0] == month)) for month in months],
        Totals(len(newest), *total((month, subscription) for subscription, month in newest.items())),
    )
