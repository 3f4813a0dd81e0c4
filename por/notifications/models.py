"""Notifications in inboxes, deliveries of mail (one row for each message to each recipient), and preferences."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import LANGUAGES, Actor, Membership, Organisation
from por.db.models import RowModel
from por.history.models import Event
from por.queue.models import WorkRow, WorkRowQuerySet


class Topic(models.TextChoices):
    """The topics for each of which a member chooses how to get its mail."""

    RECORD = "record", _("Partner of record: attached, removed or undone")
    CHANGE = "change", _("Change requests, statements and answers")
    INVITATION = "invitation", _("Invitations and activations")
    RENEWAL = "renewal", _("Subscriptions: renewals, changes and legacy forms")
    CLAIM = "claim", _("Claims: submitted, decided, declined or ended")
    PROOF = "proof", _("Proofs of execution")
    CONFLICT = "conflict", _("Conflicting claims")
    COMPETENCY = "competency", _("Competencies: levels reached, at risk or lost")

    @property
    def key(self) -> str:
        """Return the name under which the choice for the whole topic is stored, beside those for single messages."""
        return f"topic_{self.value}"


class How(models.TextChoices):
    """How a member gets one kind of message by mail. It is in the inbox in any case."""

    AT_ONCE = "at_once", _("Immediately")
    DIGEST = "digest", _("Once a day")
    OFF = "off", _("Not at all")


class Preference(models.Model):
    """How a member wants the mail of one kind of message, or of a whole topic: `message` is then the topic's key.

    A kind of message without a row is as its topic; a topic without a row is immediately.
    """

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="preferences")
    message = models.CharField(max_length=60)
    how = models.CharField(max_length=10, choices=How.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["membership", "message"], name="one_preference_per_member_and_message")
        ]

    def __str__(self) -> str:
        return f"{self.membership}: {self.message}"


class DeliveryQuerySet(WorkRowQuerySet["Delivery"]):
    def waiting(self) -> Self:
        return self.filter(status=Delivery.Status.WAITING)

    def held(self) -> Self:
        """Return those about an import that is under way, or whose events are not all read yet."""
        return self.filter(status=Delivery.Status.HELD)

    def unreached(self) -> Self:
        """Return those for an organisation where no one can be told."""
        return self.filter(status=Delivery.Status.UNREACHED)

    def failed(self) -> Self:
        """Return the deliveries that failed for good, until a person sends them again."""
        return self.filter(status__in=FAILED)


#: The name of the daily digest, and of the mail about all that an import has changed.
DIGEST, SUMMARY = "digest", "import_summary"


class Delivery(WorkRow):
    """One message about one event to one recipient; a digest is about many, of which it names the newest.

    A mail about a person's own account, such as a link to choose a password, has no event and no organisation. Who has
    its address is looked up when it is sent. If no one has, the row is deleted.

    Mail about what an import has changed is held until it has ended. Of several to one recipient, one is sent: the
    `summary` of the others.

    `message_id` is the same for every try, so that a mailbox can recognise a second copy.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        REFUSED = "refused", _("Refused by the recipient's server")
        DEAD = "dead", _("Stopped trying")
        WITHDRAWN = "withdrawn", _("Withdrawn: undone before it left")
        UNREACHED = "unreached", _("No one to tell")  # the organisation has no one, so there is no recipient
        HELD = "held", _("Waiting for the end of an import")
        SUMMED = "summed", _("In one message with others")

    class Channel(models.TextChoices):
        MAIL = "mail", _("Email")

    event = models.ForeignKey(Event, models.PROTECT, null=True, blank=True, related_name="deliveries", db_index=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, blank=True, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    recipient = models.EmailField(max_length=254)  # "" where there is no one to tell
    channel = models.CharField(max_length=10, choices=Channel.choices, default=Channel.MAIL)
    template = models.CharField(max_length=60)
    language = models.CharField(max_length=5, choices=LANGUAGES)
    time_zone = models.CharField(max_length=50)
    message_id = models.UUIDField(default=uuid.uuid4, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    summary = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="parts", db_index=False)

    replay_function = "notifications_replay_delivery"
    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["event", "organisation", "recipient", "channel", "template"],
                condition=~Q(template=DIGEST),  # a digest is made only for lines that are in no digest yet
                name="one_delivery_per_event_member_and_message",
            ),
            models.CheckConstraint(
                condition=Q(event=None, organisation=None) | Q(event__isnull=False, organisation__isnull=False),
                name="delivery_has_event_and_organisation_or_neither",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(status="waiting"), name="deliveries_still_to_send"),
            models.Index(
                fields=["priority", "id"],
                condition=Q(status="waiting", is_taken=False),
                name="deliveries_not_yet_taken",
            ),
            models.Index(fields=["next_at"], condition=Q(status="waiting", is_taken=True), name="deliveries_taken"),
            models.Index(
                fields=["status"], condition=Q(status="dead") | Q(status="refused"), name="deliveries_that_never_arrive"
            ),
            models.Index(fields=["sent_at"], condition=Q(sent_at__isnull=False), name="deliveries_by_when_they_left"),
            models.Index(fields=["organisation", "recipient"], condition=Q(status="held"), name="deliveries_held"),
            models.Index(fields=["summary"], condition=Q(summary__isnull=False), name="deliveries_of_a_summary"),
        ]

    def __str__(self) -> str:
        return f"{self.template}, event {self.event_id}"

    @property
    def has_failed(self) -> bool:
        """Return whether nothing more happens to this row until a person replays it."""
        return self.status in FAILED

    @classmethod
    def given_up(cls) -> dict[str, Any]:
        return {"status": cls.Status.DEAD}


FAILED = (Delivery.Status.REFUSED, Delivery.Status.DEAD)


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, actor: Actor) -> Self:
        """Return the lines in a person's inbox at the organisation they act for."""
        memberships = Membership.objects.filter(user=actor.user_id, organisation=actor.organisation_id)
        return self.filter(membership=memberships.values("pk")[:1])

    def open(self) -> Self:
        return self.filter(done_at=None)

    def done(self) -> Self:
        return self.filter(done_at__isnull=False)

    def newest_of_each(self, *, done: bool) -> Self:
        """Return the newest done, or the newest open, line about each object. An index answers it without grouping."""
        newer = Notification.objects.filter(
            membership=models.OuterRef("membership"),
            about=models.OuterRef("about"),
            pk__gt=models.OuterRef("pk"),
            done_at__isnull=not done,
        )
        return self.filter(~models.Exists(newer), done_at__isnull=not done)

    def put_aside(self) -> Self:
        """Return the lines that wait for a digest."""
        return self.filter(digest_at__isnull=False, digest=None)


class Notification(RowModel):
    """A line of a member's inbox: one message about one event. The member marks it as done, and may reopen it.

    If the member wants such mail once a day, `digest_at` is when their digest is due, and `digest` the mail it was in.
    """

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="+", db_index=False)
    event = models.ForeignKey(Event, models.PROTECT, related_name="notifications", db_index=False)
    message = models.CharField(max_length=60)
    about = models.TextField()  # the object of its event, as text, by which lines are grouped
    done_at = models.DateTimeField(null=True, blank=True)
    digest_at = models.DateTimeField(null=True, blank=True)
    digest = models.ForeignKey(
        Delivery, models.PROTECT, null=True, blank=True, related_name="notifications", db_index=False
    )

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        constraints = [
            models.UniqueConstraint(
                fields=["membership", "event", "message"], name="one_line_per_member_event_and_message"
            )
        ]
        indexes = [
            models.Index(fields=["membership", "-id"], condition=Q(done_at=None), name="open_lines_of_an_inbox"),
            models.Index(fields=["membership", "about", "-id"], name="lines_about_one_thing"),
            models.Index(
                fields=["digest_at"], condition=Q(digest_at__isnull=False, digest=None), name="lines_put_aside"
            ),
            models.Index(fields=["digest"], condition=Q(digest__isnull=False), name="lines_of_a_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.message}, event {self.event_id}"
