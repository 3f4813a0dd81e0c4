"""What a company holds in the programmes that give competencies and designations."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from associations.record.rules import NOTE_LENGTH
from competencies.programs import Level, programs
from por.accounts.models import Actor, Organisation
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


class OverrideStatus(models.TextChoices):
    """The status of an override."""

    ASKED = "asked", _("Waiting for a second person")
    GIVEN = "given", pgettext_lazy("override", "Given")
    DECLINED = "declined", pgettext_lazy("override", "Declined")
    WITHDRAWN = "withdrawn", pgettext_lazy("override", "Withdrawn")
    ENDED = "ended", _("Ended early")


class OverrideQuerySet(models.QuerySet["Override"]):
    def visible_to(self, actor: Actor) -> Self:
        """Return all for platform staff, none for anyone else."""
        return self.all() if actor.is_staff else self.none()

    def for_listing(self) -> Self:
        """Return them with all that a page or the API shows."""
        return self.select_related("company")

    def in_force(self, day: date) -> Self:
        """Return those that stand in for a level at the end of a day. One that was ended early no longer does."""
        not_ended = models.Q(ended_on=None) | models.Q(ended_on__gt=day)
        return self.filter(not_ended, begins_on__lte=day, until__gte=day)  # one that is not given has no last day

    def keeping(self, program: str, level: str, day: date) -> Self:
        """Return those that keep a level on a day: they are of it, or of a higher one. Of a score there are none."""
        return self.in_force(day).filter(program=program, level__in=programs()[program].at_least(level))


class Override(models.Model):
    """The vendor's staff let a company have a level of a competency for some time, whatever is measured.

    One of them asks and another one confirms. Until then, who asked can withdraw it. It holds from `begins_on`, which
    is the day of the confirmation unless another day is asked for, until `until`; both days count. Ended early, it no
    longer holds on `ended_on`.
    """

    company = models.ForeignKey(Organisation, models.PROTECT, related_name="overrides", db_index=False)
    program = models.CharField(max_length=60)
    level = models.CharField(max_length=10, choices=Level.choices)
    status = models.CharField(max_length=10, choices=OverrideStatus.choices, default=OverrideStatus.ASKED)
    begins_on = models.DateField(null=True, blank=True)
    until = models.DateField(null=True, blank=True)
    ended_on = models.DateField(null=True, blank=True)
    reason = models.CharField(max_length=NOTE_LENGTH)
    decision_note = models.CharField(max_length=NOTE_LENGTH, blank=True, default="")
    withdrawal_note = models.CharField(max_length=NOTE_LENGTH, blank=True, default="", db_default="")
    end_reason = models.CharField(max_length=NOTE_LENGTH, blank=True, default="")
    asked_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    asked_by_name = models.CharField(max_length=200)
    decided_by_name = models.CharField(max_length=200, blank=True, default="")
    ended_by_name = models.CharField(max_length=200, blank=True, default="")
    version = models.PositiveIntegerField(default=1)

    objects = OverrideQuerySet.as_manager()

    class Meta:
        verbose_name = _("override")
        constraints = [
            models.UniqueConstraint(
                fields=["company", "program"],
                condition=models.Q(status=OverrideStatus.ASKED),
                name="one_open_override_of_a_programme",
            ),
            models.CheckConstraint(
                condition=~models.Q(decided_by=models.F("asked_by")), name="an_override_needs_two_persons"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=[OverrideStatus.ASKED, OverrideStatus.DECLINED, OverrideStatus.WITHDRAWN], until=None
                )
                | models.Q(
                    status__in=[OverrideStatus.GIVEN, OverrideStatus.ENDED],
                    begins_on__isnull=False,
                    until__gte=models.F("begins_on"),
                ),
                name="an_override_has_its_days_once_it_is_given",
            ),
            models.CheckConstraint(
                condition=models.Q(status=OverrideStatus.ENDED, ended_on__gte=models.F("begins_on"))
                | (~models.Q(status=OverrideStatus.ENDED) & models.Q(ended_on=None)),
                name="an_override_has_a_day_of_its_end_if_ended",
            ),
            models.CheckConstraint(
                condition=models.Q(status=OverrideStatus.WITHDRAWN, withdrawn_at__isnull=False)
                | (~models.Q(status=OverrideStatus.WITHDRAWN) & models.Q(withdrawn_at=None)),
                name="an_override_has_an_instant_of_its_withdrawal",
            ),
        ]
        indexes = [models.Index(fields=["company", "program", "-until"], name="overrides_of_a_company")]

    def __str__(self) -> str:
        return f"{self.program} {self.level}, {self.company}"

    @property
    def is_asked(self) -> bool:
        return self.status == OverrideStatus.ASKED

    def is_asked_by(self, actor: Actor) -> bool:
        """Return whether the actor is the person who asked for it."""
        return self.asked_by_id is not None and self.asked_by_id == actor.user_id

    @property
    def last_day(self) -> date | None:
        """Return the last day on which it holds, as known now; None before it is given."""
        return self.until if self.ended_on is None else self.ended_on - timedelta(days=1)


class AttainmentQuerySet(models.QuerySet["Attainment"]):
    def newest(self, day: date) -> Self:
        """Return the row of each company and programme that says what was reached on a day."""
        newest_first = self.filter(day__lte=day).order_by("company", "program", "-day", "-recorded_at", "-pk")
        return newest_first.distinct("company", "program")


class Attainment(models.Model):
    """What a company had reached in a programme on a day, and why.

    Rows are only inserted: one for a company, programme and day if what was reached, or why, is not that of the row
    before. So the newest row up to a day says what was reached then, and the newest of those recorded by another day
    says what was known by then. `level` repeats that of the result; it is None where that is undetermined. `evidence`
    is what made the result; rows are not compared by it.
    """

    company = models.ForeignKey(Organisation, models.PROTECT, related_name="attainments", db_index=False)
    program = models.CharField(max_length=60)
    day = models.DateField()
    level = models.CharField(max_length=10, null=True)  # noqa: DJ001  # None is undetermined, and "none" is a level
    result = models.JSONField()
    evidence = models.JSONField(null=True)  # see competencies/contributions.py; None in rows from before it was kept
    recorded_at = models.DateTimeField(db_default=Now())

    objects = AttainmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("attainment")
        indexes = [
            models.Index(fields=["company", "program", "-day", "-recorded_at"], name="attainments_of_a_company"),
        ]

    def __str__(self) -> str:
        return f"{self.program} {self.level}, {self.company} on {self.day}"


class Round(models.Model):
    """A recomputation of many companies: why, how far it is, and how many of them have another result.

    Each of its companies has a row of `Recompute`, and the transaction that deletes the row counts the company here. So
    a worker that dies counts nothing, and the round ends with its last company. One that was given up is in `failed`.
    """

    class Reason(models.TextChoices):
        NIGHTLY = "nightly", _("Nightly")
        IMPORT = "import", _("After an import")
        COMMAND = "command", _("By command")
        RULES = "rules", _("After new rules")

    reason = models.CharField(max_length=10, choices=Reason.choices)
    since = models.DateField(null=True)  # the first stored day that is computed again; None if all are
    rules = models.CharField(max_length=64)  # the fingerprint of the rules and of their code when it began
    companies = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0, db_default=0)
    changed = models.PositiveIntegerField(default=0, db_default=0)
    failed = models.PositiveIntegerField(default=0, db_default=0)
    begun_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("round of recomputations")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(companies__gte=models.F("done") + models.F("failed")),
                name="a_round_counts_each_company_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} of {self.begun_at:%Y-%m-%d}"

    @property
    def seconds(self) -> float:
        """Return how long the round took, or has taken until now."""
        return max(0.0, ((self.ended_at or timezone.now()) - self.begun_at).total_seconds())


class Recompute(models.Model):
    """A company whose attainments have to be computed again: those of today, and the stored ones since a day.

    Whatever concerns the company inserts a row, so that no transaction waits for another. A worker takes the rows of a
    company, computes once and deletes them in the same transaction. Rows with a smaller `priority` go first. A row with
    many days is done in parts, the newest days first: it stays with `until`, the newest day that is not done yet. Where
    `until` is `since`, that one day is computed, whether something is stored about it or not. `customers` are those of
    which something has changed; None if that is not known.
    """

    company = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    since = models.DateField()
    until = models.DateField(null=True)
    customers = ArrayField(models.BigIntegerField(), null=True)
    round = models.ForeignKey(Round, models.PROTECT, null=True, related_name="+", db_index=False)
    has_changed = models.BooleanField(default=False, db_default=False)  # a part that is done had another result
    priority = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    last_error = models.TextField(blank=True, default="", db_default="")
    inserted_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("recomputation")
        indexes = [
            models.Index(fields=["priority", "id"], include=["company", "next_at"], name="recomputations_by_priority"),
            models.Index(fields=["company"], name="recomputations_of_a_company"),
        ]

    def __str__(self) -> str:
        return f"{self.company} since {self.since}"


class KeptPart(models.Model):
    """What a customer adds to the answer to a question about a company, see competencies/measures/kept.py.

    A row without a customer says that the question is answered, and with which caveat where no row has a customer. The
    table is unlogged: after a crash of the database it is empty, and all is read again.
    """

    company = models.ForeignKey(Organisation, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    question = models.BigIntegerField()
    customer = models.ForeignKey(
        Organisation, models.DO_NOTHING, related_name="+", null=True, db_constraint=False, db_index=False
    )
    counts_once = models.TextField(null=True)  # noqa: DJ001  # what several customers may have; "" adds nothing
    month = models.DateField(null=True)
    amount = models.DecimalField(max_digits=60, decimal_places=18)  # in the database, as many digits as it has
    caveat = models.SmallIntegerField()

    class Meta:
        verbose_name = _("kept part of a figure")
        indexes = [models.Index(fields=["company", "question", "customer"], name="kept_parts_of_a_company")]

    def __str__(self) -> str:
        return f"{self.amount} of {self.customer_id} for {self.company_id}"
