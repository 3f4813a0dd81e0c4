"""Prepared queries, for what every request asks: Django takes longer to build the SQL than PostgreSQL to answer it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.query import ModelIterable

M = TypeVar("M", bound=models.Model)


class Param(models.Expression):
    """A value that the query gets by name each time it runs."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self]


class AnyOf(models.Func):
    """A condition that a key is in a list that is a parameter. `in` would fix the length of the list in the SQL."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = models.BooleanField()


class PreparedQuery(Generic[M]):
    """A queryset with Params in place of values. Its SQL is built when it first runs.

    `lock` is SQL for a lock that Django cannot express.
    """

    def __init__(self, build: Callable[[], models.QuerySet[M]], *, lock: str = "") -> None:
        self.build = build
        self.lock = lock

    def all(self, **given: Any) -> list[M]:
        """Return the rows as the queryset would: models with their annotations."""
        compiler, sql, values = self._ready(given)
        ready: Any = _Ready(compiler, sql, values)
        return list(ModelIterable(ready)) if sql else []

    def values(self, **given: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a `values_list` queryset, as the database has them."""
        _compiler, sql, values = self._ready(given)
        if not sql:
            return []
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(sql, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def one(self, **given: Any) -> M | None:
        """Return the first row, None if there is none."""
        return next(iter(self.all(**given)), None)

    def _ready(self, given: dict[str, Any]) -> tuple[Any, str, list[Any]]:
        if self not in compiled:
            compiled[self] = self._compile()
        compiler, sql, parameters = compiled[self]
        return compiler, sql, [given[one.name] if isinstance(one, Param) else one for one in parameters]

    def _compile(self) -> tuple[Any, str, list[Any]]:
        compiler: Any = self.build().query.get_compiler(DEFAULT_DB_ALIAS)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:  # no row can match
            return compiler, "", []
        converters = compiler.get_converters([one[0] for one in compiler.select[: compiler.col_count]])
        compiler.get_converters = lambda _columns: converters  # the columns are the same each time
        return compiler, f"{sql} {self.lock}", list(parameters)


#: What this process has built. A test that changes how querysets are built replaces it by an empty one.
compiled: dict[PreparedQuery[Any], tuple[Any, str, list[Any]]] = {}


class _Ready:
    """What Django's ModelIterable needs of a queryset and its query, with the SQL that is built already."""

    db = DEFAULT_DB_ALIAS
    _known_related_objects: dict[Any, Any] = {}

    def __init__(self, compiler: Any, sql: str, values: list[Any]) -> None:
        self.query = self
        self.compiler = copy(compiler)
        self.compiler.connection = connections[DEFAULT_DB_ALIAS]  # this thread's
        self.compiler.as_sql = lambda: (sql, values)

    def get_compiler(self, using: str) -> Any:
        return self.compiler
