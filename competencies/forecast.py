"""What becomes of a level if nothing but time goes on: until when it is safe, and what is left at the anniversary.

What is known on a day is judged by the rules of a later one. A window of days loses what falls out of it. A sum of
months has the mean of the last three for each month to come. Everything else stays as it is on the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import or_

from competencies.facts import Figures, choices_of, days_that_differ, facts_from, facts_of, questions
from competencies.measures.asking import Ask, Suppose, dated, measured
from competencies.measures.figures import Caveat, Dated, Figure
from competencies.measures.named import MEASURES
from por.programs.calendars import leaves_on, month_end, months_between, months_later
from por.programs.facts import Facts
from por.programs.judging import Outcome, judge
from por.programs.quantity import any_of
from por.programs.rules import Family, Measure, Program, Version

#: How far ahead is looked. By then a window of a year has nothing of today, and a sum has nothing but its mean.
MONTHS_AHEAD = 12
#: How many of the last months make the mean.
MONTHS_OF_MEAN = 3
_OF_DAYS = (Measure.NEW_TENANTS, Measure.LOST_TENANTS, Measure.NET_NEW_TENANTS, Measure.SEATS_OF_NEW_SUBSCRIPTIONS)
_SUMS = (Measure.CONSUMPTION, Measure.REVENUE)


@dataclass(frozen=True)
class Timeline:
    """What each date adds to the figures of a measure, as known on the day of its question."""

    ask: Ask
    is_sum: bool
    companies: Mapping[int, list[Dated]]
    others: Caveat

    def on(self, day: date) -> OnDay:
        """Return the figures of a later day."""
        later = replace(self.ask, day=day)
        if not self.is_sum:
            return OnDay(self, {}, later.days_after)
        newest = self.ask.newest_month
        months = {one: Fraction(1) for one in later.months if one <= newest}
        coming = sum(one > newest for one in later.months)
        if coming:
            for back in range(MONTHS_OF_MEAN):
                month = months_later(newest, -back)
                months[month] = months.get(month, Fraction(0)) + Fraction(coming, MONTHS_OF_MEAN)
        return OnDay(self, months, None)


@dataclass(frozen=True)
class OnDay:
    """The figures of a day to come: how often each month counts, or after which day what is known counts."""

    timeline: Timeline
    months: Mapping[date, Fraction]
    after: date | None

    def of(self, company: int) -> Figure:
        parts = self.timeline.companies.get(company)
        if parts is None:
            return Figure.of(Decimal(0), self.timeline.others)
        if self.after is not None:
            parts = [one for one in parts if one.date > self.after]
        else:
            parts = [one for one in parts if one.date in self.months]
        # Exact until the end: thirds that are rounded one by one would miss a threshold that is just met.
        exact = sum((Fraction(one.amount) * self.months.get(one.date, 1) for one in parts), Fraction(0))
        amount = Decimal(exact.numerator) / exact.denominator
        return Figure.of(amount, reduce(or_, (one.caveats for one in parts), Caveat(0)))


@dataclass
class Forecast:
    """What is known of companies at the end of a day, and perhaps supposed, judged by the rules of later days."""

    program: Program
    day: date
    companies: tuple[int, ...]
    suppose: Suppose | None = None
    _timelines: dict[tuple[str, Ask], Timeline] = field(default_factory=dict)
    _figures: dict[tuple[str, date], list[tuple[str, Figures]]] = field(default_factory=dict)
    _choices: dict[str, dict[int, dict[str, str]]] = field(default_factory=dict)

    def safe_until(self, company: int, level: str) -> date | None:
        """Return the last day on which a level that is reached is certain to be met; None if it stays for a year."""
        for before, day in pairwise([self.day, *self._days_of_change(company)]):
            if self.meets(company, level, day) is not True:
                return max(before, day - timedelta(days=1))
        return None

    def meets(self, company: int, level: str, day: date) -> bool | None:
        """Return whether a level will be met on a later day; None if that cannot be told, as without rules."""
        outcome = self.on(company, day)
        if outcome is None:
            return None
        return outcome.qualified if self.program.family is Family.SCORE else outcome.meets(level)

    def on(self, company: int, day: date) -> Outcome | None:
        """Return the verdict of a later day; None if no rules are in force on it."""
        version = self.program.on(day)
        if version is None:
            return None
        outcome = judge(self.program, version, self._facts_on(version, day, company))
        rule = version.outcome.qualified if version.outcome else None
        if rule is None or rule.on_any_day_of_months is None:
            return outcome
        first = months_later(day.replace(day=1), 1 - rule.on_any_day_of_months)
        qualified = any_of([outcome.qualified, *self._qualified(company, first, day)])
        return replace(outcome, qualified=qualified)

    def _qualified(self, company: int, first: date, last: date) -> Iterator[bool | None]:
        """Yield whether a score qualifies on the days of a window: those before today, and those from today on."""
        for version in self.program.versions:
            begins = max(version.begins, first, self.day)
            if begins <= last and (version.ends is None or begins <= version.ends):
                yield judge(self.program, version, self._facts_on(version, begins, company)).qualified
        for day in days_that_differ(self.day, months_between(first, last) + 1):
            # A month is the newest one until the day before the next one ends.
            newest_until = month_end(months_later(day.replace(day=1), 1 if day == month_end(day) else 0)) - timedelta(1)
            before = self.program.on(day)
            if before is not None and newest_until >= first:
                facts = facts_of(self.program, before, day, self.companies, self.suppose)
                yield judge(self.program, before, facts[company]).qualified

    # --- Facts ------------------------------------------------------------------------------------------------------

    def _facts_on(self, version: Version, day: date, company: int) -> Facts:
        """Return what is known of a company, as it counts on a day from this one on."""
        if version.id not in self._choices:
            self._choices[version.id] = choices_of(self.program, version, self.day, self.companies, self.suppose)
        choice = self._choices[version.id][company]
        return facts_from(self._figures_on(version, day), self.program, company, choice, day)

    def _figures_on(self, version: Version, day: date) -> list[tuple[str, Figures]]:
        if (version.id, day) not in self._figures:
            found: list[tuple[str, Figures]] = []
            for one in questions(self.program, version, day, self.companies, self.suppose):
                ask = replace(one.ask, day=self.day)
                timeline = self._timeline(Measure(one.measure), ask)
                found.append((one.fact, timeline.on(day) if timeline else measured(MEASURES[one.measure], ask)))
            self._figures[version.id, day] = found
        return self._figures[version.id, day]

    def _timeline(self, measure: Measure, ask: Ask) -> Timeline | None:
        is_sum = measure in _SUMS and ask.window.months > 1
        if not is_sum and measure not in _OF_DAYS:
            return None
        if (measure, ask) not in self._timelines:
            self._timelines[measure, ask] = Timeline(ask, is_sum, *dated(MEASURES[measure], ask))
        return self._timelines[measure, ask]

    # --- Days -------------------------------------------------------------------------------------------------------

    def _days_of_change(self, company: int) -> list[date]:
        """Return the days up to a year ahead on which the verdict can change, in order."""
        last = months_later(self.day, MONTHS_AHEAD)
        days = {last, *self._days_of_rules(last)}
        for number in range(MONTHS_AHEAD + 1):
            month = months_later(self.day.replace(day=1), number)
            days |= {month, month_end(month)}
        version = self.program.on(self.day)
        if version is not None:
            self._figures_on(version, self.day)
        for one in self._timelines.values():
            if not one.is_sum:
                days |= {leaves_on(part.date, one.ask.window.months) for part in one.companies.get(company, ())}
        return sorted(one for one in days if self.day < one <= last)

    def _days_of_rules(self, last: date) -> Iterator[date]:
        """Yield the days on which other rules begin, or other types of association count."""
        for version in self.program.versions:
            yield version.begins
            if version.ends is not None and version.ends < last:
                yield version.ends + timedelta(days=1)
            for credit in (*version.credit, *(one for metric in version.metrics.values() for one in metric.credit)):
                if credit.begins is not None:
                    yield credit.begins
