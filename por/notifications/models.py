"""What leaves the house: one row for each message to each recipient."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import LANGUAGES, Membership, Organisation
from por.history.models import Event


class Topic(models.TextChoices):
    """What messages are about, as those who choose among them see them in groups."""

    RECORD = "record", _("Partner of record: attached, removed or undone")
    CHANGE = "change", _("Changes of partner: questions, statements, answers")
    INVITATION = "invitation", _("Invitations and activations")
    RENEWAL = "renewal", _("Renewals and changes of subscriptions")
    LEGACY = "legacy", _("Legacy form and its deadline")


class Preference(models.Model):
    """That a member does not want the mail of a topic, or wants it after all. No row: wanted."""

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="preferences")
    topic = models.CharField(max_length=20, choices=Topic.choices)
    mail = models.BooleanField(_("by e-mail"), default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["membership", "topic"], name="one_preference_per_member_and_topic")
        ]

    def __str__(self) -> str:
        return f"{self.membership}: {self.topic}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def waiting(self) -> Self:
        return self.filter(status=Delivery.Status.WAITING)

    def failed(self) -> Self:
        """Those that nothing more happens to until a person sends them again."""
        return self.filter(status__in=FAILED)


class Delivery(models.Model):
    """One message about one event to one recipient. Rows are taken, tried and kept (por.history.rules: how often).

    `message_id` is given once and goes out with every try, so that a mailbox can tell a second copy.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        REFUSED = "refused", _("Refused by the recipient's server")
        DEAD = "dead", _("Given up")

    class Channel(models.TextChoices):
        MAIL = "mail", _("E-mail")

    event = models.ForeignKey(Event, models.PROTECT, related_name="deliveries", db_index=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    recipient = models.EmailField(max_length=254)
    channel = models.CharField(max_length=10, choices=Channel.choices, default=Channel.MAIL)
    template = models.CharField(max_length=60)
    language = models.CharField(max_length=5, choices=LANGUAGES)
    time_zone = models.CharField(max_length=50)
    message_id = models.UUIDField(default=uuid.uuid4, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["event", "recipient", "channel", "template"], name="one_delivery_per_event_and_recipient"
            )
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(status="waiting"), name="deliveries_still_to_send"),
            models.Index(
                fields=["status"], condition=Q(status="dead") | Q(status="refused"), name="deliveries_that_never_arrive"
            ),
            models.Index(fields=["sent_at"], condition=Q(sent_at__isnull=False), name="deliveries_by_when_they_left"),
        ]

    def __str__(self) -> str:
        return f"{self.template}, event {self.event_id}"

    @property
    def has_failed(self) -> bool:
        return self.status in FAILED


FAILED = (Delivery.Status.REFUSED, Delivery.Status.DEAD)
