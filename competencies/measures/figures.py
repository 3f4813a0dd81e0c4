"""What comes back when a measure is asked: figures of companies, and what is not known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import IntFlag
from typing import NamedTuple

from por.programs.codes import Why


class Caveat(IntFlag):
    """What is not known of a figure. The values are bits, so that SQL can join them."""

    MONTH_NOT_REPORTED = 1  # no row of the whole estate is of this month
    MONTH_OF_DIFFERENCE_NOT_REPORTED = 2
    SEATS_OF_TODAY = 4  # no month of usage says how many there were
    SEATS_UNKNOWN = 8
    CURRENCIES_DIFFER = 16  # an amount is in another currency than that of the rule
    NO_FACTS = 32  # no row of the whole estate is of this file


#: With these the figure may be larger than what is known, however much; with these it may be smaller as well.
UPWARDS = Caveat.MONTH_NOT_REPORTED | Caveat.SEATS_UNKNOWN | Caveat.NO_FACTS
BOTH_WAYS = Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED | Caveat.CURRENCIES_DIFFER
#: What is said of a figure with each of them.
SAID = {
    Caveat.MONTH_NOT_REPORTED: Why.MONTHS_NOT_REPORTED,
    Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED: Why.MONTHS_NOT_REPORTED,
    Caveat.SEATS_OF_TODAY: Why.SEATS_OF_TODAY,
    Caveat.SEATS_UNKNOWN: Why.SEATS_UNKNOWN,
    Caveat.CURRENCIES_DIFFER: Why.CURRENCIES_DIFFER,
    Caveat.NO_FACTS: Why.NO_FACTS,
}


@dataclass(frozen=True)
class Figure:
    """What is known of a quantity: it is between `low` and `high`. None means without a bound."""

    low: Decimal | None
    high: Decimal | None
    caveats: Caveat = Caveat(0)

    @classmethod
    def of(cls, known: Decimal, caveats: Caveat) -> Figure:
        """Return the interval of what is known with these caveats."""
        if caveats & BOTH_WAYS:
            return cls(None, None, caveats)
        return cls(known, None if caveats & UPWARDS else known, caveats)

    @property
    def reasons(self) -> tuple[Why, ...]:
        """Return what is said of the caveats, such as seats_of_today."""
        return tuple(dict.fromkeys(SAID[caveat] for caveat in self.caveats))


@dataclass(frozen=True)
class Measured:
    """The figures of companies, by their key. `others` is the figure of every company that is not named."""

    companies: Mapping[int, Figure]
    others: Figure

    def of(self, company: int) -> Figure:
        return self.companies.get(company, self.others)


class Dated(NamedTuple):
    """What a date adds to a figure: a month, or a day in a window of days."""

    date: date
    amount: Decimal
    caveats: Caveat


class ByDate(NamedTuple):
    """What each date adds to the figures of companies, by their key, and the caveats of every other company."""

    companies: Mapping[int, list[Dated]]
    others: Caveat

    @property
    def measured(self) -> Measured:
        """Return the figures."""
        return Measured(
            {company: figure_of(parts) for company, parts in self.companies.items()},
            Figure.of(Decimal(0), self.others),
        )


def figure_of(parts: Iterable[Dated]) -> Figure:
    """Return the figure that dates make together."""
    known, caveats = Decimal(0), Caveat(0)
    for one in parts:
        known += one.amount
        caveats |= one.caveats
    return Figure.of(known, caveats)
