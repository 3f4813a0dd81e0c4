"""Invitations of partners to customers."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from associations.invitations.rules import Administering, InvitationStatus
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.models import RowModel
from por.directory.access import partner_ids
from por.directory.models import Customer, Partner, Subscription
from por.web.formatting import Deadline, last_utc_day


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        return self.filter(status=InvitationStatus.SENT)

    def visible_to(self, actor: Actor) -> Self:
        """Return the invitations to a customer, or of a partner company; all for staff, none for anyone else."""
        if actor.is_staff:
            return self.all()
        if actor.kind == OrganisationKind.CUSTOMER:
            return self.filter(customer=actor.organisation_id)
        if actor.kind == OrganisationKind.PARTNER:
            return self.filter(partner__in=partner_ids(actor))
        return self.none()

    def for_listing(self) -> Self:
        """Return them with all that a page or the API shows, for one more query."""
        return self.select_related("partner__organisation", "customer__organisation").prefetch_related(
            models.Prefetch("invited", invited_for_listing())
        )


class Invitation(RowModel):
    """A partner asks to be partner of record for some of a customer's subscriptions. Its link has `invitation_id`."""

    invitation_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="invitations")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="invitations")
    status = models.CharField(max_length=10, choices=InvitationStatus.choices, default=InvitationStatus.SENT)
    #: Whether it also asks to be a delegated administrator of the tenant; what came of that, "" until it is accepted.
    asks_to_administer = models.BooleanField(default=False, db_default=False)
    administering = models.CharField(
        max_length=12, choices=Administering.choices, blank=True, default="", db_default=""
    )
    message = models.TextField(blank=True)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()  # the end of expires_on in the customer's time zone
    expires_on = models.DateField(null=True, blank=True)  # without it, the release before wrote the row
    sent_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    opened_at = models.DateTimeField(null=True, blank=True)  # when a member of the customer first looked, signed in
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)  # why it was declined or reported
    version = models.PositiveIntegerField(default=1)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        constraints = [
            models.CheckConstraint(
                condition=Q(status=InvitationStatus.SENT, closed_at=None)
                | (~Q(status=InvitationStatus.SENT) & Q(closed_at__isnull=False)),
                name="an_invitation_is_open_or_has_closed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(status=InvitationStatus.SENT), name="invitations_still_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.partner}: {self.customer}"

    @property
    def deadline(self) -> Deadline:
        """Return the last day on which it can be answered, for every reader that day in the customer's time zone."""
        return Deadline(self.expires_on, self.expires_at) if self.expires_on else last_utc_day(self.expires_at)


class Invited(RowModel):
    """A subscription of an invitation, and the outcome once the customer has accepted."""

    invitation = models.ForeignKey(Invitation, models.CASCADE, related_name="invited", db_index=False)
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="invitations")
    outcome = models.CharField(max_length=20, blank=True)
    code = models.CharField(max_length=40, blank=True)  # why it was refused

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invitation", "subscription"], name="each_subscription_is_invited_once")
        ]

    def __str__(self) -> str:
        return str(self.subscription)


def invited_for_listing() -> models.QuerySet[Invited]:
    """Return the subscriptions of invitations with what a page or the API shows, in the order they were named."""
    return Invited.objects.select_related("subscription__sku").order_by("pk")
