"""Events, who may read them, the outbox, and the chains with their signed heads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.db.models import RowModel
from por.ops.logs import Cause
from por.queue.models import WorkRow, WorkRowQuerySet

#: How far an event's `at`, by the clock of the server that did it, may be from the moment when it is recorded.
MINUTE = timedelta(seconds=60)


class EventQuerySet(models.QuerySet["Event"]):
    def newest_first(self) -> EventQuerySet:
        return self.order_by("-id")

    def read_by(self, organisation_ids: Sequence[int] | models.QuerySet[Any, Any]) -> EventQuerySet:
        """Return the events that one of these organisations is party to."""
        return self.filter(
            models.Exists(Party.objects.filter(event=models.OuterRef("pk"), organisation_id__in=organisation_ids))
        )


class Event(RowModel):
    """Something that happened. Rows are inserted, never changed or deleted; triggers enforce this.

    Each event is in exactly one chain: `organisation:<id>` of the customer it is about, else of the
    organisation it is about, else `house`. The database numbers, dates and hashes it (`seq`, `prev`, `recorded_at`,
    `hash_version`, `hash`). Events of version 1 have no `recorded_at`.
    """

    chain = models.TextField()
    seq = models.BigIntegerField()
    prev = models.TextField()
    hash = models.TextField()
    at = models.DateTimeField()
    verb = models.TextField()  # free text `noun.past_participle`: no choices, so no migration per verb
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.TextField(blank=True)
    actor_organisation_id = models.BigIntegerField(null=True)
    actor_organisation_name = models.TextField(blank=True)
    object_kind = models.TextField()
    object_id = models.TextField()
    object_name = models.TextField(blank=True)
    changes: models.JSONField[Any, Any] = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    request_id = models.TextField(blank=True)
    parties: models.JSONField[Any, Any] = models.JSONField(default=list)  # organisation ids, hashed with the rest
    recorded_at = models.DateTimeField(null=True)  # by the clock of the database, when it was inserted
    hash_version = models.SmallIntegerField(default=1, db_default=1)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        constraints = [
            models.UniqueConstraint(fields=["chain", "seq"], name="one_event_per_place_in_a_chain"),
            models.CheckConstraint(
                condition=models.Q(recorded_at=None)
                | models.Q(at__gte=models.F("recorded_at") - MINUTE, at__lte=models.F("recorded_at") + MINUTE),
                name="an_event_is_recorded_when_it_happens",
            ),
        ]
        indexes = [
            models.Index(fields=["object_kind", "object_id", "-id"], name="history_of_an_object"),
            models.Index(fields=["verb", "-id"], name="events_by_verb"),
            models.Index(
                fields=["actor_id", "-id"], name="events_of_a_person", condition=models.Q(actor_id__isnull=False)
            ),
            models.Index(fields=["request_id"], condition=~models.Q(request_id=""), name="events_of_a_request"),
            models.Index(fields=["at", "id"], name="events_by_time"),
            # New rows go to the pending list of the index, so adding an event takes no longer.
            GinIndex(
                OpClass(Upper("object_name"), name="gin_trgm_ops"),
                OpClass(Upper("actor_name"), name="gin_trgm_ops"),
                name="events_by_part_of_name",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.seq}: {self.verb}"

    @property
    def cause(self) -> Cause:
        """Return the request in which it happened, and who sent it."""
        return Cause(self.request_id, self.actor_id, self.actor_organisation_id)


class Party(models.Model):
    """An organisation that may read an event of another organisation's chain."""

    event = models.ForeignKey(Event, models.PROTECT, related_name="party_rows", db_index=False)
    organisation_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "organisation_id"], name="one_row_per_party_of_an_event")
        ]
        indexes = [models.Index(fields=["organisation_id", "-event"], name="events_of_a_party")]

    def __str__(self) -> str:
        return f"event {self.event_id}, organisation {self.organisation_id}"


class OutboxQuerySet(WorkRowQuerySet["Outbox"]):
    def waiting(self) -> Self:
        """Return the rows whose handlers must still be called, or are being called."""
        return self.filter(done_at=None, dead_at=None)

    def dead(self) -> Self:
        """Return the rows whose tries are used up."""
        return self.filter(done_at=None, dead_at__isnull=False)


class Outbox(WorkRow):
    """The guarantee that the handlers of an event will be called: one row for each event, done at `done_at`.

    `dead_at` is set when its tries are used up.
    """

    event = models.OneToOneField(Event, models.PROTECT, primary_key=True)
    done_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)

    replay_function = "history_replay_event"
    objects = OutboxQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "outbox"
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=models.Q(done_at=None, dead_at=None),
                name="outbox_rows_still_to_do",
            ),
            models.Index(
                fields=["priority", "event"],
                condition=models.Q(done_at=None, dead_at=None, is_taken=False),
                name="outbox_rows_not_yet_taken",
            ),
            models.Index(
                fields=["next_at"],
                condition=models.Q(done_at=None, dead_at=None, is_taken=True),
                name="outbox_rows_taken",
            ),
            models.Index(fields=["dead_at"], condition=models.Q(dead_at__isnull=False), name="outbox_rows_given_up"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}"

    @classmethod
    def given_up(cls) -> dict[str, Any]:
        return {"dead_at": timezone.now()}


class ChainHead(models.Model):
    """The newest event of a chain. Only the trigger on events writes it, with the row locked."""

    chain = models.TextField(primary_key=True)
    seq = models.BigIntegerField()
    hash = models.TextField()

    def __str__(self) -> str:
        return f"{self.chain} at {self.seq}"


class SignedHead(models.Model):
    """The newest event of a chain when its head was last signed. It shows which chains have changed since."""

    chain = models.TextField(primary_key=True)
    seq = models.BigIntegerField()
    hash = models.TextField()
    signed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.chain} at {self.seq}"


class Seal(models.Model):
    """A file of signed heads in the storage. Its content is in the file only."""

    name = models.TextField()
    at = models.DateTimeField()
    signature = models.TextField(unique=True)

    def __str__(self) -> str:
        return self.name
