"""What a company holds in the programmes that give competencies and designations."""

from __future__ import annotations

from datetime import date
from typing import Self

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from competencies.programs import Level
from por.accounts.models import Organisation
from por.directory.models import Partner


class Holding(models.Model):
    """A company holds a level of a programme until its anniversary, from the day on which the fee was paid.

    Both days count. Without a day of the fee it holds nothing yet. Each year has a row of its own.
    """

    partner = models.ForeignKey(Partner, models.PROTECT, related_name="holdings", db_index=False)
    program = models.CharField(max_length=60)
    level = models.CharField(max_length=10, choices=Level.choices)
    anniversary_on = models.DateField()
    fee_paid_on = models.DateField(null=True, blank=True)

    class Meta:
        verbose_name = _("holding")
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "program", "anniversary_on"], name="one_holding_until_an_anniversary"
            ),
            models.CheckConstraint(
                condition=models.Q(fee_paid_on=None) | models.Q(fee_paid_on__lte=models.F("anniversary_on")),
                name="a_fee_is_paid_before_the_anniversary",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.program} {self.level}, {self.partner}"


class AttainmentQuerySet(models.QuerySet["Attainment"]):
    def newest(self, day: date) -> Self:
        """Return the row of each company and programme that says what was reached on a day."""
        newest_first = self.filter(day__lte=day).order_by("company", "program", "-day", "-recorded_at", "-pk")
        return newest_first.distinct("company", "program")


class Attainment(models.Model):
    """What a company had reached in a programme on a day, and why.

    Rows are only inserted: one for a company, programme and day if what was reached, or why, is not that of the row
    before. So the newest row up to a day says what was reached then, and the newest of those recorded by another day
    says what was known by then. `level` repeats that of the result; it is None where that is undetermined.
    """

    company = models.ForeignKey(Organisation, models.PROTECT, related_name="attainments", db_index=False)
    program = models.CharField(max_length=60)
    day = models.DateField()
    level = models.CharField(max_length=10, null=True)  # noqa: DJ001  # None is undetermined, and "none" is a level
    result = models.JSONField()
    recorded_at = models.DateTimeField(db_default=Now())

    objects = AttainmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("attainment")
        indexes = [
            models.Index(fields=["company", "program", "-day", "-recorded_at"], name="attainments_of_a_company"),
        ]

    def __str__(self) -> str:
        return f"{self.program} {self.level}, {self.company} on {self.day}"


class Recompute(models.Model):
    """A company whose attainments have to be computed again, for a day and all later ones.

    Whatever concerns the company inserts a row, so that no transaction waits for another. A worker takes all rows of a
    company, computes once and deletes them in the same transaction. Rows with a smaller `priority` go first.
    """

    company = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    since = models.DateField()
    priority = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    last_error = models.TextField(blank=True, default="", db_default="")
    inserted_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("recomputation")
        indexes = [
            models.Index(fields=["priority", "id"], include=["company", "next_at"], name="recomputations_by_priority"),
            models.Index(fields=["company"], name="recomputations_of_a_company"),
        ]

    def __str__(self) -> str:
        return f"{self.company} since {self.since}"
