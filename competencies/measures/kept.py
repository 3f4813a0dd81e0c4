"""What each customer adds to the figures of a large company, kept from one computation to the next.

Reading the usage of ten thousand subscriptions takes seconds, and an act of a person changes what one customer adds. So
only that customer is read again. Every measure is a sum over customers, or counts different things that they have: a
company's figure from these rows is the one that a statement over all of its units gives.

What is kept is complete for the questions of the last computation and for no others. It is given up by whatever may
change more than some named customers: an import, new rules, the nightly round. A worker holds the lock of the company.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

from django.db.models import Count

from associations.record.models import Association
from competencies.measures.asking import Ask, Measure, run
from competencies.measures.figures import ByDate, Caveat, Dated
from competencies.measures.people import people
from competencies.models import KeptPart
from competencies.programs import fingerprint
from por.directory.queries import partners_of

#: How many customers are read again by themselves. What has changed for more of them is read with all others.
MOST_CHANGED = 200
#: From how many associations on, what each customer adds is kept.
LARGE = 2_000


def large_of(companies: Collection[int]) -> set[int]:
    """Return the companies of which it is kept what each customer adds."""
    company_of = partners_of(companies)
    of_each = (
        Association.objects.not_undone().filter(partner__in=company_of).values_list("partner").annotate(Count("pk"))
    )
    counted: Counter[int] = Counter()
    for partner, count in of_each:
        counted[company_of[partner]] += count
    return {company for company, count in counted.items() if count >= LARGE}


def _number(measure: Measure, ask: Ask) -> int:
    """Return the number of a question, whichever company it is about. In another release it may have another one."""
    asked = repr((fingerprint(), measure.__name__, replace(ask, companies=None)))
    return int.from_bytes(sha256(asked.encode()).digest()[:8], signed=True)


class Answers:
    """What is kept of a company, for whoever reads it. A worker may replace it meanwhile."""

    def __init__(self, company: int) -> None:
        self.company = company
        #: The customers of which something may have changed since. What they add is read from their units.
        self.changed: tuple[int, ...] = ()
        answered = KeptPart.objects.filter(company=company, customer=None)
        #: The numbers of the questions of which everything is kept.
        self.known = set(answered.values_list("question", flat=True))

    def by_date(self, measure: Measure, asks: Sequence[Ask]) -> list[ByDate | None]:
        """Return what each date adds to the figure of the company, for each question; None where nothing is kept."""
        numbers = self._numbers(measure, asks)
        others: dict[int, Caveat] = {}
        found: dict[int, list[Dated]] = {}
        for number, is_of_others, day, amount, caveats in self._rows(_DATED, measure, asks, numbers):
            if is_of_others:
                others[number] = Caveat(caveats)
            else:
                found.setdefault(number, []).append(Dated(day, Decimal(amount), Caveat(caveats)))
        return [
            ByDate({self.company: found[one]} if one in found else {}, others[one]) if one in others else None
            for one in numbers
        ]

    def contributions(self, measure: Measure, ask: Ask) -> list[tuple[int, int, Decimal]] | None:
        """Return the company, each customer and what it adds to the figure; None if nothing is kept."""
        rows = self._rows(_CONTRIBUTIONS, measure, [ask], self._numbers(measure, [ask]))
        if all(customer is not None for customer, _amount in rows):
            return None
        return [(self.company, one, Decimal(amount)) for one, amount in rows if one is not None and amount is not None]

    def _numbers(self, measure: Measure, asks: Sequence[Ask]) -> list[int]:
        """Return the number of each question; 0, which no question has, if it is about another company."""
        return [_number(measure, ask) if ask.companies == (self.company,) else 0 for ask in asks]

    def _rows(
        self, select: str, measure: Measure, asks: Sequence[Ask], numbers: Sequence[int]
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a statement about what is kept, with what the changed customers add now."""
        known = {number: ask for number, ask in zip(numbers, asks, strict=True) if number in self.known}
        if not known:
            return []
        given = {"kept_company": self.company, "kept_questions": list(known)}
        if not self.changed:
            return run(select.format(added="", kept=_KEPT), given, is_for_some=True)
        added, of_added = _added(measure, known, self.changed)
        given |= {**of_added, "kept_changed": list(self.changed)}
        return run(select.format(added=f"WITH {added}", kept=_KEPT_AND_ADDED), given, is_for_some=True)


class Kept(Answers):
    """What is kept of a company, brought up to date for each question that is asked. It needs a transaction.

    `changed` are the customers of which something may have changed since the last computation; None if that is not
    known, and then everything is read again.
    """

    def __init__(self, company: int, changed: Collection[int] | None) -> None:
        rows = KeptPart.objects.filter(company=company)
        if changed is None:
            rows.delete()
        super().__init__(company)
        self._to_keep = tuple(sorted(changed or ()))
        # Of the known questions, those that are not complete lack the changed customers.
        rows.filter(customer__in=self._to_keep, question__in=self.known).delete()
        self._complete: set[int] = set()

    def forget_what_was_not_asked(self) -> None:
        """Delete what is kept for other questions: it lacks the changed customers."""
        KeptPart.objects.filter(company=self.company, question__in=self.known - self._complete).delete()

    def _numbers(self, measure: Measure, asks: Sequence[Ask]) -> list[int]:
        numbers = super()._numbers(measure, asks)
        if measure is people:  # the one measure that is no sum over customers
            return numbers
        asked = dict(zip(numbers, asks, strict=True))
        new = {number: ask for number, ask in asked.items() if number not in self.known}
        known = {number: ask for number, ask in asked.items() if number in self.known - self._complete}
        if new:
            self._keep(measure, new)
        if known and self._to_keep:
            self._keep(measure, known, self._to_keep)
        self.known.update(asked)
        self._complete.update(asked)
        return numbers

    def _keep(self, measure: Measure, asked: Mapping[int, Ask], customers: tuple[int, ...] | None = None) -> None:
        """Keep what customers add to the answers; without them, what all of them add, and that this is all."""
        added, given = _added(measure, asked, customers)
        empty = measure(*asked.values()).empty
        others = f"UNION ALL SELECT %(kept_company)s, question, NULL, NULL, NULL, 0, {empty} FROM asked"
        sql = f"""
            WITH {added}
            INSERT INTO competencies_keptpart (company_id, question, customer_id, counts_once, month, amount, caveat)
            SELECT %(kept_company)s, * FROM added {others if customers is None else ""}
        """
        run(sql, {**given, "kept_company": self.company}, is_for_some=True)


def _added(
    measure: Measure, asked: Mapping[int, Ask], customers: tuple[int, ...] | None
) -> tuple[str, Mapping[str, Any]]:
    """Return the parts of a WITH whose last one, `added`, has what customers add to the answers, and its parameters.

    `asked` are the questions that one statement answers, by their numbers; `customers` are all of them if None.
    """
    query = measure(*(replace(ask, by_customer=True, customers=customers) for ask in asked.values()))
    parts = f"""
        asked (question, place) AS (SELECT * FROM unnest(%(added_questions)s::bigint[]) WITH ORDINALITY),
        {", ".join(query.ctes)}, parts AS ({query.parts}), each AS (
            SELECT *, CASE WHEN workload = '' OR %(added_distinct)s THEN workload END AS counts_once FROM parts
        ), added AS (
            SELECT question, customer_id, counts_once, month, sum(amount) AS amount, bit_or(caveat) AS caveat
            FROM each JOIN asked ON asked.place = each.asked + 1 GROUP BY question, customer_id, counts_once, month
        )
    """
    return parts, {**query.given, "added_questions": list(asked), "added_distinct": query.is_distinct}


_KEPT = """
    SELECT question, customer_id, counts_once, month, amount, caveat FROM competencies_keptpart
    WHERE company_id = %(kept_company)s AND question = ANY(%(kept_questions)s)
"""
_KEPT_AND_ADDED = f"""
    {_KEPT} AND (customer_id IS NULL OR customer_id <> ALL(%(kept_changed)s)) UNION ALL SELECT * FROM added
"""
# What counts once is of the last month in which any customer has it.
_DATED = """
    {added}
    SELECT question, false, month, sum(amount), bit_or(caveat) FROM (
        SELECT question, max(month) AS month, bit_or(caveat) AS caveat,
            CASE WHEN counts_once > '' THEN 1 ELSE sum(amount) END AS amount
        FROM ({kept}) AS kept WHERE customer_id IS NOT NULL
        GROUP BY question, counts_once, CASE WHEN counts_once > '' THEN NULL ELSE month END
    ) AS each GROUP BY question, month
    UNION ALL
    SELECT question, true, NULL, 0, caveat FROM competencies_keptpart
    WHERE company_id = %(kept_company)s AND question = ANY(%(kept_questions)s) AND customer_id IS NULL
"""
# A customer that only says what is not known adds nothing, and what counts once is nobody's alone. The row without a
# customer says that the question is answered.
_CONTRIBUTIONS = """
    {added}
    SELECT customer_id, sum(amount) FILTER (WHERE counts_once IS NULL) FROM ({kept}) AS kept GROUP BY customer_id
"""
