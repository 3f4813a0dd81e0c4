"""Parts of long lists, for pages, the API and files.

A part continues after a row, not after a number of rows. So no row is skipped or repeated when others come or go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, cast

from django.core import signing
from django.core.exceptions import EmptyResultSet
from django.db.models import Model, Q, QuerySet

from por.db.prepared import Param, PreparedQuery, Statement

Row = TypeVar("Row")


class CursorInvalid(ValueError):
    """The cursor was not made by this list."""


@dataclass(frozen=True)
class Part(Generic[Row]):
    """Some rows of a list in its order, and the cursors of the parts before and after; each is empty at its end."""

    rows: list[Row]
    previous: str
    next: str


class Shape(Protocol):
    """What the SQL of a list depends on. Lists of one shape share their prepared queries."""

    @property
    def planned_each_time(self) -> bool: ...

    def rows(self) -> QuerySet[Any, Any]:
        """Return the list as named tuples, or models, with Params in place of values."""

    def first_rows(self, order: tuple[str, ...], size: int, after: Sequence[Any] | None) -> QuerySet[Any, Any]:
        """Return the list, or a part that has its first `size` rows in this order, of those past `after` if given."""
        return self.rows()

    def __hash__(self) -> int:
        return super().__hash__()


@dataclass(frozen=True)
class Prepared:
    """A list of named tuples, or models, that is read by prepared queries. `given` are the values of its Params."""

    model: type[Model]
    shape: Shape
    given: Mapping[str, Any]
    of_models: bool = False

    def count(self, most: int) -> int:
        """Return the number of rows, at most this number."""
        return _count(self.shape, most).number(**self.given)


def read_part(rows: QuerySet[Any, Row] | Prepared, order: Sequence[str], size: int, cursor: str = "") -> Part[Row]:
    """Return the part that the cursor leads to; without a cursor, the first part. Take one query.

    Rows are models, dicts or named tuples. The fields of the order are never null, and together they are unique.
    Raise CursorInvalid.
    """
    backwards, place = _read(cursor, rows, order) if cursor else (False, None)
    found = _nearest(rows, order, place, size + 1, backwards=backwards)
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    has_previous, has_next = (more, True) if backwards else (bool(cursor), more)
    return Part(
        found,
        previous=_cursor(rows, found[0], order, backwards=True) if found and has_previous else "",
        next=_cursor(rows, found[-1], order, backwards=False) if found and has_next else "",
    )


def read_parts(rows: QuerySet[Any, Row] | Prepared, order: Sequence[str], size: int) -> Iterator[list[Row]]:
    """Yield all rows in parts of this size, each read when it is needed. Take one query a part."""
    part = _nearest(rows, order, None, size)
    while part:
        yield part
        part = _nearest(rows, order, _place(part[-1], order), size)


def _nearest(
    rows: QuerySet[Any, Row] | Prepared,
    order: Sequence[str],
    place: Sequence[Any] | None,
    size: int,
    *,
    backwards: bool = False,
) -> list[Row]:
    if isinstance(rows, QuerySet):
        return list(_beyond(rows, order, place, backwards=backwards)[:size])
    query = _prepared(rows.shape, tuple(order), size, has_place=place is not None, backwards=backwards)
    read = query.all if rows.of_models else query.named
    return read(**rows.given, **{f"place_{number}": value for number, value in enumerate(place or [])})


@lru_cache(maxsize=256)
def _prepared(
    shape: Shape, order: tuple[str, ...], size: int, *, has_place: bool, backwards: bool
) -> PreparedQuery[Any]:
    place = [Param(f"place_{number}") for number in range(len(order))] if has_place else None

    def build() -> QuerySet[Any, Any]:
        rows = shape.rows() if backwards else shape.first_rows(order, size, place)
        return _beyond(rows, order, place, backwards=backwards)[:size]

    return PreparedQuery(
        build,
        planned_each_time=shape.planned_each_time,
    )


@lru_cache(maxsize=256)
def _count(shape: Shape, most: int) -> PreparedQuery[Any]:
    return PreparedQuery(
        lambda: shape.rows().order_by().values("pk")[:most], planned_each_time=shape.planned_each_time, counts=True
    )


def count_each(lists: Sequence[Prepared], most: int) -> list[int]:
    """Return the number of rows of each list, at most this number. Take one query; a Param has one value in it."""
    given = {name: value for one in lists for name, value in one.given.items()}
    [counts] = _counts(tuple(one.shape for one in lists), most).rows(given)
    return list(counts)


@lru_cache(maxsize=256)
def _counts(shapes: tuple[Shape, ...], most: int) -> Statement:
    counts, given = [], list[Any]()
    for shape in shapes:
        try:
            sql, values = shape.rows().order_by().values("pk")[:most].query.sql_with_params()
        except EmptyResultSet:  # no row can match
            counts.append("0")
        else:
            counts.append(f"(SELECT count(*) FROM ({sql}) AS counted)")
            given += values
    each_time = any(shape.planned_each_time for shape in shapes)
    return Statement(f"SELECT {', '.join(counts)}", given, planned_each_time=each_time)


def _beyond(
    rows: QuerySet[Any, Row], order: Sequence[str], place: Sequence[Any] | None, *, backwards: bool = False
) -> QuerySet[Any, Row]:
    """Return the rows past a place in the order, nearest first; all of them if there is no place."""
    names = [name.lstrip("-") for name in order]
    down = [name.startswith("-") != backwards for name in order]
    if place is not None:
        past, same = Q(), Q()
        for name, goes_down, value in zip(names, down, place, strict=True):
            past |= same & Q(**{f"{name}__{'lt' if goes_down else 'gt'}": value})
            same &= Q(**{name: value})
        rows = rows.filter(past)
    return rows.order_by(*(f"-{name}" if goes_down else name for name, goes_down in zip(names, down, strict=True)))


def _place(row: Any, order: Sequence[str]) -> list[Any]:
    return [_value(row, name.lstrip("-")) for name in order]


def _value(row: Any, name: str) -> Any:
    value: Any
    if isinstance(row, Mapping):
        value = row[name]
    elif isinstance(row, tuple):
        value = getattr(row, name)
    else:
        value = attrgetter(name.replace("__", "."))(row)
    return value.isoformat() if isinstance(value, date) else value  # the database reads it again, to the microsecond


def _cursor(rows: QuerySet[Any, Row] | Prepared, row: Row, order: Sequence[str], *, backwards: bool) -> str:
    """Return the cursor of the part beyond a row. It is signed, so no caller can choose where a list continues."""
    return _signer(_salt(rows, order)).sign_object([backwards, _place(row, order)])


def _read(cursor: str, rows: QuerySet[Any, Row] | Prepared, order: Sequence[str]) -> tuple[bool, list[Any]]:
    try:
        backwards, place = cast("tuple[bool, list[Any]]", _signer(_salt(rows, order)).unsign_object(cursor))
    except signing.BadSignature:
        raise CursorInvalid from None
    return backwards, place


def _salt(rows: QuerySet[Any, Row] | Prepared, order: Sequence[str]) -> str:
    return ",".join([rows.model._meta.label, *order])


@lru_cache(maxsize=256)
def _signer(salt: str) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=salt)
