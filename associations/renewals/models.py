"""Which replacements were followed, and which notices were given, so that each is done only once."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from associations.record.models import Association
from por.directory.models import Partner, Subscription


class Replacement(models.Model):
    """A subscription that replaced one with a partner of record, and whether the partner was carried over."""

    class Outcome(models.TextChoices):
        CARRIED_OVER = "carried_over", _("Carried over")
        ASKED = "asked", _("Customer asked to confirm")

    subscription = models.OneToOneField(Subscription, models.PROTECT, primary_key=True, related_name="replacement")
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="+")  # the partner of record before
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    association = models.ForeignKey(
        Association, models.PROTECT, null=True, related_name="+"
    )  # the new one, if the partner was carried over
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.subscription}: {self.outcome}"


class RenewalNotice(models.Model):
    """A notice of a renewal, given this number of days before it."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="+", db_index=False)
    renews_on = models.DateField()
    days = models.PositiveSmallIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "renews_on", "days"], name="one_notice_of_each_renewal")
        ]

    def __str__(self) -> str:
        return f"{self.subscription}, {self.renews_on}"
