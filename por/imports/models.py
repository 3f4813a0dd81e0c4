"""The imports that people requested in the browser, and their outcomes; the mappings that people keep."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.db.models import RowModel
from por.imports.loading import Tally
from por.imports.reading import RowError
from por.imports.rules import KEPT, LONGEST_NAME


class ImportQuerySet(models.QuerySet["Import"]):
    def due(self) -> Self:
        """Return the imports that may start. The caller holds the lock, so the worker of a running one has died."""
        waiting = Q(status=Import.Status.QUEUED, next_at__lte=timezone.now())
        return self.filter(waiting | Q(status=Import.Status.RUNNING))

    def needing_files(self) -> Self:
        """Return the imports whose files are still needed: they will run, or are dry runs that may be imported."""
        tried = Q(dry_run=True, status=Import.Status.DONE, ended_at__gt=timezone.now() - KEPT, loaded=None)
        asking = Q(status=Import.Status.ASKING, asked_at__gt=timezone.now() - KEPT)
        return self.filter(Q(status__in=[Import.Status.QUEUED, Import.Status.RUNNING]) | tried | asking)


class Import(RowModel):
    """An import of uploaded files, or a dry run of one, with its report.

    It runs in a worker that holds the lock of all imports (`only_import`). If another worker gets the lock while a row
    is `running`, the first worker has died, and the import is run again, which does no harm. `started_at` distinguishes
    the tries.
    """

    class Status(models.TextChoices):
        ASKING = "asking", _("Needs a mapping")
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Not completed")
        CANCELLED = "cancelled", _("Cancelled")

    class Failure(models.TextChoices):
        """Why an import failed."""

        KILLED = "killed", _("The background worker stopped three times in a row before it finished.")
        FILES_GONE = "files_gone", _("The files are no longer available.")
        DEFECT = "defect", _("Something went wrong on our side. We have logged the problem.")

    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    request_id = models.TextField(blank=True)
    dry_run = models.BooleanField()
    #: Whether the files name all subscriptions of their customers; unknown where nobody has said it.
    is_complete = models.BooleanField(null=True, blank=True)
    #: The dry run whose files these are, if there was one.
    tried = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="loaded")
    folder = models.TextField()
    #: Name and size of each file, in the order they are imported.
    files: models.JSONField[Any, Any] = models.JSONField(default=list)
    #: The files of other programs among them, by their names: see por/imports/sources.py.
    sources: models.JSONField[Any, Any] = models.JSONField(default=dict, db_default={})
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    next_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    bytes_done = models.BigIntegerField(default=0)
    #: The figures of each file, by its name: created, changed, unchanged, failed.
    figures: models.JSONField[Any, Any] = models.JSONField(default=dict)
    ended = models.PositiveIntegerField(default=0)
    #: What people should know beside the figures, in the language of who asked.
    notes: models.JSONField[Any, Any] = models.JSONField(default=list)
    reopened = models.PositiveIntegerField(default=0, db_default=0)
    #: How many subscriptions files no longer name, or name again.
    marked = models.PositiveIntegerField(default=0, db_default=0)
    #: The first rows that failed, and the name of the file with all of them.
    errors: models.JSONField[Any, Any] = models.JSONField(default=list)
    errors_file = models.TextField(blank=True)
    #: The zip with the failed rows as they were sent, for KEPT.
    rejected_file = models.TextField(blank=True, default="")
    failure = models.CharField(max_length=20, blank=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        db_table = "estate_load"  # its older name
        verbose_name = _("import")
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="running") | Q(started_at__isnull=False), name="a_running_load_has_started"
            )
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="queued") | Q(status="running"), name="loads_still_to_run"),
            models.Index(fields=["folder"], name="loads_by_folder"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {', '.join(self.names)}"

    @property
    def is_over(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)

    @property
    def stored_names(self) -> list[str]:
        """Return the names of the files in the storage."""
        return [name for name, _size in self.files]

    @property
    def shown_files(self) -> list[tuple[str, int]]:
        """Return name and size of each file, those of other programs by the names that people gave them."""
        return [(self.sources[name]["shown"] if name in self.sources else name, size) for name, size in self.files]

    @property
    def names(self) -> list[str]:
        return [name for name, _size in self.shown_files]

    @property
    def number(self) -> str:
        """Return the key as text, so that templates do not group its digits."""
        return str(self.pk)

    @property
    def size(self) -> int:
        return sum(size for _name, size in self.files)

    @property
    def tallies(self) -> dict[str, Tally]:
        """Return the tally of each file, in the order they are imported."""
        names = [name for name in self.stored_names if name in self.figures]
        names += sorted(self.figures.keys() - set(names))  # what files of other programs became
        return {name: Tally(**self.figures[name]) for name in names}

    @property
    def total(self) -> Tally:
        return Tally.of(self.tallies.values())

    @property
    def tally_rows(self) -> list[tuple[str, Tally]]:
        """Return the tally of each file, and, if there are several, their sum under an empty name."""
        rows = list(self.tallies.items())
        return [*rows, ("", self.total)] if len(rows) > 1 else rows

    @property
    def has_changed_nothing(self) -> bool:
        return not (self.total.created or self.total.changed or self.ended or self.reopened or self.marked)

    @property
    def row_errors(self) -> list[RowError]:
        return [RowError(*one) for one in self.errors]

    @property
    def why(self) -> str:
        """Return why it failed, as a sentence."""
        return str(self.Failure(self.failure).label) if self.failure else ""

    @property
    def seconds(self) -> float:
        """Return how many seconds the last try took."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at and self.started_at else 0.0

    @property
    def kept_until(self) -> datetime | None:
        """Return when the files of a dry run are deleted, unless they are imported."""
        return self.ended_at + KEPT if self.ended_at else None


class KeptMapping(models.Model):
    """A mapping that a person made, by which files with its columns are known. `text` is its YAML."""

    name = models.CharField(max_length=LONGEST_NAME, unique=True)
    text = models.TextField()
    #: The columns by which its files are known, so that not all texts are read to find one.
    recognise: models.JSONField[Any, Any] = models.JSONField()
    version = models.PositiveIntegerField(default=1)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "estate_mapping"
        verbose_name = _("mapping")

    def __str__(self) -> str:
        return self.name
