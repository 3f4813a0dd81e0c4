"""Which customers make the figures of a company, as far as the reader may see them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from associations.record.access import customers_visible_to
from competencies.facts import questions
from competencies.measures.asking import evidence
from competencies.measures.named import MEASURES
from competencies.results import Result
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer

#: How many customers of each metric are named.
MOST = 20


@dataclass(frozen=True)
class Contribution:
    """How much a customer adds to a figure."""

    customer: Customer
    amount: Decimal


@dataclass(frozen=True)
class Evidence:
    """The customers that make a figure, those that add most first; how many more there are, and how many are hidden.

    Hidden ones are those that the reader may not see: customers of other locations of the company.
    """

    customers: list[Contribution]
    more: int
    hidden: int


def evidence_of(actor: Actor, company: Organisation, result: Result, day: date) -> dict[str, Evidence]:
    """Return the evidence of each metric that counts customers or what they have.

    Where a metric is measured for each kind of association, a customer counts with the kind that gives it most.
    """
    found: dict[str, dict[int, Decimal]] = {}
    for question in questions(result.program, result.version, day, (company.pk,)):
        if question.track not in ("", result.track):
            continue
        amounts: dict[int, Decimal] = defaultdict(Decimal)
        for part in evidence(MEASURES[question.measure], question.ask).get(company.pk, []):
            if part.customer is not None:
                amounts[part.customer] += part.amount
        known = found.setdefault(question.metric, {})
        for customer, amount in amounts.items():
            known[customer] = max(amount, known.get(customer, amount))
    visible = customers_visible_to(actor).filter(pk__in={customer for one in found.values() for customer in one})
    customers = {one.pk: one for one in visible.select_related("organisation")}
    return {metric: _shown(amounts, customers) for metric, amounts in found.items() if amounts}


def _shown(amounts: dict[int, Decimal], customers: dict[int, Customer]) -> Evidence:
    known = [Contribution(customers[pk], amount) for pk, amount in amounts.items() if pk in customers]
    known.sort(key=lambda one: (-one.amount, one.customer.organisation.name, one.customer.pk))
    return Evidence(known[:MOST], max(0, len(known) - MOST), len(amounts) - len(known))
