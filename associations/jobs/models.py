"""Jobs that do one thing to many subscriptions, with the outcome of each row."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.db.models import RowModel
from por.directory.access import partner_ids


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, actor: Actor) -> Self:
        """Return the jobs of the actor's organisation, and of the locations below it; all of them for staff."""
        if actor.is_staff:
            return self.all()
        if actor.kind == OrganisationKind.PARTNER:
            return self.filter(organisation__in=partner_ids(actor))
        return self.filter(organisation=actor.organisation_id)

    def unfinished(self) -> Self:
        """Return the jobs that are waiting or running."""
        return self.filter(status__in=[Job.Status.QUEUED, Job.Status.RUNNING])


class Job(RowModel):
    """Rows that a worker carries out one by one. A finished row stays finished if the worker dies."""

    class Action(models.TextChoices):
        ATTACH = "attach", _("Attach a partner to each subscription")
        REMOVE = "remove", _("Remove the partner of record of each subscription")
        ANSWER = "answer", _("Answer the change request of each subscription")
        INVITE = "invite", _("Invite the customer of each subscription")

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="jobs")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    action = models.CharField(
        max_length=10, choices=Action.choices, default=Action.ATTACH, db_default=Action.ATTACH.value
    )
    dry_run = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    total = models.PositiveIntegerField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    request_id = models.TextField(blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        indexes = [
            models.Index(fields=["id"], condition=models.Q(status__in=["queued", "running"]), name="jobs_still_to_run")
        ]

    def __str__(self) -> str:
        return f"{self.organisation}, {self.total}"

    @property
    def is_over(self) -> bool:
        return self.status in {self.Status.DONE, self.Status.FAILED}

    @property
    def done(self) -> int:
        """Return how many rows are finished."""
        return self.rows.exclude(outcome="").count()


class JobRow(RowModel):
    """A row as it was sent, and its outcome, in a dry run that of the trial. A row without outcome is unfinished."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="rows", db_index=False)
    row = models.PositiveIntegerField()  # counted from 1, without the header of a file
    subscription_id = models.CharField(max_length=64)
    mpn_id = models.CharField(max_length=64)
    tenant_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    reason = models.TextField(blank=True, default="", db_default="")
    outcome = models.CharField(max_length=20, blank=True)
    invitation = models.UUIDField(null=True, blank=True)  # that was sent for the row; in a dry run that of the trial
    code = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True)  # why it was refused, in the language of the person who asked

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "row"], name="each_row_of_a_job_once")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.row}"
