"""The parts of a competency's page that explain it, in the reader's language."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from competencies.months import DaysOf, MonthsOf
from competencies.words import METRICS, number_with_unit
from por.directory.models import Customer
from por.web.formatting import day_text, month_text

# --- Months and days ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MonthRow:
    """A month of a page. `share` of 100 says how much it adds beside the month that adds most."""

    month: date
    name: str
    amount: str
    share: Decimal
    counts: bool


@dataclass(frozen=True)
class MonthsTable:
    """The months of a metric on a page. `total` is empty where the metric is not their sum."""

    key: str
    name: str
    rows: list[MonthRow]
    total: str
    said: str


def months_table(of: MonthsOf, day: date) -> MonthsTable:
    """Return what a page shows of the months of a metric."""
    rows = [
        MonthRow(
            one.month,
            month_text(one.month),
            number_with_unit(Fraction(one.amount), of.unit) if one.is_reported else _("not reported"),
            abs(one.amount) * 100 / of.largest if of.largest else Decimal(0),
            one.counts,
        )
        for one in of.months
    ]
    total = number_with_unit(Fraction(of.total), of.unit) if of.is_sum else ""
    return MonthsTable(of.metric, str(METRICS[of.metric]), rows, total, counted_text(of, day))


def counted_text(of: MonthsOf, day: date) -> str:
    """Return which of the months count for a partner that is attached on the day, by the rule of that day."""
    if not of.is_credited:
        kinds = ", ".join(str(kind.label) for kind in of.kinds)
        return _("A partner of record does not count for this. These types of association do: %(kinds)s.") % {
            "kinds": kinds
        }
    values = {
        "day": day_text(day),
        "first": month_text(of.next_month),
        "full": month_text(of.full_from),
        "n": of.counted,
        "all": len(of.months),
    }
    if of.counted == len(of.months):
        return (
            ngettext(
                "Who becomes the partner of record on %(day)s has this month at once, although it is earlier.",
                "Who becomes the partner of record on %(day)s has all %(n)s months at once, although they are earlier.",
                of.counted,
            )
            % values
        )
    if of.counted:
        return (
            _(
                "Who becomes the partner of record on %(day)s has %(n)s of %(all)s months: those from %(first)s on. "
                "All months are there from the end of %(full)s on."
            )
            % values
        )
    return (
        _(
            "Who becomes the partner of record on %(day)s has none of these months. The first month that counts is "
            "%(first)s, and all months are there from the end of %(full)s on."
        )
        % values
    )


@dataclass(frozen=True)
class DaysTable:
    """What leaves the window of a metric, on a page: each customer with its days and what it adds."""

    key: str
    name: str
    rows: list[tuple[Customer, date, date, str]]
    more: int
    hidden: int


def days_table(of: DaysOf) -> DaysTable:
    """Return what a page shows of the days on which customers leave a window."""
    rows = [
        (one.customer, one.counts_from, one.leaves_on, number_with_unit(Fraction(one.amount), of.unit))
        for one in of.leaving
    ]
    return DaysTable(of.metric, str(METRICS[of.metric]), rows, of.more, of.hidden)
