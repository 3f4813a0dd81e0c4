"""What each customer adds to the figures of companies, and how much of that is kept with a result.

Of a figure of a company, the customers that add most are kept, with their amounts; of the rest, their number and sum.
What has no history (a company's market, locations and own tenants, and which subscriptions are trials) is kept as it
was used. As JSON:

    {"metrics": {"new_customers": {"customers": [[7, "1"], [9, "1"]], "rest": [0, "0"]}},
     "used": {"market": "developed", "locations": [4], "own_tenants": [7], "trials": 0}}

where 7 and 9 are keys of customers, and 4 is that of a location.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from associations.record.models import Association
from competencies.facts import questions
from competencies.measures.asking import contributions
from competencies.measures.named import MEASURES
from competencies.results import track_of_figures
from por.directory.models import Customer, Partner
from por.directory.queries import partners_of
from por.programs.rules import Program, Version

#: How many customers of a metric are kept: about two kilobytes for each metric at most.
MOST = 100
#: How many locations and own tenants are kept.
MOST_USED = 100

#: What each customer adds, by its key, for each metric of a company.
Amounts = Mapping[str, Mapping[int, Decimal]]


def contributions_of(
    program: Program,
    version: Version,
    day: date,
    companies: Collection[int],
    tracks: Mapping[int, str | None],
) -> dict[int, Amounts]:
    """Return what each customer adds to the metrics of companies that have a track or none, by the rules of it.

    Where a metric is measured for each kind of association, a customer counts with the kind that gives it most.
    """
    wanted = {"", *tracks.values()}
    found: dict[int, dict[str, dict[int, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    for question in questions(program, version, day, tuple(sorted(companies))):
        if question.track not in wanted:
            continue
        for company, customer, amount in contributions(MEASURES[question.measure], question.ask):
            if company in tracks and question.track in ("", tracks[company]):
                known = found[company][question.metric]
                known[customer] = max(amount, known.get(customer, amount))
    return {company: dict(metrics) for company, metrics in found.items()}


def kept(
    program: Program, day: date, results: Mapping[int, Mapping[str, Any]], used: Mapping[int, Any]
) -> dict[int, dict[str, Any]]:
    """Return the evidence that is kept with the results of companies.

    It is asked for all companies in `used`, so that within `asked_once` programmes with the same measures ask once.
    """
    version = program.on(day)
    assert version is not None
    tracks = {company: track_of_figures(one["track"], one["why"]) for company, one in results.items()}
    found = contributions_of(program, version, day, used.keys(), tracks)
    return {
        company: {
            "metrics": {metric: _kept(amounts) for metric, amounts in found.get(company, {}).items()},
            "used": used[company],
        }
        for company in results
    }


def _kept(amounts: Mapping[int, Decimal]) -> dict[str, Any]:
    most_first = sorted(amounts.items(), key=lambda one: (-one[1], one[0]))
    rest = [amount for _customer, amount in most_first[MOST:]]
    return {
        "customers": [[customer, _text(amount)] for customer, amount in most_first[:MOST]],
        "rest": [len(rest), _text(sum(rest, Decimal(0)))],
    }


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def used_of(companies: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return what has no history, as it is today, for each company."""
    found: dict[int, dict[str, Any]] = {
        company: {"market": "", "locations": [], "own_tenants": [], "trials": 0} for company in companies
    }
    company_of = partners_of(companies)
    partners = Partner.objects.filter(pk__in=company_of).order_by("pk")
    tenants: dict[Any, int] = {}
    for pk, market, tenant in partners.values_list("pk", "market", "own_tenant_id"):
        company = company_of[pk]
        used = found[company]
        if pk == company:
            used["market"] = market
        elif len(used["locations"]) < MOST_USED:
            used["locations"].append(pk)
        if tenant is not None:
            tenants[tenant] = company
    for pk, tenant in Customer.objects.filter(tenant_id__in=tenants).order_by("pk").values_list("pk", "tenant_id"):
        own = found[tenants[tenant]]["own_tenants"]
        if len(own) < MOST_USED:
            own.append(pk)
    trials = Association.objects.not_undone().filter(partner__in=company_of, subscription__is_trial=True)
    each: dict[int, set[Any]] = defaultdict(set)
    for partner, subscription in trials.values_list("partner", "subscription"):
        each[company_of[partner]].add(subscription)
    for company, subscriptions in each.items():
        found[company]["trials"] = len(subscriptions)
    return found
