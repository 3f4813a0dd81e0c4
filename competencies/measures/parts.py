"""What several measures are made of: the months of their questions, the units held in them, what is not reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from associations.credit import Units
from competencies.measures.asking import Ask, Size, last_instant
from competencies.measures.figures import Caveat


def months_cte(
    asks: Sequence[Ask], of: Callable[[Ask], Mapping[date, int]], name: str = "months"
) -> tuple[str, dict[str, Any]]:
    """Return the expression `months` and its parameters: the months of each question, by their signs in a difference.

    The other columns are all in which questions differ: the day, the place of the size in `sizes_of`, the spending, and
    the caveat of a month that is not reported. Of the parameters, `of_months` looks at the months.
    """
    sizes = sizes_of(asks)
    rows = [
        (asked, month, last_instant(month), sign, ask.day, sizes.index(ask.size) if ask.size else None, ask.spending)
        + (ask.caveat_of_month.value,)
        for asked, ask in enumerate(asks)
        for month, sign in of(ask).items()
    ]
    given = {f"{name}_{column}": [row[place] for row in rows] for place, column in enumerate(_COLUMNS)}
    arrays = ", ".join(f"%({name}_{column})s::{type_}[]" for column, type_ in _COLUMNS.items())
    sql = f"{name} AS (SELECT * FROM unnest({arrays}) AS month ({', '.join(_COLUMNS)}))"
    return sql, given | months_given(name, {row[1] for row in rows})


def months_given(name: str, months: Iterable[date]) -> dict[str, Any]:
    """Return the parameters of `of_months`."""
    in_order = sorted(set(months))
    return {name: in_order, f"{name}_from": in_order[0], f"{name}_to": in_order[-1]}


def of_months(month: str, name: str = "months") -> str:
    """Return the condition that a month is one of several, which are parameters.

    A plan that is kept leaves out the years that have none of them by the first and the last month, not by the list.
    """
    return f"{month} = ANY(%({name})s) AND {month} BETWEEN %({name}_from)s AND %({name}_to)s"


_COLUMNS = {
    "asked": "int",
    "month": "date",
    "instant": "timestamptz",
    "sign": "int",
    "day": "date",
    "size": "int",
    "spending": "numeric",
    "caveat": "int",
}


def sizes_of(asks: Sequence[Ask]) -> list[Size]:
    """Return the different sizes that are asked for."""
    return list(dict.fromkeys(ask.size for ask in asks if ask.size is not None))


def held_cte(of: Units) -> str:
    """Return the expression `held`: the units that were held at the end of each of the different `months`."""
    workload = ", units.workload" if of.by_workload else ""
    return f"""held AS (
        SELECT units.company, units.customer_id, units.subscription_id, units.started_on, months.month {workload}
        FROM units JOIN (SELECT DISTINCT month, instant FROM months) AS months ON {of.held_at("months.instant")}
    )"""


def usage_held(of: Units, *conditions: str) -> str:
    """Return the part of a FROM clause that joins `held` with the rows of usage of each unit and month."""
    return of.with_usage(of_months("usage.month"), *conditions, of="held", on=["usage.month = held.month"])


def not_reported(file: str = "usage") -> str:
    """Return the expression `not_reported`: those of `months` of which the whole estate has no row of a file."""
    return f"""not_reported AS MATERIALIZED (
        SELECT * FROM months WHERE month NOT IN (SELECT month FROM directory_reportedmonth WHERE file = '{file}')
    )"""


def caveats_of_months(ask: Ask, of: Units, caveat: Caveat | None = None) -> str:
    """Return SQL for the parts of companies that held a unit in a month that is not reported.

    Without a caveat, it is that of the month. A subscription that began after a month certainly had nothing in it.
    """
    return f"""
        SELECT DISTINCT asked, company, {each_customer(ask, "units")}, NULL::bigint, {of_nothing(ask)}, month,
            0::numeric, {"caveat" if caveat is None else caveat.value}
        FROM not_reported JOIN units ON {of.held_at("not_reported.instant")}
            AND {begun_by_end_of("not_reported.month", "units")}
    """


def each_customer(ask: Ask, of: str) -> str:
    """Return the customer of a part that is of no single one; if they are asked for by customer, that of a unit."""
    return f"{of}.customer_id" if ask.by_customer else "NULL::bigint"


def of_nothing(ask: Ask) -> str:
    """Return the workload of a part that adds nothing, but says what is not known of the figure."""
    return "''::varchar" if ask.by_customer else "NULL::varchar"


def begun_by_end_of(month: str, of: str) -> str:
    """Return the condition that the subscription of a unit had begun by the end of a month. Both are SQL."""
    return f"{of}.started_on < {month} + interval '1 month'"


def nothing_in(table: str) -> str:
    """Return SQL for the caveat of a table without rows."""
    return f"CASE WHEN EXISTS (SELECT FROM {table}) THEN 0 ELSE {Caveat.NO_FACTS.value} END"
