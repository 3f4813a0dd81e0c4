"""Prepared queries, for what every request asks.

Django takes longer to build their SQL than PostgreSQL to answer it, and PostgreSQL takes longer to plan most of them
than to run them. So the SQL is built once in each process, and planned once on each connection to the server itself. A
pooler may give each transaction another session, which does not know what this process has prepared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, Self, TypeVar
from weakref import WeakKeyDictionary

import psycopg2
from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.query import get_related_populators
from django.db.models.utils import create_namedtuple_class
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, AsIs

M = TypeVar("M", bound=models.Model)


class Param(models.Expression):
    """A value that the query gets by name each time it runs."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self]


class AnyOf(models.Func):
    """A condition that a key is in a list that is a parameter. `in` would fix the length of the list in the SQL.

    The list has the type of the key. Otherwise the server would compare each row with one after another.
    """

    template = "%(expressions)s::%(type)s[])"
    arg_joiner = " = ANY("
    output_field = models.BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> tuple[str, Any]:
        key = self.get_source_expressions()[0]
        extra["type"] = key.output_field.cast_db_type(connection)
        return super().as_sql(compiler, connection, *args, **extra)


class PreparedQuery(Generic[M]):
    """A queryset with Params in place of values. Its SQL is built when it first runs.

    `lock` is SQL for a lock that Django cannot express. PostgreSQL keeps its plan too, whatever the values are; with
    `planned_each_time` it does not, for a query whose best plan depends on them. With `counts`, rows are only counted.
    """

    def __init__(
        self,
        build: Callable[[], models.QuerySet[M]],
        *,
        lock: str = "",
        planned_each_time: bool = False,
        counts: bool = False,
    ) -> None:
        self.build = build
        self.lock = lock
        self.planned_each_time = planned_each_time
        self.counts = counts

    def all(self, **given: Any) -> list[M]:
        """Return the rows as the queryset would: models with their annotations."""
        built, rows = self._rows(given)
        if not rows:
            return []
        assert built.maker, "a values_list has no models"
        made: list[M] = built.maker.models(rows)
        return made

    def values(self, **given: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a `values_list` queryset, as the database has them."""
        return self._rows(given)[1]

    def named(self, **given: Any) -> list[Any]:
        """Return the rows of a `values_list` queryset as named tuples. Their types need no conversion by Django."""
        built, rows = self._rows(given)
        return list(map(built.row._make, rows))

    def one(self, **given: Any) -> M | None:
        """Return the first row, None if there is none."""
        return next(iter(self.all(**given)), None)

    def number(self, **given: Any) -> int:
        """Return the number of rows of a query that counts."""
        return next((row[0] for row in self.values(**given)), 0)

    def _rows(self, given: dict[str, Any]) -> tuple[Built, list[tuple[Any, ...]]]:
        if (built := compiled.get(self)) is None:
            built = compiled[self] = self._compile()
        return built, built.statement.rows(given) if built.statement else []

    def _compile(self) -> Built:
        queryset: Any = self.build()
        compiler: Any = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        row = create_namedtuple_class(*(queryset._fields or []))
        if not queryset.query.distinct:  # its columns must stand in the order as they are
            compiler.get_select = partial(_without_lengths, compiler.get_select, compiler.connection)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:  # no row can match
            return Built(None, row, None)
        if self.counts:
            sql = f"SELECT count(*) FROM ({sql}) AS counted"
        statement = Statement(f"{sql} {self.lock}", parameters, planned_each_time=self.planned_each_time)
        return Built(statement, row, _Maker(compiler) if queryset._fields is None else None)


class Built(NamedTuple):
    """What is kept of a query: its statement, if any row can match, and what its rows become.

    The queryset and its compiler are not kept. They hold a hundred times as many objects.
    """

    statement: Statement | None
    row: Any
    maker: _Maker | None


def _without_lengths(get_select: Callable[..., Any], connection: Any, *given: Any, **more: Any) -> Any:
    """Return the columns of a query, without the lengths and decimals of their types.

    The server refuses a statement that it keeps once a migration has made one of its columns longer.
    """
    columns, *rest = get_select(*given, **more)
    for place, (column, (sql, parameters), alias) in enumerate(columns):
        type_, with_length, length = (column.output_field.db_type(connection) or "").partition("(")
        if with_length and type_ in {"varchar", "numeric"}:
            array = length.partition(")")[2]  # "[]" for an array of them
            columns[place] = column, (f"{sql}::{type_}{array}", parameters), alias
    return columns, *rest


class Statement:
    """SQL that is asked again and again. Of its parameters, those that are Params get their value each time.

    `settings` are those of PostgreSQL with which it is planned, such as `enable_nestloop = off`. They are sent together
    with it, which is a transaction at whose end they are gone. A transaction around them would keep them.
    """

    def __init__(
        self, sql: str, parameters: Sequence[Any], *, planned_each_time: bool = False, settings: Sequence[str] = ()
    ) -> None:
        self.with_settings = "".join(f"SET LOCAL {one}; " for one in settings)
        self.without_settings = "; ".join(f"SET LOCAL {one.partition(' ')[0]} TO DEFAULT" for one in settings)
        self.sql = self.with_settings + sql
        self.parameters = tuple(parameters)
        self.planned_each_time = planned_each_time
        self.places = [place for place, one in enumerate(self.parameters) if isinstance(one, Param)]
        self.kept = ""  # the SQL as the server keeps it, with $1 in place of the first Param
        self.name = ""
        self.call = ""

    @classmethod
    def named(cls, sql: str, **more: Any) -> Self:
        """Return the statement of SQL in which each Param stands by its name, as `%(name)s`."""
        return cls(NAMED.sub("%s", sql), [Param(name) for name in NAMED.findall(sql)], **more)

    def rows(self, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows for these values of the Params; none if the statement has none."""
        values = [given[one.name] if isinstance(one, Param) else one for one in self.parameters]
        connection: Any = connections[DEFAULT_DB_ALIAS]
        if connection.is_listened_to:
            return self._told(connection, values)
        cursor = connection.cursor_of_the_driver()
        with connection.wrap_database_errors:
            if self.planned_each_time or not connection.is_direct:
                cursor.execute(self.sql, values)
            else:
                self.execute_on_server(cursor, known_to(connection), values)
            rows = _fetched(cursor)
            if self.without_settings and connection.in_atomic_block:
                cursor.execute(self.without_settings)
        return rows

    def _told(self, connection: Any, values: list[Any]) -> list[tuple[Any, ...]]:
        """Return the rows by Django's cursor. It tells all that listens of one query with the SQL and the values."""
        with connection.cursor() as cursor:
            of_driver = cursor.cursor
            if not self.planned_each_time and connection.is_direct:
                cursor.cursor = _OnServer(of_driver, self, known_to(connection))
            cursor.execute(self.sql, values)
            rows, cursor.cursor = _fetched(cursor), of_driver
            if self.without_settings and connection.in_atomic_block:
                cursor.execute(self.without_settings)
        return rows

    def execute_on_server(self, cursor: Any, known: dict[str, bool], values: Sequence[Any]) -> None:
        """Let the server keep the statement, then call it by name.

        The server forgets all statements with the connection, and none when a transaction is rolled back.
        """
        if not self.name:
            self._write_for_server(cursor)
        try:
            self._call(cursor, known, values)
        except (psycopg2.errors.InvalidSqlStatementName, psycopg2.errors.FeatureNotSupported) as error:
            # The server was told to forget it, or a migration has changed its columns.
            known.pop(self.name, None)
            if isinstance(error, psycopg2.errors.FeatureNotSupported):
                known[self.name] = False  # the server still has it
            if cursor.connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                raise
            cursor.execute(self.sql, values)

    def _write_for_server(self, cursor: Any) -> None:
        """Write the SQL as the server keeps it. Its constants stay in it, so that indexes on a condition serve it."""
        places = iter(range(1, len(self.parameters) + 1))
        parts = [AsIs(f"${next(places)}") if isinstance(one, Param) else one for one in self.parameters]
        self.kept = cursor.mogrify(self.sql.removeprefix(self.with_settings), parts).decode()
        name = f"por_{hashlib.sha256(self.kept.encode()).hexdigest()[:24]}"
        values = f"({', '.join('%s' for _ in self.places)})" if self.places else ""
        self.call = f"{self.with_settings}EXECUTE {name}{values}"
        self.name = name

    def _call(self, cursor: Any, known: dict[str, bool], values: Sequence[Any]) -> None:
        if not known.get(self.name):
            if self.name in known:
                _drop(cursor, known, self.name)
            elif len(known) >= MOST_KEPT:
                _drop(cursor, known, next(iter(known)))
            cursor.execute(f"PREPARE {self.name} AS {self.kept}")
        known.pop(self.name, None)
        known[self.name] = True  # now it is the last
        cursor.execute(self.call, [_written(values[place]) for place in self.places])


#: A Param by its name in SQL.
NAMED = re.compile(r"%\((\w+)\)s")


def _written(value: Any) -> Any:
    """Return a list of keys as the text of an array; any other value as it is.

    The statement knows the type. The driver would write each key of the list as a value of its own, for ten times as
    long.
    """
    if type(value) is list and value and all(type(one) is int for one in value):
        return f"{{{','.join(map(str, value))}}}"
    return value


def _fetched(cursor: Any) -> list[tuple[Any, ...]]:
    return cursor.fetchall() if cursor.description else []


def _drop(cursor: Any, known: dict[str, bool], name: str) -> None:
    try:
        cursor.execute(f"DEALLOCATE {name}")
    except psycopg2.errors.InvalidSqlStatementName:  # it has been forgotten with all others
        del known[name]
        raise
    del known[name]


#: What this process has built. A test that changes how querysets are built replaces it by an empty one.
compiled: MutableMapping[PreparedQuery[Any], Built] = WeakKeyDictionary()

#: The most statements that the server keeps for one connection, because they take memory. For a new one it then forgets
#: the one that has not been used for longest.
MOST_KEPT = 200


def known_to(connection: Any) -> dict[str, bool]:
    """Return the statements that the server keeps for this connection, by name, and whether they can still be called.

    The one used last is the last. A new connection has none.
    """
    session, names = getattr(connection, "prepared", (None, {}))
    if session is None or session is not connection.connection:
        session, names = connection.connection, {}
        connection.prepared = session, names
    result: dict[str, bool] = names
    return result


def prefetched(model: models.Model, name: str, rows: list[Any]) -> None:
    """Set the rows that a relation of the model has, as Django does when it prefetches them."""
    found = getattr(model, name).get_queryset()
    found._result_cache, found._prefetch_done = rows, True
    cache: dict[str, Any] = model.__dict__.setdefault("_prefetched_objects_cache", {})
    cache[name] = found


class _OnServer:
    """The driver's cursor for one statement, which the server keeps."""

    def __init__(self, cursor: Any, statement: Statement, known: dict[str, bool]) -> None:
        self.cursor, self.statement, self.known = cursor, statement, known
        self.values: Sequence[Any] = ()

    def execute(self, sql: str, values: Sequence[Any]) -> None:
        self.values = values
        if sql == self.statement.sql:
            self.statement.execute_on_server(self.cursor, self.known, values)
        else:  # a listener has changed it
            self.cursor.execute(sql, values)

    @property
    def query(self) -> bytes:
        """Return the SQL with its values, for those who read what was executed."""
        query: bytes = self.cursor.mogrify(self.statement.sql, self.values)
        return query

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


class _Maker:
    """How rows of a query become models, as Django makes them. It is found once for each query."""

    def __init__(self, compiler: Any) -> None:
        columns, info = [one[0] for one in compiler.select], compiler.klass_info
        first, last = info["select_fields"][0], info["select_fields"][-1] + 1
        self.model, self.own = info["model"], slice(first, last)
        self.names = [column.target.attname for column in columns[first:last]]
        self.related = get_related_populators(info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]
        self.annotations = tuple(compiler.annotation_col_map.items())
        self.converters = tuple(compiler.get_converters(columns[: compiler.col_count]).items())

    def models(self, rows: list[Any]) -> list[Any]:
        """Return the rows as models, with what came with them. Rows that name the same thing share its object."""
        found, known = list[Any](), dict[tuple[Any, Any], Any]()
        for row in map(self._converted, rows) if self.converters else rows:
            one = self.model.from_db(DEFAULT_DB_ALIAS, self.names, row[self.own])
            _relate(one, self.related, row, known)
            for name, place in self.annotations:
                setattr(one, name, row[place])
            found.append(one)
        return found

    def _converted(self, row: Any) -> list[Any]:
        values = list(row)
        for place, (converters, column) in self.converters:
            for convert in converters:
                values[place] = convert(values[place], column, connections[DEFAULT_DB_ALIAS])
        return values


def _relate(one: Any, populators: list[Any], row: Any, known: dict[tuple[Any, Any], Any]) -> None:
    """Set what came with an object in its row, as Django's populators do, unless another row has brought it."""
    for each in populators:
        key = each, row[each.cols_start + each.pk_idx]
        other = known.get(key)
        if other is None and key[1] is not None:
            values = row[each.cols_start : each.cols_end]
            other = known[key] = each.model_cls.from_db(each.db, each.init_list, values)
            if each.related_populators:
                _relate(other, each.related_populators, row, known)
        each.local_setter(one, other)
        if other is not None:
            each.remote_setter(other, one)
