"""From the rules of a programme to measures, from measures to facts, and from facts to verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import inf
from typing import NamedTuple, Protocol

from associations.credit import Credit, KindsSince, Only
from associations.record.rules import AssociationKind
from competencies.measures.asking import Ask, Size, Suppose, Window, ask_together, asked_once, measured, once
from competencies.measures.asking import Measure as MeasureOf
from competencies.measures.figures import Figure, Measured
from competencies.measures.named import MEASURES
from competencies.measures.tenants import tenants
from por.directory.models import Partner
from por.directory.rules import Product, Workload
from por.programs.calendars import WindowKind, month_end, months_later, newest_month
from por.programs.facts import TRACK, Facts
from por.programs.judging import Outcome, judge, with_earlier
from por.programs.quantity import Q, exact, hull
from por.programs.rules import CreditPolicy, Measure, Metric, Program, Version
from por.programs.scoring import BestOfOptions
from por.programs.tests import Compare, Is, Operator, parts_of

EVER = date.min
MARKET = "market"
#: What the tests of rules call what a measure looks at.
UNITS, WAS_SMALL, SPENT = "paid_units", "was_smb_last_year", "consumption_best_of_last_two_months"
#: The test that finds the track of a company by its customers, and the facts it asks for.
OF_TRACK, CUSTOMERS, SMALL_CUSTOMERS = "track_smb", "customers", "customers_smb"
ENTERPRISE, SMB = "enterprise", "smb"


def attain(
    program: Program, day: date, companies: Collection[int] | None = None, suppose: Suppose | None = None
) -> dict[int, Outcome]:
    """Return the verdict of each company on a day, by its key; none where no version is in force.

    With `suppose`, it is the verdict that would be, and right for the company that this is about.

    Each measure is one statement for all companies, and for all days and tracks. A score that has to qualify on any day
    of some months is judged on the days on which its facts can differ.
    """
    with asked_once():
        return _attain(program, day, None if companies is None else tuple(companies), suppose)


def _attain(
    program: Program, day: date, companies: tuple[int, ...] | None, suppose: Suppose | None
) -> dict[int, Outcome]:
    version = program.on(day)
    if version is None:
        return {}
    months = _months_of_score(version)
    days = _days(program, version, day)
    ask_together(asked_for(program, day, companies, suppose))
    facts, *earlier = (facts_of(program, of, one, companies, suppose) for one, of in days)
    outcomes = {company: judge(program, version, one) for company, one in facts.items()}
    if months is None:
        return outcomes
    return {
        company: with_earlier(program, outcome, [one[company] for one in earlier], months)
        for company, outcome in outcomes.items()
    }


def _months_of_score(version: Version) -> int | None:
    """Return of how many months one is enough for a score to qualify; None where only the day itself counts."""
    rule = version.outcome.qualified if version.outcome else None
    return rule.on_any_day_of_months if rule is not None else None


def _days(program: Program, version: Version, day: date) -> list[tuple[date, Version]]:
    """Return the days that a verdict looks at, each with its rules: this one first, then the earliest."""
    months = _months_of_score(version)
    earlier = days_that_differ(day, months) if months is not None else []
    return [(day, version), *((one, before) for one in earlier if (before := program.on(one)) is not None)]


def asked_for(
    program: Program, day: date, companies: tuple[int, ...] | None = None, suppose: Suppose | None = None
) -> Iterator[tuple[MeasureOf, Ask]]:
    """Yield all that is asked for the verdict of a day."""
    version = program.on(day)
    for one, of in _days(program, version, day) if version is not None else ():
        yield from _asked(program, of, one, companies, suppose)


def days_that_differ(day: date, months: int) -> list[date]:
    """Return one day before this one for each newest month, from the first of the month so many months ago."""
    first = months_later(day.replace(day=1), 1 - months)
    ends = [month_end(months_later(first, number)) for number in range(months)]
    days = [one for one in (first, *ends) if one < day]
    return [one for one in days if newest_month(one) != newest_month(day)]


def _asked(
    program: Program, version: Version, day: date, companies: tuple[int, ...] | None, suppose: Suppose | None
) -> Iterator[tuple[MeasureOf, Ask]]:
    """Yield all that is asked for the facts of a day."""
    for one in questions(program, version, day, companies, suppose):
        yield MEASURES[one.measure], one.ask
    for ask in _asks_of_track(program, version, day, companies, suppose):
        yield tenants, ask


def facts_of(
    program: Program,
    version: Version,
    day: date,
    companies: tuple[int, ...] | None = None,
    suppose: Suppose | None = None,
) -> dict[int, Facts]:
    """Return what is known of each company on a day, for all metrics that are measured."""
    found = [
        (one.fact, measured(MEASURES[one.measure], one.ask))
        for one in questions(program, version, day, companies, suppose)
    ]
    choices = choices_of(program, version, day, companies, suppose)
    return {company: facts_from(found, program, company, choice, day) for company, choice in choices.items()}


def facts_from(
    found: Iterable[tuple[str, Figures]], program: Program, company: int, choice: Mapping[str, str], day: date
) -> Facts:
    """Return what is known of a company with these figures by fact, and with the choices that apply to it."""
    figures = {fact: of.of(company) for fact, of in found}
    values = _of_any_track({fact: quantity(figure) for fact, figure in figures.items()}, program)
    why = {fact: reasons for fact, figure in figures.items() if (reasons := figure.reasons)}
    return Facts(values, choice, day, str(company), why)


def choices_of(
    program: Program,
    version: Version,
    day: date,
    companies: tuple[int, ...] | None = None,
    suppose: Suppose | None = None,
) -> dict[int, dict[str, str]]:
    """Return which of a programme's choices apply to each company: its market, and its track."""
    tracks = _tracks(program, version, day, companies, suppose)
    return {
        company: ({MARKET: market} if market and MARKET in program.choices else {}) | tracks(company)
        for company, market in once(("markets", companies), partial(_markets, companies))
    }


def _markets(companies: tuple[int, ...] | None) -> list[tuple[int, str]]:
    """Return the companies with their markets."""
    wanted = Partner.objects.filter(organisation__parent=None)
    if companies is not None:
        wanted = wanted.filter(pk__in=companies)
    return list(wanted.values_list("pk", "market"))


def _of_any_track(values: dict[str, Q], program: Program) -> dict[str, Q]:
    """Return the facts of each track, and what they can be where the track is not known."""
    if TRACK not in program.choices:
        return values
    each: dict[str, list[Q]] = {}
    for fact, value in values.items():
        each.setdefault(fact.rpartition(".")[0], []).append(value)
    return values | {fact: hull(some) for fact, some in each.items()}


def quantity(figure: Figure) -> Q:
    """Return a figure as the engine's quantity."""
    return Q(-inf if figure.low is None else exact(figure.low), inf if figure.high is None else exact(figure.high))


# --- What is asked --------------------------------------------------------------------------------------------------


class Figures(Protocol):
    """The figures of companies for one fact."""

    def of(self, company: int) -> Figure: ...


class Question(NamedTuple):
    """A fact that the rules name, and what a measure is asked for it. It is of a metric, and perhaps of a track."""

    fact: str
    measure: str
    ask: Ask
    metric: str
    track: str


def questions(
    program: Program,
    version: Version,
    day: date,
    companies: tuple[int, ...] | None = None,
    suppose: Suppose | None = None,
) -> Sequence[Question]:
    """Return what is asked for the metrics of a version. Those that cannot be measured are left unknown."""
    # The version stands for itself: one that was stored may have other metrics than the one of today with its name.
    key = ("questions", program.id, id(version), day, companies, suppose)
    return once(key, lambda: (version, tuple(_questions(program, version, day, companies, suppose))))[1]


def _questions(
    program: Program, version: Version, day: date, companies: tuple[int, ...] | None, suppose: Suppose | None
) -> Iterator[Question]:
    of_tracks = program.choices[TRACK].of if TRACK in program.choices else ("",)
    for name, metric in version.metrics.items():
        if metric.measure is None or metric.measure not in MEASURES:
            continue
        for track in of_tracks:
            suffix = f".{track}" if track else ""
            ask = _ask(program, version, name, day, track, companies, suppose)
            if metric.measure is Measure.PEOPLE and not ask.credentials:
                continue  # the names of the credentials are not published
            for fact, one in _asks(name, metric, ask, track):
                yield Question(f"{fact}{suffix}", metric.measure, one, name, track)


def _asks(name: str, metric: Metric, ask: Ask, track: str) -> Iterable[tuple[str, Ask]]:
    """Yield what is asked for one metric: once, for each kind of association, or for two months apart."""
    if isinstance(metric.score, BestOfOptions):
        for kind, option in metric.score.options.items():
            if option.track not in ("", track):
                continue
            alone = replace(ask.credit, kinds=(KindsSince(EVER, (AssociationKind(kind),)),))
            yield f"{name}.{kind}", replace(ask, credit=alone)
    elif metric.measure is Measure.CONSUMPTION and ask.window.year_on_year:
        month = replace(ask, window=Window(months=1))
        yield "consumption_last_month", month
        yield "consumption_same_month_last_year", replace(ask, window=Window(months=1, months_ago=ask.window.months))
    else:
        yield name, ask


def _ask(
    program: Program,
    version: Version,
    name: str,
    day: date,
    track: str,
    companies: tuple[int, ...] | None,
    suppose: Suppose | None,
) -> Ask:
    metric, policy = version.metrics[name], version.policy(name, day, track)
    window = policy.window
    ask = Ask(
        _credit(policy),
        _only(policy),
        day,
        companies,
        Window(
            1 if window.kind is WindowKind.NEWEST_MONTH else window.months,
            year_on_year=window.kind is WindowKind.YEAR_ON_YEAR,
        ),
        not_services=policy.only.not_service,
        currency=program.currency or "USD",
        credentials=metric.holding.on(day) if metric.holding else (),
        suppose=_that_matters(metric, suppose),
    )
    if policy.only.revenue:
        ask = replace(ask, revenue_kind=policy.only.revenue)
    return _of_unit(ask, version, metric, track)


def _that_matters(metric: Metric, suppose: Suppose | None) -> Suppose | None:
    """Return what is supposed if it can change a metric: people count people, all others count units."""
    if suppose is None:
        return None
    supposed = suppose.people if metric.measure is Measure.PEOPLE else suppose.units.attached or suppose.units.detached
    return suppose if supposed else None


def _credit(policy: CreditPolicy) -> Credit:
    kinds = tuple(AssociationKind(kind) for kind in policy.kinds)
    # CSP before PAL: who is linked to a tenant gets nothing for what somebody sells there.
    is_yielding = policy.precedence and {AssociationKind.CSP, AssociationKind.PAL} <= set(kinds)
    return Credit(
        (KindsSince(EVER, kinds),),
        policy.retroactive,
        policy.own_tenant,
        yields=((AssociationKind.PAL, (AssociationKind.CSP,)),) if is_yielding else (),
    )


def _only(policy: CreditPolicy) -> Only:
    only = policy.only
    return Only(
        product=tuple(map(Product, only.product)), workload=tuple(map(Workload, only.workload)), trial=only.trial
    )


def _of_unit(ask: Ask, version: Version, metric: Metric, track: str) -> Ask:
    """Return the question with what the version's test of a unit asks of a tenant: its size, or what it spent."""
    names = (metric.unit_test, f"{metric.unit_test}_{track}") if metric.unit_test else ()
    for test in (version.tests[name] for name in names if name in version.tests):
        parts = [part for part in parts_of(test) if isinstance(part, Compare)]
        for part in parts:
            if list(part.value.names()) == [SPENT]:
                return replace(ask, spending=_number(part, track))
        bounds = [part for part in parts if list(part.value.names()) == [UNITS]]
        if bounds:
            is_promoted = any(isinstance(part, Is) and part.fact == WAS_SMALL for part in parts_of(test))
            return replace(ask, size=_size(bounds, track, is_promoted))
    return ask


def _size(bounds: list[Compare], track: str, is_promoted: bool) -> Size:
    least = {Operator.GTE: 0, Operator.GT: 1}
    most = {Operator.LTE: 0, Operator.LT: -1}
    lows = [int(_number(one, track)) + least[one.operator] for one in bounds if one.operator in least]
    highs = [int(_number(one, track)) + most[one.operator] for one in bounds if one.operator in most]
    return Size(min(lows), max(highs) if highs else None, promoted=is_promoted)


def _number(test: Compare, track: str) -> Decimal:
    figure = test.figure.of({TRACK: track} if track else {})
    assert figure.known
    exact = Fraction(figure.low)
    return Decimal(exact.numerator) / exact.denominator


# --- The track of a company -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tracks:
    """Finds the track of a company by the share of its small customers; none where the version has no such test."""

    version: Version
    customers: Measured | None = None
    small: Measured | None = None
    only: str = ""

    def __call__(self, company: int) -> dict[str, str]:
        if self.only:
            return {TRACK: self.only}
        if self.customers is None or self.small is None:
            return {}
        all_, small = quantity(self.customers.of(company)), quantity(self.small.of(company))
        met = self.version.tests[OF_TRACK].check(Facts({CUSTOMERS: all_, SMALL_CUSTOMERS: small})).met
        return {} if met is None else {TRACK: SMB if met else ENTERPRISE}


def _tracks(
    program: Program, version: Version, day: date, companies: tuple[int, ...] | None, suppose: Suppose | None
) -> _Tracks:
    """Return how the track of a company is found: by its customers of last month, where the version says so.

    Where all tracks are the same, the first one is taken.
    """
    if OF_TRACK not in version.tests:
        spending = _spending(program, version, day, companies, suppose)
        return _Tracks(version, only=spending[0][0] if spending else "")
    found = [measured(tenants, ask) for ask in _asks_of_track(program, version, day, companies, suppose)]
    if not found:
        return _Tracks(version)
    customers, small = found
    return _Tracks(version, customers, small)


def _asks_of_track(
    program: Program, version: Version, day: date, companies: tuple[int, ...] | None, suppose: Suppose | None
) -> list[Ask]:
    """Return what is asked to find the track of a company: its customers of last month, and the small ones.

    A customer is whoever spends enough in the track with the lower limit.
    """
    spending = _spending(program, version, day, companies, suppose)
    if not spending or OF_TRACK not in version.tests:
        return []
    ask = min((ask for _track, ask in spending), key=lambda one: one.spending or 0)
    ask = replace(ask, window=Window(months=1))
    return [ask, replace(ask, only=replace(ask.only, segment=(SMB,)))]


def _spending(
    program: Program, version: Version, day: date, companies: tuple[int, ...] | None, suppose: Suppose | None
) -> list[tuple[str, Ask]]:
    """Return what is asked of tenants by what they spend, by track."""
    return [
        (track, ask)
        for track in (program.choices[TRACK].of if TRACK in program.choices else ())
        for name, metric in version.metrics.items()
        if metric.measure is Measure.TENANTS
        and (ask := _ask(program, version, name, day, track, companies, suppose)).spending is not None
    ]
