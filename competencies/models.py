"""What a company holds in the programmes that give competencies and designations."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from competencies.programs import Level
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
