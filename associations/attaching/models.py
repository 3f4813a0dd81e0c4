"""The consent to an activation."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from associations.change_requests.models import ChangeRequest
from associations.record.models import Association
from por.directory.models import Partner


class Consent(models.Model):
    """The customer's consent to an activation, as the partner states it.

    It belongs to the association that the activation began, or to the change request it opened or joined.
    """

    association = models.OneToOneField(Association, models.PROTECT, null=True, related_name="consent")
    request = models.ForeignKey(ChangeRequest, models.PROTECT, null=True, related_name="consents")
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    email = models.EmailField(max_length=254)
    given_on = models.DateField()
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(association__isnull=True) ^ Q(request__isnull=True),
                name="a_consent_is_to_an_association_or_a_question",
            )
        ]

    def __str__(self) -> str:
        return f"{self.partner}, {self.given_on}"
