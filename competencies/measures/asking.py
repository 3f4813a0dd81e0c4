"""What a measure is asked, how its statement is put together and run, and what comes back.

A measure is a function that takes an Ask and returns a Query. The statement is one for all companies; for some of them
it has one condition more. The same rows are summed for a figure and listed as its evidence. A measure of whole months
takes several questions that differ in little, and its statement answers all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from associations.credit import Credit, Only, Supposed, Units, units
from associations.record.models import end_of
from associations.record.policies import months_before
from competencies.measures.figures import ByDate, Caveat, Dated, Figure, Measured
from por.db.prepared import NAMED, Statement
from por.directory.rules import Product
from por.programs.calendars import month_end, newest_month
from por.programs.rules import Retroactive


class Of(Enum):
    """Which figure of usage is added up."""

    ACTIVE_USERS = "active_users"
    PAID_UNITS = "paid_units"
    CONSUMED_USD = "consumed_usd"


@dataclass(frozen=True)
class Window:
    """The time a measure looks at: whole months up to the newest one, or the months' worth of days up to the day.

    `year_on_year` takes off the same of a year before.
    """

    months: int = 12
    months_ago: int = 0
    year_on_year: bool = False


@dataclass(frozen=True)
class Size:
    """The size of a tenant: its largest workload's paid units, which are in this range, both ends included.

    With `promoted`, a tenant that was in the range a year before and is larger now is of this size, too.
    """

    low: int
    high: int | None = None
    promoted: bool = False


@dataclass(frozen=True)
class Group:
    """So many people, each with the same credentials."""

    count: int
    credentials: tuple[str, ...]


@dataclass(frozen=True)
class Suppose:
    """What would be from a day on: other associations of a company, and people who join it with their credentials."""

    day: date
    units: Supposed
    people: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Ask:
    """What is asked of a measure. `companies` are keys of organisations; None means all.

    With `suppose`, the answer is what would be, and right for the company that it is about.

    With `by_customer`, each part of a figure is of one customer, also where a part is otherwise of the whole company;
    with `customers`, only parts of these are answered.

    The rest is for single measures: the products whose first subscription makes a tenant new, and whose last one loses
    it (empty: those of `only`, or all); the size of tenants; the US dollars with which a tenant is a customer; the
    share of paid units in use that makes a deployment; the beginnings of services that do not count; the kind and
    currency of revenue; the credentials that a person needs, one of these sets.
    """

    credit: Credit
    only: Only
    day: date
    companies: tuple[int, ...] | None = None
    window: Window = field(default_factory=Window)
    first_of: tuple[Product, ...] | None = None
    last_of: tuple[Product, ...] = (Product.OFFICE365,)
    size: Size | None = None
    spending: Decimal | None = None
    share: Decimal = Decimal("0.40")
    not_services: tuple[str, ...] = ()
    revenue_kind: str = "net_new_cloud"
    currency: str = "USD"
    credentials: tuple[tuple[str, ...], ...] = ()
    suppose: Suppose | None = None
    by_customer: bool = False
    customers: tuple[int, ...] | None = None

    @property
    def newest_month(self) -> date:
        """Return the first day of the newest whole month: that of the day only if the day is its last."""
        return months_before(newest_month(self.day), self.window.months_ago)

    @property
    def days_after(self) -> date:
        """Return the day after which the window of days begins: the same day, months ago."""
        return months_before(self.day, self.window.months)

    @property
    def months(self) -> list[date]:
        """Return the whole months of the window, the oldest first."""
        return [months_before(self.newest_month, back) for back in range(self.window.months)][::-1]

    def units(self, *, periods: bool = False) -> Units:
        supposed = self.suppose.units if self.suppose else None
        return units(
            *(self.credit, self.only, self.day, self.companies),
            customers=self.customers,
            periods=periods,
            supposed=supposed,
        )

    @property
    def caveat_of_month(self) -> Caveat:
        """Return what a month without any report means: in a difference the figure may be smaller, too."""
        year_on_year = self.window.year_on_year
        return Caveat.MONTH_OF_DIFFERENCE_NOT_REPORTED if year_on_year else Caveat.MONTH_NOT_REPORTED

    @property
    def is_of_periods(self) -> bool:
        """Return whether each month has its own holders; otherwise those of the day have the whole window."""
        return self.credit.retroactive is not Retroactive.WINDOW


def units_of(asks: Sequence[Ask], *, periods: bool = False) -> Units:
    """Return the units of questions that differ in day, window, size and spending: with periods, those of all days."""
    assert periods or len({ask.day for ask in asks}) == 1
    return max(asks, key=lambda ask: ask.day).units(periods=periods)


@lru_cache(4096)
def last_instant(month: date) -> datetime:
    """Return the last instant of a month, in which it is decided whose it is."""
    return end_of(month_end(month)) - timedelta(microseconds=1)


class Part(NamedTuple):
    """A part of a figure: a tenant, a subscription or a month of one, and how much it adds.

    `month` is the month that is counted, or the day in a window of days.
    """

    customer: int | None
    subscription: int | None
    workload: str | None
    month: date | None
    amount: Decimal
    caveats: Caveat


@dataclass(frozen=True)
class Query:
    """A measure as SQL.

    `parts` selects asked, company, customer_id, subscription_id, workload, month, amount and caveat. `asked` is the
    place of a question among those that the statement answers. `empty` is the caveat of a company without parts, as
    SQL. With `is_distinct`, a workload that several customers have counts once.
    """

    ctes: tuple[str, ...]
    parts: str
    given: Mapping[str, Any]
    empty: str = "0"
    is_distinct: bool = False

    def figures(self) -> tuple[str, Mapping[str, Any]]:
        """Return the statement with a row for each question and company, and one without them for all others."""
        return (
            f"""
            WITH {", ".join(self.ctes)}, parts AS ({self.parts})
            SELECT asked, company, coalesce(sum(amount), 0), bit_or(caveat) FROM parts GROUP BY asked, company
            UNION ALL SELECT NULL, NULL, 0, {self.empty}
            """,
            self.given,
        )

    def dated(self) -> tuple[str, Mapping[str, Any]]:
        """Return the statement with a row for each question, company and date of its parts; one without for others."""
        return (
            f"""
            WITH {", ".join(self.ctes)}, parts AS ({self.parts})
            SELECT asked, company, month, coalesce(sum(amount), 0), bit_or(caveat) FROM parts
            GROUP BY asked, company, month
            UNION ALL SELECT NULL, NULL, NULL, 0, {self.empty}
            """,
            self.given,
        )

    def evidence(self) -> tuple[str, Mapping[str, Any]]:
        """Return the statement with all parts of the figures."""
        return (
            f"""
            WITH {", ".join(self.ctes)}, parts AS ({self.parts})
            SELECT company, customer_id, subscription_id, workload, month, amount, caveat FROM parts
            ORDER BY company, customer_id, subscription_id, month, workload
            """,
            self.given,
        )

    def contributions(self) -> tuple[str, Mapping[str, Any]]:
        """Return the statement with a row for each company and customer, and what the customer adds."""
        return (
            f"""
            WITH {", ".join(self.ctes)}, parts AS ({self.parts})
            SELECT company, customer_id, sum(amount) FROM parts WHERE customer_id IS NOT NULL
            GROUP BY company, customer_id
            """,
            self.given,
        )


Measure = Callable[[Ask], Query]
Several = TypeVar("Several", bound=Callable[..., Query])
T = TypeVar("T")

_of_several: set[Callable[..., Query]] = set()


def of_several(measure: Several) -> Several:
    """Mark a measure of whole months, which takes several questions that differ in day, window, size and spending."""
    _of_several.add(measure)
    return measure


class Keeper(Protocol):
    """What is kept of a company, and answers questions about it. None is an answer that is not kept."""

    def by_date(self, measure: Measure, asks: Sequence[Ask]) -> Sequence[ByDate | None]: ...

    def contributions(self, measure: Measure, ask: Ask) -> Sequence[tuple[int, int, Decimal]] | None: ...


class _Remembered(dict[Hashable, Any]):
    """The answers of a block in which each question is asked once; by date as well, if a page shows the dates."""

    def __init__(self, *, by_date: bool, keeper: Keeper | None) -> None:
        super().__init__()
        self.by_date = by_date
        self.keeper = keeper


_remembered: ContextVar[_Remembered | None] = ContextVar("remembered", default=None)


@contextmanager
def asked_once(*, by_date: bool = False, keeper: Callable[[], Keeper | None] = lambda: None) -> Iterator[None]:
    """Ask each question once within the block: programmes and their tracks have many in common.

    With `by_date`, each statement also tells what each date adds, so that this is not asked again. A keeper answers
    what it can. A block within another one is a part of it, and looks for no keeper.
    """
    if _remembered.get() is not None:
        yield
        return
    found = keeper()
    token = _remembered.set(_Remembered(by_date=by_date or found is not None, keeper=found))
    try:
        yield
    finally:
        _remembered.reset(token)


def once(key: Hashable, work: Callable[[], T]) -> T:
    """Return what the work returns; within `asked_once`, what it returned the first time."""
    remembered = _remembered.get()
    if remembered is None:
        return work()
    if key not in remembered:
        remembered[key] = work()
    return cast(T, remembered[key])


def measured(measure: Measure, ask: Ask) -> Measured:
    """Return the figure of each company; within `asked_once`, that of the first time."""
    return once((measure, ask), lambda: _measured(measure, (ask,))[0])


def ask_together(questions: Iterable[tuple[Measure, Ask]]) -> None:
    """Ask what is new of these, within `asked_once`: one statement for those that one statement can answer."""
    remembered = _remembered.get()
    assert remembered is not None
    alike: dict[Hashable, list[Ask]] = {}
    for measure, ask in dict.fromkeys(questions):
        if (measure, ask) not in remembered:
            alike.setdefault((measure, _in_common(measure, ask)), []).append(ask)
    for (measure, _), asks in alike.items():  # type: ignore[misc]
        for ask, found in zip(asks, _measured(measure, asks), strict=True):
            remembered[measure, ask] = found


def _in_common(measure: Measure, ask: Ask) -> Hashable:
    """Return what questions have in common that one statement answers."""
    if measure not in _of_several:
        return ask
    day = date.max if ask.is_of_periods else ask.day
    same = tuple(getattr(ask, name) for name in _ALIKE)
    return *same, day, ask.credit.kinds_on(ask.day), ask.size is None, ask.spending is None


#: The fields that questions of one statement have in common.
_ALIKE = tuple(one.name for one in fields(Ask) if one.name not in {"day", "window", "size", "spending"})


def _measured(measure: Measure, asks: Sequence[Ask]) -> list[Measured]:
    """Return the answer to each question."""
    remembered = _remembered.get()
    if remembered is not None and remembered.by_date:
        found = _dated(measure, asks)
        remembered |= {(dated, measure, ask): one for ask, one in zip(asks, found, strict=True)}
        return [one.measured for one in found]
    figures: list[dict[int, Figure]] = [{} for _ask in asks]
    others = Figure.of(Decimal(0), Caveat(0))
    for asked, company, amount, caveat in _rows(asks[0], *measure(*asks).figures()):
        figure = Figure.of(Decimal(amount), Caveat(caveat))
        if asked is None:
            others = figure
        else:
            figures[asked][company] = figure
    return [Measured(one, others) for one in figures]


def dated(measure: Measure, ask: Ask) -> ByDate:
    """Return what each date adds to the figure of each company; within `asked_once`, what it was the first time."""
    return once((dated, measure, ask), lambda: _dated(measure, (ask,))[0])


def _dated(measure: Measure, asks: Sequence[Ask]) -> list[ByDate]:
    remembered = _remembered.get()
    keeper = None if remembered is None else remembered.keeper
    found = dict(enumerate(keeper.by_date(measure, asks))) if keeper is not None else {}
    not_kept = [place for place in range(len(asks)) if found.get(place) is None]
    if not_kept:
        found |= zip(not_kept, _read(measure, [asks[place] for place in not_kept]), strict=True)
    return [cast(ByDate, found[place]) for place in range(len(asks))]


def _read(measure: Measure, asks: Sequence[Ask]) -> list[ByDate]:
    found: list[dict[int, list[Dated]]] = [{} for _ask in asks]
    others = Caveat(0)
    for asked, company, day, amount, caveats in _rows(asks[0], *measure(*asks).dated()):
        if asked is None:
            others = Caveat(caveats)
        else:
            found[asked].setdefault(company, []).append(Dated(day, Decimal(amount), Caveat(caveats)))
    return [ByDate(one, others) for one in found]


def evidence(measure: Measure, ask: Ask) -> Mapping[int, Sequence[Part]]:
    """Return the parts that make the figure of each company; within `asked_once`, those of the first time."""
    return once((evidence, measure, ask), lambda: _evidence(measure, ask))


def _evidence(measure: Measure, ask: Ask) -> dict[int, list[Part]]:
    found: dict[int, list[Part]] = {}
    rows = _rows(ask, *measure(ask).evidence())
    for company, customer, subscription, workload, month, amount, caveat in rows:
        part = Part(customer, subscription, workload, month, Decimal(amount), Caveat(caveat))
        found.setdefault(company, []).append(part)
    return found


def contributions(measure: Measure, ask: Ask) -> Sequence[tuple[int, int, Decimal]]:
    """Return company, customer and what the customer adds to the figure of the company.

    Within `asked_once`, it is what it was the first time, and evidence that was asked for before is added up, which is
    the same.
    """
    return once((contributions, measure, ask), lambda: _contributions(measure, ask))


def _contributions(measure: Measure, ask: Ask) -> Sequence[tuple[int, int, Decimal]]:
    remembered, key = _remembered.get(), (evidence, measure, ask)
    if remembered is not None and key in remembered:
        return list(_by_customer(remembered[key]))
    if remembered is not None and remembered.keeper is not None:
        kept = remembered.keeper.contributions(measure, ask)
        if kept is not None:
            return kept
    rows = _rows(ask, *measure(ask).contributions())
    return [(company, customer, Decimal(amount)) for company, customer, amount in rows]


def _by_customer(parts: Mapping[int, Sequence[Part]]) -> Iterator[tuple[int, int, Decimal]]:
    for company, of_company in parts.items():
        amounts: dict[int, Decimal] = {}
        for part in of_company:
            if part.customer is not None:
                amounts[part.customer] = amounts.get(part.customer, Decimal(0)) + part.amount
        yield from ((company, customer, amount) for customer, amount in amounts.items())


def _rows(ask: Ask, sql: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return run(sql, given, is_for_some=ask.companies is not None)


#: The settings of PostgreSQL for statements about all companies, and about some. A plan that is kept from before an
#: import, when tables were small, must not read them whole after it.
FOR_ALL = ("enable_nestloop = off",)
FOR_SOME = (*FOR_ALL, "enable_seqscan = off", "plan_cache_mode = force_generic_plan")


def run(sql: str, given: Mapping[str, Any], *, is_for_some: bool) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows. It has no nested loops but where it looks up something by LATERAL.

    The planner cannot know how many units there are, nor how many were held at an instant: it takes them for few, and
    would compare all rows with all. For some companies it only looks up, whatever the values are: so the server keeps
    the plan, which takes longer to make than to carry out.
    """
    of_types = tuple((name, _type_of(value)) for name, value in given.items())
    return _statement(sql, of_types, is_kept=is_for_some).rows(given)


@lru_cache(256)
def _statement(sql: str, of_types: tuple[tuple[str, str], ...], *, is_kept: bool) -> Statement:
    types = dict(of_types)
    typed = NAMED.sub(lambda found: f"{found[0]}{types[found[1]]}", sql)
    return Statement.named(typed, planned_each_time=not is_kept, settings=FOR_SOME if is_kept else FOR_ALL)


def _type_of(value: Any) -> str:
    """Return what is written behind a value. Where all of a list is unknown, the server finds its type."""
    is_list = isinstance(value, list)
    known = next((one for one in value if one is not None), None) if is_list else value
    name = next((name for type_, name in _TYPES.items() if isinstance(known, type_)), "")
    return f"::{name}{'[]' if is_list else ''}" if name else ""


#: The types of PostgreSQL. A bool is an int as well, and a datetime is a date.
_TYPES = {
    bool: "boolean",
    int: "bigint",
    str: "text",
    Decimal: "numeric",
    datetime: "timestamptz",
    date: "date",
}
