"""Usage as pages show it: charts and tables by workload, and the months that can be seen as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from associations.record import usage
from associations.record.usage import UseOfWorkload
from por.directory.rules import Workload
from por.web import formatting
from por.web.charts import MOST_LINES, Figure, Series

MONTHS_SHOWN = 12

Line = tuple[str, dict[date, UseOfWorkload]]


@dataclass(frozen=True)
class Chart:
    """What the chart tag draws. Without figures there are no series."""

    labels: list[str]
    series: list[Series]


def people(use: Sequence[UseOfWorkload], months: Sequence[date] = ()) -> Chart:
    """Return the chart of active users, over these months or the twelve up to the newest with a figure."""
    return _chart(_lines(use, _active), _active, months)


def adoption(use: Sequence[UseOfWorkload], months: Sequence[date] = ()) -> Chart:
    """Return the chart of active users as a percentage of paid units, with the same lines as `people`."""
    lines = _few(_lines(use, _active))
    return _chart(lines, lambda one: percent_active(one.active_users, one.paid_units), months)


def money(use: Sequence[UseOfWorkload], months: Sequence[date] = ()) -> Chart:
    """Return the chart of consumption in US dollars."""
    return _chart(_lines(use, _spent), _spent, months)


def _active(one: UseOfWorkload) -> int | None:
    return one.active_users


def _spent(one: UseOfWorkload) -> Decimal | None:
    return one.consumed_usd


def percent_active(active: int | None, paid: int | None) -> Decimal | None:
    """Return active of paid, to a tenth of a percent; None if either is unknown, or nothing is paid for."""
    return None if active is None or not paid else round(Decimal(100 * active) / paid, 1)


def months_of(use: Sequence[UseOfWorkload]) -> list[date]:
    """Return every month from the first to the last one with usage."""
    if not use:
        return []
    first, last = use[0].month, use[-1].month
    return usage.last_months(last, (last.year - first.year) * 12 + last.month - first.month + 1)


def _chart(lines: Sequence[Line], figure: Callable[[UseOfWorkload], Figure], months: Sequence[date]) -> Chart:
    known = [month for _name, line in lines for month, one in line.items() if figure(one) is not None]
    if not known:
        return Chart([], [])
    year = bool(months)  # twelve months need none
    months = months or usage.last_months(max(known), MONTHS_SHOWN)
    series = [Series(name, [figure(line[one]) if one in line else None for one in months]) for name, line in lines]
    return Chart([formatting.month_text(month, year=year) for month in months], series)


def _lines(use: Sequence[UseOfWorkload], figure: Callable[[UseOfWorkload], Any]) -> list[Line]:
    """Return one line for each workload with such figures, the largest newest figure first."""
    lines: dict[str, dict[date, UseOfWorkload]] = defaultdict(dict)
    for one in use:
        if figure(one) is not None:
            lines[one.workload][one.month] = one
    found = [(next(iter(line.values())).name, line) for line in lines.values()]
    return sorted(found, key=lambda line: figure(list(line[1].values())[-1]), reverse=True)


def _few(lines: list[Line]) -> list[Line]:
    """Return as many lines as a reader can tell apart, the rest added up into one.

    This adds counts, because percentages cannot be added, which a chart would do.
    """
    if len(lines) <= MOST_LINES:
        return lines
    rest: dict[date, UseOfWorkload] = {}
    for _name, line in lines[MOST_LINES - 1 :]:
        for month, one in line.items():
            rest[month] = _added(rest[month], one) if month in rest else one
    return [*lines[: MOST_LINES - 1], (_("Other"), rest)]


def _added(one: UseOfWorkload, other: UseOfWorkload) -> UseOfWorkload:
    def both(a: int | None, b: int | None) -> int | None:
        return None if a is None and b is None else (a or 0) + (b or 0)

    paid, active = both(one.paid_units, other.paid_units), both(one.active_users, other.active_users)
    return UseOfWorkload(one.month, "", paid, active, None)


@dataclass(frozen=True)
class Newest:
    """A workload in its newest known month, and the figures of its small line."""

    use: UseOfWorkload
    trend: list[Figure]


def newest(use: Sequence[UseOfWorkload]) -> list[Newest]:
    """Return one for each workload: first those with most active users, last those measured in money."""
    lines: dict[str, list[UseOfWorkload]] = defaultdict(list)
    for one in use:
        lines[one.workload].append(one)
    found = []
    for line in lines.values():
        trend: list[Figure] = [one.active_users for one in line if one.active_users is not None]
        found.append(Newest(line[-1], trend or [one.consumed_usd for one in line if one.consumed_usd is not None]))
    return sorted(found, key=lambda one: one.use.active_users or 0, reverse=True)


def newest_first(use: Sequence[UseOfWorkload]) -> list[UseOfWorkload]:
    """Return the rows of the table and of its file: newest month first, in each month the workloads by name."""
    return sorted(sorted(use, key=lambda one: one.name), key=lambda one: one.month, reverse=True)


def months_text(sight: usage.Sight) -> str:
    """Return the text of the months that can be seen, as in "Jul 2025 – Aug 2025, Nov 2025"."""
    return ", ".join(_span_text(*span) for span in sight.spans)


def claims_text(sight: usage.Sight) -> list[str]:
    """Return a sentence for each claim that shows usage: of what, and which months."""
    sentences = []
    for claim in sight.claimed:
        what = str(Workload(claim.workload).label) if claim.workload else _("this subscription")
        if claim.span is None:
            sentences.append(_("You can see all months of %(what)s because of your claim.") % {"what": what})
        else:
            text = _("You can see %(months)s of %(what)s because you had a claim at the end of those months.")
            sentences.append(text % {"months": _span_text(*claim.span), "what": what})
    return sentences


def _span_text(first: date, last: date) -> str:
    start, end = formatting.month_text(first), formatting.month_text(last)
    return start if first == last else f"{start} – {end}"
