"""What is asked of the measures on a day, each twice: in the product's words, and in those of the oracle.

The figures are those of the programmes: their kinds, windows and filters. A few are of no programme, so that every
setting is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from associations.credit import Credit, KindsSince, Only
from associations.record.rules import AssociationKind as Kind
from competencies.measures import growth, people, seats, sums, tenants
from competencies.measures.asking import Ask, Query, Size, Window
from por.directory.rules import Agreement, Product, Workload
from por.programs.rules import OwnTenant, Retroactive
from tests.competencies.measures.oracle import Known, Oracle, Rule, newest

OFFICE, MOBILITY = ("exo", "spo", "sfb", "yammer", "proplus"), ("intune", "aip", "aadp")
MODERN_WORK = ("exo", "spo", "teams", "yammer", "proplus", "intune")
SIZES = {"enterprise": Size(301), "smb": Size(11, 300, promoted=True)}
EVER = date(2000, 1, 1)
ASSOCIATED = date(2016, 5, 24)


class Case(NamedTuple):
    """A measure and what is asked of it, and the same question for the oracle."""

    name: str
    measure: Callable[[Ask], Query]
    ask: Ask
    oracle: Callable[[Oracle], dict[str, Known]]


def cases(day: date, companies: Collection[int] | None = None) -> list[Case]:
    """Return all that is asked on a day."""
    found = [*_competencies(day), *_platform(day), *_modern_work(day), *_azure(day), *_settings(day)]
    return [case._replace(ask=replace(case.ask, companies=companies)) for case in found]


def credit(*kinds: str, whole_window: bool = True, **more: object) -> Credit:
    retroactive = Retroactive.WINDOW if whole_window else Retroactive.FROM_ATTACH
    entry = KindsSince(EVER, tuple(Kind(kind) for kind in kinds))
    return Credit((entry,), retroactive, **more)  # type: ignore[arg-type]


def _competencies(day: date) -> list[Case]:
    by_day = Credit(
        (
            KindsSince(EVER, (Kind.DPOR,)),
            KindsSince(ASSOCIATED, (Kind.DPOR, Kind.DELEGATED_ADMIN, Kind.TRANSACTING)),
            KindsSince(date(2018, 9, 1), (Kind.DPOR, Kind.DELEGATED_ADMIN, Kind.TRANSACTING, Kind.FASTTRACK)),
        )
    )
    kinds: tuple[str, ...] = ("dpor",)
    if day >= ASSOCIATED:
        kinds = ("dpor", "delegated_admin", "transacting")
    if day >= date(2018, 9, 1):
        kinds = (*kinds, "fasttrack")
    office = Ask(by_day, Only(product=(Product.OFFICE365,), trial=False), day)
    sold = Rule(kinds, day, products=("office365",))
    active = Ask(by_day, Only(workload=tuple(map(Workload, OFFICE)), trial=False), day)
    mobile = Ask(by_day, Only(workload=tuple(map(Workload, MOBILITY)), trial=False), day)
    ems = (Product.EMS, Product.INTUNE, Product.AADP)
    of_ems = Ask(by_day, Only(product=ems, trial=False), day, first_of=ems)
    sets = (("exam:70-346", "exam:70-347"), ("cert:MCSA-O365",))
    words = Rule(kinds, day, workloads=OFFICE)
    return [
        Case("new", tenants.new_tenants, office, lambda one: one.new_tenants(sold, ("office365",))),
        Case("first", tenants.new_tenants, replace(office, first_of=()), lambda one: one.new_tenants(sold, ())),
        Case("lost", tenants.lost_tenants, office, lambda one: one.lost_tenants(sold)),
        Case("net", tenants.net_new_tenants, office, lambda one: one.net_new_tenants(sold, ("office365",))),
        Case("seats", seats.seats_of_new_subscriptions, office, lambda one: one.seats_of_new_subscriptions(sold)),
        Case("entitlements", sums.active_entitlements, active, lambda one: one.active_entitlements(words)),
        Case("licences", sums.paid_units, active, lambda one: one.paid_units(words)),
        Case(
            "mobility",
            sums.active_entitlements,
            mobile,
            lambda one: one.active_entitlements(replace(words, workloads=MOBILITY)),
        ),
        Case(
            "new of ems",
            tenants.new_tenants,
            of_ems,
            lambda one: one.new_tenants(
                Rule(kinds, day, products=("ems", "intune", "aadp")), ("ems", "intune", "aadp")
            ),
        ),
        Case("people", people.people, replace(office, credentials=sets), lambda one: one.people(sold, sets)),
    ]


def _platform(day: date) -> list[Case]:
    azure = Only(product=(Product.AZURE,), workload=(Workload.AZURE,), trial=False)
    found = []
    for whole_window in (True, False):
        ask = Ask(credit("dpor", "transacting", whole_window=whole_window), azure, day)
        rule = Rule(("dpor", "transacting"), day, whole_window, products=("azure",), workloads=("azure",))
        name = "platform, window" if whole_window else "platform, months"
        found.append(Case(name, sums.consumption, ask, lambda one, rule=rule: one.consumption(rule)))
    crm = Ask(credit("dpor"), Only(product=(Product.CRM_ONLINE,), trial=False), day)
    rule = Rule(("dpor",), day, products=("crm_online",))
    found.append(Case("revenue", sums.revenue, crm, lambda one: one.revenue(rule, "net_new_cloud")))
    return found


def _modern_work(day: date) -> list[Case]:
    only = Only(workload=tuple(map(Workload, MODERN_WORK)), trial=False)
    found = []
    for track, size in SIZES.items():
        for kinds in (("cpor",), ("dpor",), ("csp",), ("cpor", "dpor")):
            both = Window(year_on_year=True)
            ask = Ask(credit(*kinds, whole_window=False), only, day, window=both, size=size)
            rule = Rule(kinds, day, False, workloads=MODERN_WORK)
            name = f"{track}, {' and '.join(kinds)}"
            found += [
                Case(
                    f"adds, {name}",
                    tenants.tenants,
                    ask,
                    lambda one, rule=rule, track=track: one.tenants_of_size(rule, track),
                ),
                Case(
                    f"growth, {name}",
                    growth.active_users,
                    ask,
                    lambda one, rule=rule, track=track: one.growth(rule, track),
                ),
                Case(
                    f"deployments, {name}",
                    growth.deployed_tenants,
                    ask,
                    lambda one, rule=rule, track=track: one.deployed(rule, track),
                ),
            ]
    return found


def _azure(day: date) -> list[Case]:
    linked = ((Kind.PAL, (Kind.CSP,)),)
    only = Only(product=(Product.AZURE,), workload=(Workload.AZURE,), trial=False)
    ask = Ask(credit("csp", "dpor", "pal", whole_window=False, yields=linked), only, day)
    rule = Rule(("csp", "dpor", "pal"), day, False, ("azure",), ("azure",), sold_before_linked=True)
    spending = replace(ask, window=Window(year_on_year=True), spending=Decimal(100))
    year_before = replace(ask, window=Window(months=1, months_ago=12))
    return [
        Case("azure adds", tenants.tenants, spending, lambda one: one.spending_tenants(rule, 100)),
        Case("azure, twelve months", sums.consumption, ask, lambda one: one.consumption(rule)),
        Case(
            "azure, a year before",
            sums.consumption,
            year_before,
            lambda one: one.sum_of(rule, "usd", [newest(day).replace(year=newest(day).year - 1)]),
        ),
        Case(
            "services", sums.services, replace(ask, not_services=("Virtual Machines",)), lambda one: one.services(rule)
        ),
        Case(
            "azure of the day",
            sums.consumption,
            replace(ask, credit=replace(ask.credit, retroactive=Retroactive.WINDOW)),
            lambda one: one.consumption(replace(rule, whole_window=True)),
        ),
        Case(
            "azure of small customers",
            sums.consumption,
            replace(ask, only=replace(only, segment=("smb",))),
            lambda one: one.consumption(replace(rule, segments=("smb",))),
        ),
    ]


def _settings(day: date) -> list[Case]:
    """Return settings that no computed programme has, or not together: they belong to money."""
    workloads = ("exo", "teams", "intune")
    words = tuple(map(Workload, workloads))
    usage = Only(workload=words, trial=False, not_agreement=(Agreement.OPEN, Agreement.CSP), not_sku=("E5", "EMS"))
    ask = Ask(credit("dpor", "osa_form", whole_window=False, one_per_subscription=True), usage, day)
    rule = Rule(
        ("dpor", "osa_form"), day, False, workloads=workloads, not_agreements=("OPEN", "CSP"), not_skus=("E5", "EMS")
    )
    one_each = replace(rule, one_per_subscription=True)
    own = replace(ask, credit=replace(ask.credit, own_tenant=OwnTenant.EXCLUDE, one_per_subscription=False))
    every = ("dpor", "pal", "delegated_admin", "csp", "transacting", "osa_form", "fasttrack")
    whole = Ask(credit(*every), Only(workload=words), day)
    claims_first = ((Kind.DPOR, (Kind.CPOR,)),)
    claimed = Ask(credit("cpor", "dpor", whole_window=False, yields=claims_first), Only(workload=words), day)
    return [
        Case("one each", sums.active_entitlements, ask, lambda one: one.active_entitlements(one_each)),
        Case(
            "one each, on the day",
            sums.active_entitlements,
            replace(ask, credit=replace(ask.credit, retroactive=Retroactive.WINDOW)),
            lambda one: one.active_entitlements(replace(one_each, whole_window=True)),
        ),
        Case("own left out", sums.paid_units, own, lambda one: one.paid_units(replace(rule, own_tenant=False))),
        Case(
            "every kind and trials",
            sums.active_entitlements,
            whole,
            lambda one: one.active_entitlements(Rule(every, day, workloads=workloads, paid_only=False)),
        ),
        Case(
            "claims before record",
            sums.active_entitlements,
            claimed,
            lambda one: one.active_entitlements(
                Rule(("cpor", "dpor"), day, False, workloads=workloads, paid_only=False, claims_first=True)
            ),
        ),
    ]
