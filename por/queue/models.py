"""The columns of a table whose rows are leased, and the table of periodic runs."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.utils import timezone

from por.db.models import RowModel

Row = TypeVar("Row", bound="WorkRow")


class WorkRowQuerySet(models.QuerySet[Row]):
    def waiting(self) -> Self:
        """Return the rows whose work is not done and not given up."""
        raise NotImplementedError

    def due(self) -> Self:
        """Return the waiting rows whose time has come."""
        return self.waiting().filter(next_at__lte=timezone.now())


class WorkRow(RowModel):
    """Work that is stored in a row of a table: a worker leases the row, does the work, and marks the row as done.

    A lease pushes `next_at` forward before the work begins. If the worker dies, the row becomes due again by itself.
    Several rows are leased together once, which sets `is_taken` and counts no try. A row that is due again is leased
    alone, and each such try is counted in `attempts` before it begins. Rows with a smaller `priority` go first.
    Each table has its own columns for the outcome of a row; the methods below name them.
    """

    next_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)
    is_taken = models.BooleanField(default=False, db_default=False)
    priority = models.PositiveSmallIntegerField(default=0, db_default=0)

    #: The function of the database that lets a row that failed wait again and returns its columns before that.
    replay_function: ClassVar[str]
    #: Whether `attempts` counts this try: not yet, if the row was leased with others.
    is_counted = True
    #: Whether this try failed, and there will be another.
    has_to_wait = False

    class Meta:
        abstract = True

    @property
    def tries(self) -> int:
        """Return the number of tries, this one included."""
        return self.attempts + (not self.is_counted)

    @classmethod
    def given_up(cls) -> dict[str, Any]:
        """Return the columns of a row that has used up its tries."""
        raise NotImplementedError


class PeriodicRun(models.Model):
    """When a periodic run was last done, by the clock of the database."""

    name = models.TextField(primary_key=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "history"  # its table is older than this package
        db_table = "history_round"

    def __str__(self) -> str:
        return self.name
