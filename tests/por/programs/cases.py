"""The one adapter between worked examples and rules: which rule a case asks, and what its inputs are called there.

It reads and names, and computes nothing. A case gives a part of the facts, so it is judged by those alone
(`given_only`). Figures of the rule that stand among the inputs must equal those of the rule. What is given as null is
unknown: a fact that nobody loaded, a figure that nobody published, a day that nobody told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from associations.claims.policies import policy_of, policy_on
from associations.kinds.queries import HowMany, what_counts
from associations.record.rules import AssociationKind
from por.programs import gates
from por.programs.attribution import MonthOfCustomer, reduce_adds
from por.programs.calendars import follow, month_end
from por.programs.facts import Facts
from por.programs.figures import Figure, Status
from por.programs.judging import NO_LEVEL, judge, qualify, score_metric
from por.programs.lifecycle import Standing, stage
from por.programs.quantity import EVERYTHING, Q, exact, point, total
from por.programs.reading import read_programs
from por.programs.reducing import (
    reduce_consumption_value,
    reduce_entitlements,
    reduce_instances,
    reduce_track,
)
from por.programs.rules import Program, Retroactive, Version
from por.programs.scoring import BestOfOptions, Ladder, Linear, PerUnit, RateTimesUnits, Scored
from por.programs.values import Derived

ROOT = Path(__file__).parents[3]
RULES = [ROOT / "competencies" / "rules", ROOT / "incentives" / "rules"]
SOURCES = RULES[0] / "sources.yaml"
#: What is expected in words for people. It is not compared.
PROSE = {"rule", "resume_when", "result"}
PROSE_PREFIX = "status_until_"
#: Sums of the ledger of incentives, which is not built yet.
WAITING = {
    ("incentive.any", "adjustment"),
    ("incentive.any", "cap_balance"),
    ("incentive.any", "estimated_payment_month"),
}
Answer = Mapping[str, Any]


class UnknownCase(LookupError):
    """No rule is known for this programme and metric, or an input has a name that is not known there."""


@cache
def programs() -> dict[str, Program]:
    return read_programs(RULES, SOURCES)


#: What every case has.
SHAPE = {"id": str, "program": str, "metric": str, "inputs": Mapping, "expected": Mapping}


def read_cases(file: Path) -> list[Case]:
    loaded = json.loads(file.read_text(encoding="utf-8"), parse_float=Fraction)
    return [Case.of(one) for one in loaded["examples"]]


@dataclass
class Case:
    id: str
    program: str
    metric: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    as_of: str
    track: str | None
    tolerance: Fraction
    used: set[str] = field(default_factory=set)

    @property
    def day(self) -> date:
        return _day(self.inputs, self.as_of)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Case:
        for key, kind in SHAPE.items():
            if not isinstance(given.get(key), kind):
                raise UnknownCase(f"the case {given.get('id', given)} has no {key} of the right form")
        inputs = given["inputs"]
        return cls(
            given["id"],
            given["program"],
            given["metric"],
            inputs,
            given["expected"],
            given.get("as_of", ""),
            given.get("track") or inputs.get("track"),
            Fraction(given.get("tolerance", 0)),
        )

    def take(self, name: str, default: Any = None) -> Any:
        self.used.add(name)
        return self.inputs.get(name, default)

    def version(self, program: str | None = None) -> Version:
        name = self.program if program is None else program
        found = programs()[name].on(self.day)
        if found is None:
            raise NoRule(f"{name} has no rule on {self.day}")
        return found


class NoRule(LookupError):
    """No version is in force on the day, so that nothing can be said."""


def _day(inputs: Mapping[str, Any], as_of: str) -> date:
    """Return the day that decides the rules: the case's own month, else the end of the first period of `as_of`."""
    for name, value in inputs.items():
        if (name == "month" or name.endswith("_month")) and isinstance(value, str):
            return month_end(date.fromisoformat(f"{value[:7]}-01"))
    for pattern, read in _PERIODS:
        if found := re.match(pattern, as_of.strip()):
            return read(*found.groups())
    raise ValueError(f"as_of {as_of!r} names no period")


_PERIODS: list[tuple[str, Callable[..., date]]] = [
    (r"FY(\d\d)", lambda year: date(2000 + int(year), 6, 30)),
    (r"(\d{4})-H([12])", lambda year, half: date(int(year), 6, 30) if half == "1" else date(int(year), 12, 31)),
    (r"(\d{4}-\d\d-\d\d)", date.fromisoformat),
    (r"(\d{4}-(?:0[1-9]|1[0-2]))(?!\d)", lambda month: month_end(date.fromisoformat(f"{month}-01"))),
    (r"(\d{4})", lambda year: date(int(year), 12, 31)),
]


def answer(case: Case) -> Answer:
    """Return what the rules say about a case. Raises UnknownCase by name."""
    handler = HANDLERS.get((case.program, case.metric))
    if handler is None:
        raise UnknownCase(f"no rule is known for ({case.program}, {case.metric})")
    try:
        given = handler(case)
    except NoRule:
        return dict.fromkeys(case.expected)
    if unknown := case.inputs.keys() - case.used - {"track"}:
        raise UnknownCase(f"{case.program}, {case.metric}: the input {min(unknown)} is not known")
    return given


def differences(case: Case) -> list[str]:
    """Return where the answer differs from what the case expects."""
    given = answer(case)
    if not case.expected:
        raise UnknownCase(f"{case.program}, {case.metric}: nothing is expected")
    found = []
    for name, expected in case.expected.items():
        if name in PROSE or name.startswith(PROSE_PREFIX):
            continue
        if name not in given:
            raise UnknownCase(f"{case.program}, {case.metric}: the result {name} is not known")
        if not agrees(given[name], expected, case.tolerance, name):
            found.append(f"{name}: {given[name]!r}, expected {expected!r} (rules of {case.day})")
    return found


def agrees(given: Any, expected: Any, tolerance: Fraction, name: str = "") -> bool:
    if isinstance(expected, Mapping):
        return isinstance(given, Mapping) and all(
            one in given and agrees(given[one], value, tolerance) for one, value in expected.items()
        )
    if name.endswith("_any_of"):
        return bool(set(given) & set(expected))
    if expected in (None, "undetermined"):
        return given is None or (name == "level" and expected is None and given == NO_LEVEL)  # null: no level
    if isinstance(expected, bool) or isinstance(given, bool) or given is None:
        return given is expected
    if isinstance(expected, int | Fraction):
        return abs(Fraction(given) - expected) <= tolerance
    return given == expected


# --- What is shared by the handlers ----------------------------------------------------------------------------------


def said(value: Q) -> Any:
    """Return a number, or None if it is undetermined."""
    return value.low if value.known else None


def value_of(given: Any) -> Any:
    """Return an input as a fact. One that is given as null is unknown."""
    if given is None or given == "unknown":
        return EVERYTHING
    if isinstance(given, bool):
        return given
    return word(given) if isinstance(given, str) else point(exact(given))


def word(given: str) -> str:
    """Return an association as the rules write it: "OSA form only" is osa_form."""
    return given.lower().removesuffix(" only").strip().replace("-", "_").replace(" ", "_")


def facts_of(case: Case, names: Mapping[str, str], **choice: str) -> Facts:
    """Return the facts of a case by the names of the rule, with its choices."""
    found: dict[str, Any] = {}
    for given, fact in names.items():
        if given in case.inputs:
            for one in fact.split():
                found.setdefault(one, value_of(case.take(given)))
    market = case.take("market")
    chosen = {
        "market": None if market in ("any", "unknown") else market,
        "track": case.track,
        "path": word(case.take("path") or "") or None,
        "option": case.take("option"),
        **choice,
    }
    known = choices()
    for name, one in chosen.items():
        if one and one not in known[name]:
            raise UnknownCase(f"{case.program}, {case.metric}: the {name} {one} is not known")
    return Facts(found, {name: one for name, one in chosen.items() if one}, case.day, given_only=True)


@cache
def choices() -> Mapping[str, set[str]]:
    """Return what the rules let figures depend on, and the options of their levels."""
    found: dict[str, set[str]] = {"option": set()}
    for program in programs().values():
        for name, choice in program.choices.items():
            found.setdefault(name, set()).update(choice.of)
        for version in program.versions:
            found["option"].update(version.outcome.options if version.outcome else ())
    return found


UNPUBLISHED = Figure(EVERYTHING, Status.UNKNOWN, (), published=False)


def same(given: Any, figure: Figure, facts: Facts, name: str) -> Figure:
    """Return the figure of the rule, which the case has to repeat; an unpublished one where the case has null."""
    if given is None:
        return UNPUBLISHED
    assert point(exact(given)) == figure.of(facts.choice), f"{name} is not the figure of the rule"
    return figure


def same_figure(case: Case, name: str, figure: Figure, facts: Facts) -> Figure:
    """Return the figure of the rule. The case does not have to name it."""
    return same(case.take(name), figure, facts, name) if name in case.inputs else figure


def day_of(given: str | None) -> date | None:
    """Return a day, or the first one of a month; None if it is not told."""
    return None if given is None else date.fromisoformat(given if len(given) > len("2021-03") else f"{given}-01")


def scored(case: Case, metric: str, facts: Facts, program: str | None = None) -> Scored:
    return score_metric(metric, case.version(program).metrics[metric], facts)


def scored_by(score: Any, case: Case, metric: str, facts: Facts, program: str | None = None) -> Scored:
    """Return what a metric is worth by a score that stands in place of its own."""
    return score_metric(metric, replace(case.version(program).metrics[metric], score=score), facts)


# --- Levels and life cycle -------------------------------------------------------------------------------------------

LEVEL_INPUTS: dict[str, dict[str, str]] = {
    "competency.smcs": {
        "people_with_70_347": "people_with_exam people",
        "certified_people": "people_with_exam people",
        "net_new_o365_customers_ttm": "net_new_customers new_customers",
        "net_new_customers_ttm": "net_new_customers new_customers",
        "new_customers_ttm": "net_new_customers new_customers",
        "new_customers": "new_customers",
        "lost_customers": "lost_customers",
        "seats_sold_ttm": "seats_sold",
        "pci_score": "pci_score",
    },
    "competency.cloud_productivity": {
        "active_entitlements": "active_entitlements",
        "certified_people": "certified_people",
        "seats_sold_ttm": "seats_sold",
    },
    "competency.cloud_platform": {
        "azure_consumption_usd_ttm": "azure_consumption",
        "certified_people": "qualified_people",
        "qualified_people": "qualified_people",
        "assessed_people": "qualified_people",
    },
    "competency.enterprise_mobility_management": {
        "new_ems_customers_ttm": "new_customers",
        "active_entitlements": "active_entitlements",
        "assessed_people": "assessed_people",
        "certified_people": "assessed_people",
    },
    "competency.cloud_crm": {
        "net_new_cloud_revenue_usd_ttm": "net_new_cloud_revenue",
        "certified_people": "certified_people",
        "seats_sold_ttm": "seats_sold",
    },
    "competency.cloud_business_applications": {
        "net_new_cloud_revenue_usd_ttm": "net_new_cloud_revenue",
        "total_revenue_usd": "total_revenue",
        "total_revenue_usd_ttm": "total_revenue",
        "technical_people": "technical_people",
        "functional_people": "functional_people",
        "pci_score": "pci_score",
    },
    "competency.data_analytics": {"power_bi_seats": "power_bi_seats", "certified_people": "certified_people"},
    "competency.windows_and_devices": {"devices_ttm": "devices", "devices": "devices"},
    "pci": {"pci_score": "pci_score"},
    "action_pack.extras": {"seats_sold_ttm": "seats_sold"},
}


def level(case: Case) -> Answer:
    program = programs()[case.program]
    outcome = judge(program, case.version(), facts_of(case, LEVEL_INPUTS[case.program]))
    return {"level": outcome.level, **{f"meets_{name}": outcome.meets(name) for name in program.levels}}


def lifecycle(case: Case) -> Answer:
    rule = case.version().lifecycle
    assert rule is not None
    named = [name for name in ("anniversary", "anniversary_on", "anniversary_date") if name in case.inputs]
    anniversary = case.take(named[0]) if named else None
    found = stage(
        rule,
        Standing(
            case.take("all_metrics_met"),
            case.take("started", True),  # who is in the report has begun
            case.take("fee_paid"),
            case.take("forecast_at_anniversary_below_threshold"),
            date.fromisoformat(anniversary) if anniversary else None,
        ),
        date.fromisoformat(case.take("day")) if "day" in case.inputs else case.day,
    )
    return {"stage": found.name, "at_risk": found.at_risk}


def entitlements(case: Case) -> Answer:
    counted = case.version().metrics["active_entitlements"].only
    assert counted is not None
    assert counted.trial is False  # what is called trial_… is not among the workloads
    active = {name.lower(): value_of(users) for name, users in case.take("tenant").items()}
    return {"active_entitlements": said(reduce_entitlements(active, counted.workload))}


# --- Days ------------------------------------------------------------------------------------------------------------


def days(given: str, names: Mapping[str, str], program: str | None = None) -> Callable[[Case], Answer]:
    """Return a handler of a calendar: from the input's day or month to each of the days."""

    def handler(case: Case) -> Answer:
        calendar = case.version(program).calendar
        begin = day_of(case.take(given))
        for ignored in ("kind", "payout_sent", "written_off_usd"):
            case.take(ignored)
        if begin is None:
            return dict.fromkeys(names)
        found = {name: follow(calendar[steps], begin) for name, steps in names.items()}
        return {name: f"{day:%Y-%m}" if name.endswith("_in") else day.isoformat() for name, day in found.items()}

    return handler


def window(case: Case) -> Answer:
    calendar = case.version().calendar
    prefix = "enrolled_" if case.take("enrolled") else ""
    named = [name for name in ("anniversary", "anniversary_month", "today") if name in case.inputs]
    day = day_of(case.take(named[0]))
    case.take("today")
    steps = {f"window_{end}": calendar[f"{prefix}window_{end}"] for end in ("start", "end")}
    return {name: None if day is None else follow(each, day).isoformat() for name, each in steps.items()}


def cycle(case: Case) -> Answer:
    figures = case.version().figures
    return {kind: said(figures[f"cycle_day_{kind}"].value) for kind in case.take("kinds")}


# --- Scores ----------------------------------------------------------------------------------------------------------


def points(names: Mapping[str, str], metric: str = "", program: str | None = None, value: str = "value"):  # type: ignore[no-untyped-def]
    """Return a handler of one metric. Its threshold and maximum must be those of the rule where the case has them."""

    def handler(case: Case) -> Answer:
        name = metric or case.metric
        facts = facts_of(case, names)
        score = case.version(program).metrics[name].score
        for given in ("threshold", "threshold_usd"):
            if isinstance(score, Linear):
                score = replace(score, at=same_figure(case, given, score.at, facts))
        if isinstance(score, Linear | PerUnit):
            score = replace(score, max=same_figure(case, "max_points", score.max, facts))
        found = scored_by(score, case, name, facts, program)
        return {"points": said(found.points), value: said(found.value)}

    return handler


def growth_of_consultants(case: Case) -> Answer:
    names = {
        "baseline": "consultants_at_baseline",
        "current": "consultants",
        "certified_consultants_at_first_pci_competency": "consultants_at_first_competency",
    }
    months = case.version().figures["consultants_at_first_competency_valid_months"]
    found = scored(case, case.metric, facts_of(case, names))
    return {"points": said(found.points), "valid_months": said(months.value)}


def large_deployments(case: Case) -> Answer:
    threshold = case.version().figures["new_large_deployments_mau"]
    facts = facts_of(case, {})
    tenants = [
        (value_of(one["mau_12m_ago"]), value_of(one["max_mau_next_11m"]), value_of(one.get("production_instances", 1)))
        for one in case.take("tenants")
    ]
    instances = reduce_instances(tenants, threshold.of(facts.choice))
    found = scored(case, case.metric, facts.having(**{case.metric: instances}))
    return {"qualifying_instances": said(instances), "points": said(found.points)}


def ladder(prefix: str = "") -> Callable[[Case], Answer]:
    def handler(case: Case) -> Answer:
        facts = facts_of(case, {"elective_people": f"{prefix}elective"})
        for number, people in enumerate(case.take("required_steps"), 1):
            facts = facts.having(**{f"{prefix}required_{number}": value_of(people)})
        score = case.version().metrics[case.metric].score
        assert isinstance(score, Ladder)
        rule = case.take("rule")
        if rule is not None:
            score = _ladder_of(rule, score, facts)
        return {"points": said(scored_by(score, case, case.metric, facts).points)}

    return handler


def _ladder_of(rule: Mapping[str, Any], score: Ladder, facts: Facts) -> Ladder:
    """Return the ladder of the rule, with the figures that the case has."""

    def of(given: Mapping[str, Any], of_rule: Any, *names: str) -> Any:
        return replace(of_rule, **{name: same(given[name], getattr(of_rule, name), facts, name) for name in names})

    assert len(rule["required"]) == len(score.required), "other required steps than those of the rule"
    pairs = zip(rule["required"], score.required, strict=True)
    steps = tuple(of(given, step, "min_people", "points") for given, step in pairs)
    return replace(of(rule, score, "elective_points", "max"), required=steps)


def options(case: Case) -> Answer:
    facts = facts_of(case, {})
    score = case.version().metrics[case.metric].score
    assert isinstance(score, BestOfOptions)
    each = dict(score.options)
    for kind, given in case.take("options").items():
        option = each[kind.lower()]
        assert option.track in ("", case.track), f"{kind} does not count in the track {case.track}"
        if "threshold" in given:
            each[kind.lower()] = replace(option, at=same(given["threshold"], option.at, facts, "threshold"))
        facts = facts.having(**{f"{case.metric}.{kind.lower()}": value_of(given["growth"])})
    score = replace(score, max=same_figure(case, "max_points", score.max, facts), options=each)
    found = scored_by(score, case, case.metric, facts)
    raw = {kind.upper(): said(one) for kind, one in found.parts.items()}
    return {"points": said(found.points), "raw_points": raw}


def generic_adds(case: Case) -> Answer:
    """Return the points in the area whose figures these are. The page of all areas shows one of them.

    Figures of no area are judged as any area would: in proportion.
    """
    threshold, most = (value_of(case.take(one)) for one in ("threshold", "max_points"))
    for name, program in programs().items():
        version = program.on(case.day)
        score = (
            version.metrics["net_customer_adds"].score if version and "net_customer_adds" in version.metrics else None
        )
        for track in program.choices["track"].of if name.startswith("pcs.") and "track" in program.choices else ():
            facts = facts_of(case, {"net_adds": "net_customer_adds"}, track=track)
            if score is not None and _figures(score, facts) == (threshold, most):
                return {"points": said(scored(case, "net_customer_adds", facts, name).points)}
    of_case = Linear(*(replace(UNPUBLISHED, value=one, published=one.known) for one in (most, threshold)))
    value = value_of(case.take("net_adds"))
    return {"points": said(of_case.score(case.metric, value, Facts({})).points)}


def _figures(score: Any, facts: Facts) -> tuple[Q, Q]:
    """Return the value that gives all points, and these."""
    most = score.max.of(facts.choice)
    return score.at.of(facts.choice) if isinstance(score, Linear) else most / score.each.of(facts.choice), most


def qualification(case: Case) -> Answer:
    rule = case.version().outcome
    assert rule is not None
    assert rule.qualified is not None
    given = {name: value_of(one) for name, one in case.take("metric_points").items()}
    qualified, _codes = qualify(rule.qualified, given, Facts({}))
    return {"total": said(total(given.values())), "qualified": qualified}


def passes(test: str, names: Mapping[str, str], *, given_only: bool = True) -> Callable[[Case], Answer]:
    """Return a handler of a named test of a version: that of the track where there is one."""

    def handler(case: Case) -> Answer:
        tests = case.version().tests
        named = f"{test}_{case.track}"
        facts = replace(facts_of(case, names), given_only=given_only)
        return {"eligible": tests[named if named in tests else test].check(facts).met}

    return handler


def track_of_customers(case: Case) -> Answer:
    small = case.version().tests["track_smb"]
    met = small.check(facts_of(case, {"customers_total": "customers", "customers_smb": "customers_smb"})).met
    return {"track": None if met is None else "smb" if met else "enterprise"}


def track_of_enrolment(case: Case) -> Answer:
    words = case.version().words
    monthly = case.take("monthly_tracks_in_window")
    return {"enrolment_track": reduce_track(monthly, words["enrolment_track_wins"], words["enrolment_track_other"])}


#: Short names of workloads on the page of Business Applications.
WORKLOADS = {"ce": "customer_engagement", "f&o": "finance_and_operations", "power_apps_per_app": "power_apps"}


def consumption_value(case: Case) -> Answer:
    rates = {name.removeprefix("mcv_"): one for name, one in case.version().figures.items()}
    alone = {name: case.take(name) for name in ("workload", "units", "rate", "unit") if name in case.inputs}
    lines = case.take("lines")
    units: list[tuple[Q, Q]] = []
    for one in [alone] if lines is None else lines:
        rate = rates[WORKLOADS.get(word(one["workload"]), word(one["workload"]))]
        if "rate" in one:
            rate = same(one["rate"], rate, Facts({}), "rate")
        units.append((value_of(one["units"]), rate.value))
    return {"mcv": said(reduce_consumption_value(units))}


# --- Attribution -----------------------------------------------------------------------------------------------------

PCI_METRICS = ("net_new_revenue", "net_customer_adds", "new_deployments", "mau_growth")


def attribution(case: Case) -> Answer:
    rule = case.version().attribution
    assert rule is not None
    attached = {kind.lower(): partner for kind, partner in case.take("subscription").items() if partner is not None}
    basis = re.sub(r"\W|sales.*|_", "", (case.take("cpor_basis") or "").split(" (")[0].lower())
    return rule.credited(attached, {"pre": "presales"}.get(basis, basis), PCI_METRICS)


def adds(case: Case) -> Answer:
    version = case.version()
    assert version.attribution is not None
    case.take("scenario")
    events = case.take("events") or ()
    if any(one["customer_paid_seats"] is None for one in events):
        return {"net": None}
    months = [
        MonthOfCustomer(date.fromisoformat(f"{one['m']}-01"), one["customer_paid_seats"], one["partners"])
        for one in events
    ]
    return {"credit": version.words["rewon_customer"], "net": reduce_adds(version.attribution, months)}


# --- Incentives ------------------------------------------------------------------------------------------------------

GATE_INPUTS = {
    "association": "association",
    "customer_tenant": "customer_tenant",
    "partner_tenant": "partner_tenant",
    "pau": "pau",
    "mau": "mau",
    "prior_hwm": "prior_hwm",
    "agreement_signed": "agreement_signed",
    "trial": "trial",
    "workload": "workload",
}


def eligibility(case: Case) -> Answer:
    case.take("month")
    passed = gates.check(case.version().gates, facts_of(case, GATE_INPUTS), case.day)
    codes = [one.code for one in passed.blocked if one.certain]
    known = {"reason_code": codes[0] if codes else None, "reason_code_any_of": codes}
    return {"eligible": passed.earns, **known}


def fee(names: Mapping[str, str], metrics: Mapping[str, str]) -> Callable[[Case], Answer]:
    """Return a handler of amounts: for each expected name a metric."""

    def handler(case: Case) -> Answer:
        case.take("months_managed")
        product = case.take("product") or "office365"
        facts = facts_of(case, names, product=word(product), acquired=case.take("acquired") or "")
        found = {}
        for name, metric in metrics.items():
            score = case.version().metrics[metric].score
            if isinstance(score, RateTimesUnits) and isinstance(score.times[-1], Figure):
                lever = same_figure(case, "lever", score.times[-1], facts)
                score = replace(score, times=(*score.times[:-1], lever))
            found[name] = said(scored_by(score, case, metric, facts).points)
        return found

    return handler


def high_water_mark(case: Case) -> Answer:
    names = {"pau": "pau", "mau": "mau", "prior_hwm": "prior_hwm", "rate_usd": "rate", "max_earning_usd": "max_earning"}
    found = scored(case, case.metric, facts_of(case, names))
    return {
        "opportunity_units": said(found.parts["opportunity_units"]),
        "potential_earnings_usd": said(found.parts["potential"]),
        "max_compensable_units": said(found.parts["max_units"]),
        "capped_earning_usd": said(found.parts["capped"]),
        "compensable_units": said(found.parts["units"]),
        "earning_usd": said(found.points),
    }


def minimum(case: Case) -> Answer:
    names = {"cumulative_unpaid_usd": "unpaid", "program_year_end": "program_year_end"}
    released = case.version().tests["release"].check(facts_of(case, names)).met
    return {"statement_issued": released, "held": None if released is None else not released}


def active(case: Case) -> Answer:
    version = case.version()
    snapshot, last = (day_of(case.take(one)) for one in ("snapshot", "last_intentional_action"))
    since = point((snapshot - last).days) if snapshot and last else EVERYTHING
    return {"active": version.tests["active"].check(Facts({"days_since_last_action": since})).met}


def named_value(name: str, result: str, names: Mapping[str, str]) -> Callable[[Case], Answer]:
    def handler(case: Case) -> Answer:
        version = case.version()
        facts = facts_of(case, names)
        value = version.values[name]
        if "gate" in case.inputs and isinstance(value, Derived) and value.by is not None:
            value = replace(value, by=same_figure(case, "gate", value.by, facts))
        return {result: said(value.of(facts))}

    return handler


# --- Rules of other rooms --------------------------------------------------------------------------------------------


def consent(case: Case) -> Answer:
    day = day_of(case.take("approved_on"))
    if day is None:
        return dict.fromkeys(case.expected)
    approved = datetime(day.year, day.month, day.day, tzinfo=UTC)
    term = policy_of(approved).consent_lapses_after
    if term is None:
        return dict.fromkeys(case.expected)
    return {
        "customer_opt_out_business_days": term.days if term.business else None,
        "customer_opt_out_days": None if term.business else term.days,
        "sent_to_incentive_evaluation_on_or_after": term.end(approved, ZoneInfo("UTC")).date().isoformat(),
    }


def review(case: Case) -> Answer:
    case.take("states")
    policy = policy_on(case.day)
    terms = {
        "submitted_max_business_days": policy.start_review_within,
        "review_business_days": policy.review_within,
        "partner_response_business_days": policy.answer_within,
    }
    found: dict[str, Any] = {
        name: term.days if term is not None and term.business else None for name, term in terms.items()
    }
    return {**found, "dispute_days_after_rejection": policy.dispute_within.days}


def retroactivity(case: Case) -> Answer:
    """Return whether what was sold or consumed counts in the last twelve months for an association set on a day.

    With the whole window, it may have been before the association. By months, a month counts to who held at its end.
    """
    program = word(case.take("program"))
    name = "competency.cloud_platform" if program in ("cloud_platform", "azure") else "competency.smcs"
    version = case.version(name)
    policy = version.policy(next(iter(version.metrics)), case.day)
    day = day_of(case.take("dpor_set_on"))
    sold, months = case.take("subscription_sold_on"), case.take("azure_consumption_months") or ()
    ends = [end for one in months for end in one.split("..")]
    days = [found for one in (sold, *ends) if (found := day_of(one)) is not None]
    if day is None or not days:
        return {"counts_in_ttm": None}
    if policy.retroactive is not Retroactive.WINDOW:
        return {"counts_in_ttm": all(month_end(one) >= day for one in days)}
    first, last = policy.window.span(day)
    return {"counts_in_ttm": first <= days[-1] <= last}


def uniqueness(case: Case) -> Answer:
    for name in ("subscription", "existing_por", "new_por"):
        case.take(name)
    (kind,) = [one for one in what_counts(case.day, ["how_many"]) if one.kind is AssociationKind.DPOR]
    return {"count": 1 if kind.answers[0].says is HowMany.ONE else None}


# --- The table -------------------------------------------------------------------------------------------------------

ADDS = {"net_adds": "net_customer_adds"}
AZURE_ADDS = {
    "eligible_last_month": "eligible_last_month",
    "eligible_same_month_last_year": "eligible_same_month_last_year",
}
AZURE_USAGE = {
    "acr_last_month": "consumption_last_month",
    "acr_same_month_last_year": "consumption_same_month_last_year",
}
MAU = {"mau_now": "mau_now", "mau_12_months_ago": "mau_12_months_ago"}
REVENUE = {"net_new_revenue_usd": "net_new_revenue"}
#: The generic programme of the three Azure areas, which share everything but skilling; a test holds that.
AZURE = "pcs.azure.infrastructure"


def _people(metric: str) -> Callable[[Case], Answer]:
    return points({"certified_people": metric, "people": metric, "count": metric})


def _pci(program: str) -> dict[tuple[str, str], Callable[[Case], Answer]]:
    return {
        (program, "net_new_revenue"): points(REVENUE),
        (program, "net_customer_adds"): points(ADDS),
        (program, "functional_consultants"): _people("functional_consultants"),
        (program, "developers"): _people("developers"),
        (program, "new_large_deployments"): large_deployments,
        (program, "mau_growth"): points(MAU),
    }


def _modern_work() -> dict[tuple[str, str], Callable[[Case], Answer]]:
    tenant = {"max_paid_licenses_in_any_workload": "paid_units", "was_smb_last_year": "was_smb_last_year"}
    deployed = {
        "mau": "mau",
        "paid_licenses": "paid",
        "claimed_within_12_months": "claimed_within_12_months",
        "above_40_percent_at_claim": "above_40_percent_at_claim",
        "already_above_40_percent_at_claim": "above_40_percent_at_claim",
    }
    program = "pcs.modern_work"
    return {
        (program, "net_customer_adds"): points(ADDS),
        (program, "skilling_intermediate"): _people("skilling_intermediate"),
        (program, "skilling_advanced"): _people("skilling_advanced"),
        (program, "usage_growth"): options,
        (program, "deployments"): options,
        (program, "eligible_tenant"): passes("tenant", tenant, given_only=False),
        (program, "eligible_deployment"): passes("deployed", deployed),
    }


def _azure() -> dict[tuple[str, str], Callable[[Case], Answer]]:
    services = {"distinct_services_with_acr_gt_0_excluding_vm": "deployments"}
    found: dict[tuple[str, str], Callable[[Case], Answer]] = {}
    for program, rule in [
        ("pcs.azure", AZURE),
        *((f"pcs.azure.{area}", None) for area in ("data_ai", "infrastructure", "digital_app")),
    ]:
        found |= {
            (program, "net_customer_adds"): points(AZURE_ADDS, program=rule, value="net_adds"),
            (program, "usage_growth"): points(AZURE_USAGE, program=rule, value="growth_pct"),
            (program, "deployments"): points(services, program=rule),
        }
    return found | {
        ("pcs.azure", "eligible_customer"): _in(
            AZURE,
            passes("eligible_customer", {"acr_usd_best_of_last_two_months": "consumption_best_of_last_two_months"}),
        ),
        ("pcs.azure", "qualification_track"): _in(AZURE, track_of_customers),
        ("pcs.azure", "enrolment_track"): _in(AZURE, track_of_enrolment),
        ("pcs.azure.data_ai", "intermediate"): ladder(),
        **{
            (f"pcs.azure.{area}", step): ladder(f"{step}_")
            for area in ("infrastructure", "digital_app")
            for step in ("intermediate", "advanced")
        },
    }


def _in(program: str, handler: Callable[[Case], Answer]) -> Callable[[Case], Answer]:
    """Return a handler that asks the rules of another programme."""

    def asked(case: Case) -> Answer:
        case.program = program
        return handler(case)

    return asked


def _business_applications() -> dict[tuple[str, str], Callable[[Case], Answer]]:
    program = "pcs.business_applications"
    return {
        (program, "net_customer_adds"): points(ADDS),
        (program, "intermediate_certifications"): _people("intermediate_certifications"),
        (program, "advanced_certifications"): _people("advanced_certifications"),
        (program, "usage_growth"): points(
            {"mcv_last_month": "mcv_last_month", "mcv_same_month_last_year": "mcv_same_month_last_year"},
            value="growth_pct",
        ),
        (program, "deployments"): points({"net_new_deployments": "deployments"}),
        (program, "monthly_consumption_value"): consumption_value,
        (program, "eligible_customer"): passes("customer", {"revenue_usd_in_month": "revenue_of_month"}),
    }


def _security() -> dict[tuple[str, str], Callable[[Case], Answer]]:
    program = "pcs.security"
    return {
        (program, "net_customer_adds"): points(
            {"azure_adds": "azure_adds", "m365_adds": "m365_adds"}, value="net_adds"
        ),
        (program, "intermediate"): ladder(),
        (program, "usage_growth"): points(
            {
                "m365_protected_user_growth": "m365_protected_user_growth",
                "azure_security_acr_growth_usd": "azure_security_growth",
            }
        ),
        (program, "deployments"): points({"net_new_deployments": "deployments"}),
    }


def _incentives() -> dict[tuple[str, str], Callable[[Case], Answer]]:
    seats = {"seats": "seats"}
    sell = {**seats, "annual_value_per_seat_usd": "annual_value_per_seat_usd", "accelerator": "accelerator_due"}
    used = {"active_users": "active_users", "rate_card_value_usd": "rate_card_value"}
    aadp = {one: one for one in ("users_third_party_app", "users_sspr", "users_mfa")}
    timeline = "payment_timeline"
    return {
        **{
            (program, metric): eligibility
            for metric in ("eligibility", "ineligibility")
            for program in (
                "incentive.any",
                "incentive.azure",
                "incentive.osa_sell",
                "incentive.osu",
                "incentive.osu_m365",
                "incentive.osu_bizapps",
                "incentive.mci_modern_work_usage",
            )
        },
        ("incentive.any", "earning_start"): days("all_requirements_met_in", {"earning_start": "earning_start"}),
        ("incentive.azure", timeline): days("consumption_month", {"computed_in": "computed_in", "paid_in": "paid_in"}),
        ("incentive.mci_bizapps_presales", timeline): days(
            "usage_month", {"earnings_available_by": "earnings_available_by"}
        ),
        ("incentive.mci_modern_work_usage", timeline): days(
            "usage_month", {"earnings_available_by": "earnings_available_by"}
        ),
        ("incentive.mci_modern_work_usage", "compensable_units"): high_water_mark,
        ("incentive.osa_osu", timeline): days("cycle_end", {"bank_deposit_by": "bank_deposit_by"}),
        ("incentive.osa_osu", "cycle_day"): cycle,
        ("incentive.osa_osu", "minimum_payment"): minimum,
        ("incentive.osa_sell", "claim_cutoff"): days(
            "month", {"monthly_cutoff": "monthly_cutoff", "claim_by": "claim_by"}
        ),
        ("incentive.osa_sell", "snapshot"): days("payment_month", {"snapshot_date": "snapshot"}),
        ("incentive.osa_sell", "fee"): fee(
            sell, {"sell_usd": "sell", "manage_usd_per_month": "manage_a_month", "accelerator_usd": "accelerator"}
        ),
        ("incentive.osu", "usage_fee"): fee(used, {"fee_usd": "usage_fee"}),
        ("incentive.o365_advisor", "usage_fee"): fee(used, {"fee_usd": "usage_fee"}),
        ("incentive.osu", "active_entitlement"): active,
        ("incentive.osu", "active_usage_aadp"): named_value("active_users_of_aadp", "active_users", aadp),
        ("incentive.fasttrack_fund", "tiered_amount"): fee(seats, {"amount_usd": "amount"}),
        ("incentive.fasttrack_fund", "active_usage_gate"): named_value("required_active", "required_active", seats),
        ("payout.marketplace", "recoupment"): days(
            "write_off",
            {
                "negative_transaction_on": "negative_transaction_on",
                "future_payouts_withheld_from": "future_payouts_withheld_from",
            },
        ),
    }


HANDLERS: dict[tuple[str, str], Callable[[Case], Answer]] = {
    **{(program, "level"): level for program in LEVEL_INPUTS},
    ("competency", "lifecycle"): lifecycle,
    ("competency", "renewal_window"): days("purchase_date", {"renewal_window_opens": "renewal_opens"}),
    ("competency.cloud_productivity", "active_entitlements"): entitlements,
    ("pci", "attribution"): attribution,
    ("pci", "net_customer_adds"): adds,
    ("pci", "publication_date"): days("data_month", {"published_on": "published"}),
    **_pci("pci.cba"),
    **_pci("pci.smcs_cba_smb"),
    ("pci.cba", "functional_consultant_growth"): growth_of_consultants,
    ("pcs.generic", "net_customer_adds"): generic_adds,
    ("pcs.generic", "qualification"): qualification,
    ("pcs.generic", "qualification_window"): window,
    **_modern_work(),
    **_azure(),
    **_business_applications(),
    **_security(),
    **_incentives(),
    ("cpor", "consent"): consent,
    ("cpor", "review_sla"): review,
    ("por", "retroactivity"): retroactivity,
    ("por", "uniqueness"): uniqueness,
}
