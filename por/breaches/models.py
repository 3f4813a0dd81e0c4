"""What browsers blocked, because the Content-Security-Policy forbids it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Breach(models.Model):
    """All reports of one directive, one source and one page, counted. `page` is its route; "" for a stranger's."""

    directive = models.CharField(max_length=40)
    blocked = models.CharField(max_length=100)
    page = models.CharField(max_length=200, blank=True)
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("blocked content")
        constraints = [models.UniqueConstraint(fields=["directive", "blocked", "page"], name="one_row_per_breach")]
        indexes = [models.Index(fields=["last_at", "id"], name="breaches_by_time")]

    def __str__(self) -> str:
        return f"{self.directive} {self.blocked}"
