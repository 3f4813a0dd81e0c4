"""Associations: which partner, with which subscription or tenant, from when to when and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.rules import TENANT_KINDS, AssociationKind, EndReason, Source
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.models import RowModel
from por.directory.access import partner_ids
from por.directory.models import Customer, Partner, Subscription
from por.directory.rules import Workload


def start_of(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """Return the first instant after a UTC day."""
    return start_of(day + timedelta(days=1))


class Period(Func):
    """The half-open range in which an association is in force: its first bound belongs to it, its second does not."""

    function = "tstzrange"
    output_field = DateTimeRangeField()


#: What undo needs to move the start of an association back.
REDATED = ("redated_at", "began_at_before")
#: What an association keeps of its subscription when it ends.
KEPT = ("seats_at_end", "status_at_end", "renews_on_at_end", "version_at_end")


class AssociationQuerySet(models.QuerySet["Association"]):
    def not_undone(self) -> Self:
        """Return all but the undone ones, which count for nothing."""
        return self.filter(undone_at=None)

    def open(self, as_of: date | None = None) -> Self:
        """Return those in force now, or at the end of a UTC day."""
        return self.not_undone().filter(ended_at=None) if as_of is None else self.in_force_on(as_of)

    def of_record(self) -> Self:
        """Return those that make a partner of record."""
        return self.filter(kind=AssociationKind.DPOR)

    def forms(self) -> Self:
        """Return the legacy forms."""
        return self.filter(kind=AssociationKind.OSA_FORM)

    def without_record(self, day: date) -> Self:
        """Return those of subscriptions without a partner of record at the end of a UTC day."""
        of_record = Association.objects.in_force_on(day).of_record()
        return self.exclude(Exists(of_record.filter(subscription=OuterRef("subscription"))))

    def in_force_on(self, day: date) -> Self:
        """Return those in force at the end of a UTC day."""
        end = end_of(day)
        return self.begun_by(day).filter(Q(ended_at=None) | Q(ended_at__gte=end))

    def begun_by(self, day: date | None) -> Self:
        """Return those that had begun by the end of a UTC day, or all of them without a day; never the undone ones."""
        counting = self.not_undone()
        return counting if day is None else counting.filter(began_at__lt=end_of(day))

    def visible_to(self, actor: Actor) -> Self:
        """Return a customer's own or a partner company's own; all of them for staff, none for anyone else."""
        if actor.is_staff:
            return self.all()
        if actor.kind == OrganisationKind.CUSTOMER:
            return self.filter(customer=actor.organisation_id)
        if actor.kind == OrganisationKind.PARTNER:
            return self.filter(partner__in=partner_ids(actor))
        return self.none()

    def with_names(self) -> Self:
        """Return them with everything an event names, in one query."""
        return self.select_related("subscription__sku", "customer__organisation", "partner__organisation")

    def for_listing(self) -> Self:
        """Return them with everything a row shows, in one query."""
        return self.select_related("partner__organisation", "customer__organisation", "subscription__sku")


class Association(RowModel):
    """A partner is associated with a subscription, or a tenant, or a workload of it, over a half-open period.

    `ended_at` is null while it is open. `attached_at` is when it was recorded, which may be later than it began;
    `undone_at` takes it out of the record as if it had never been.
    """

    kind = models.CharField(max_length=20, choices=AssociationKind.choices)
    # Of an approved claim: its programme and role, and the workload where it is of one and not of a subscription.
    program = models.CharField(max_length=20, blank=True, default="", db_default="")
    role = models.CharField(max_length=20, blank=True, default="", db_default="")
    workload = models.CharField(max_length=10, choices=Workload.choices, blank=True, default="", db_default="")
    claim_number = models.CharField(max_length=40, blank=True, default="", db_default="")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="associations")
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, blank=True, related_name="associations", db_index=False
    )
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="associations", db_index=False)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    attached_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True, blank=True)
    reopened_at = models.DateTimeField(null=True, blank=True)  # when its removal, or a move of its start, was undone
    # When the customer last moved its start, and the start before that, for undo.
    redated_at = models.DateTimeField(null=True, blank=True)
    began_at_before = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=12, choices=Source.choices)
    #: The day on which it will end, where a file has given one. Until then it is open.
    ends_on = models.DateField(null=True, blank=True)
    #: Whether no file gave the day of the end, and an import chose it.
    end_inferred = models.BooleanField(default=False, db_default=False)
    end_reason = models.CharField(max_length=24, choices=EndReason.choices, blank=True)
    note = models.TextField(blank=True)  # what the customer wrote when attaching
    end_note = models.TextField(blank=True)  # what the customer wrote when removing
    # The subscription when it ended, which is all that the partner still sees of it; unknown without a status. The
    # version is that after the end.
    seats_at_end = models.PositiveIntegerField(null=True, blank=True)
    status_at_end = models.CharField(
        max_length=10, choices=Subscription.Status.choices, blank=True, default="", db_default=""
    )
    renews_on_at_end = models.DateField(null=True, blank=True)
    version_at_end = models.PositiveIntegerField(null=True, blank=True)

    objects = AssociationQuerySet.as_manager()

    class Meta:
        verbose_name = _("association")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(kind=AssociationKind.DPOR, ended_at=None, undone_at=None),
                name="one_partner_of_record_per_subscription",
            ),
            ExclusionConstraint(
                name="no_two_periods_of_record_overlap",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (Period("began_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(kind=AssociationKind.DPOR, undone_at=None),
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gt=F("began_at")) | Q(undone_at__isnull=False),
                name="an_association_ends_after_it_begins",
            ),
            models.UniqueConstraint(
                fields=["program", "customer", "workload"],
                condition=Q(ended_at=None, undone_at=None) & ~Q(workload=""),
                name="one_claim_per_workload",
            ),
            models.UniqueConstraint(
                fields=["program", "role", "subscription"],
                condition=Q(ended_at=None, undone_at=None, subscription__isnull=False) & ~Q(program=""),
                name="one_claim_per_role_and_subscription",
            ),
            ExclusionConstraint(
                name="no_two_claims_of_a_workload_overlap",
                expressions=[
                    ("program", RangeOperators.EQUAL),
                    ("customer", RangeOperators.EQUAL),
                    ("workload", RangeOperators.EQUAL),
                    (Period("began_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(undone_at=None) & ~Q(workload=""),
            ),
            ExclusionConstraint(
                name="no_two_claims_of_a_subscription_overlap",
                expressions=[
                    ("program", RangeOperators.EQUAL),
                    ("role", RangeOperators.EQUAL),
                    ("subscription", RangeOperators.EQUAL),
                    (Period("began_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(undone_at=None, subscription__isnull=False) & ~Q(program=""),
            ),
            models.CheckConstraint(
                condition=(
                    Q(kind__in=sorted(TENANT_KINDS), subscription=None, workload="")
                    | (Q(kind=AssociationKind.CPOR, subscription=None) & ~Q(workload=""))
                    | (~Q(kind__in=sorted(TENANT_KINDS)) & Q(subscription__isnull=False, workload=""))
                ),
                name="an_association_is_of_a_subscription_a_workload_or_a_tenant",
            ),
            # Before there were claims, imports have made claimed ones without a programme. Of those that no migration
            # could make a claim of, nothing is known but the partner.
            models.CheckConstraint(
                condition=~Q(kind=AssociationKind.CPOR) | ~Q(program="") | Q(source=Source.ESTATE),
                name="a_claim_has_a_programme",
            ),
            models.CheckConstraint(
                condition=(
                    Q(program="", role="", workload="", claim_number="")
                    | (Q(kind=AssociationKind.CPOR) & ~Q(program="") & ~Q(role=""))
                ),
                name="only_a_claim_has_a_programme_and_role",
            ),
        ]
        indexes = [
            models.Index(fields=["subscription", "kind"], name="associations_of_a_subscription"),
            models.Index(
                fields=["ends_on"],
                condition=Q(ended_at=None, undone_at=None, ends_on__isnull=False),
                name="associations_that_will_end",
            ),
            models.Index(
                fields=["partner", "subscription"],
                include=["customer", "kind", "ended_at", "began_at"],
                condition=Q(undone_at=None),
                name="associations_of_a_partner",
            ),
            models.Index(
                fields=["partner", "customer"],
                include=["ended_at"],
                condition=Q(subscription=None, undone_at=None, workload=""),
                name="tenants_of_a_partner",
            ),
            models.Index(
                fields=["partner", "customer", "workload"],
                condition=Q(undone_at=None) & ~Q(workload=""),
                name="claimed_workloads_of_a_partner",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.partner}"

    def as_of(self, day: date | None) -> Self:
        """Return it as it was at the end of a UTC day: one that ended later was open then. Never save the result."""
        if day is not None and self.ended_at is not None and self.ended_at >= end_of(day):
            self.ended_at = None
            self.end_reason = self.end_note = ""
        return self

    @property
    def instants(self) -> tuple[datetime | None, ...]:
        """Return all instants that it has used on its unit. The next one comes after them."""
        return (self.began_at, self.ended_at, self.attached_at, self.undone_at, self.reopened_at, self.redated_at)

    @property
    def unit(self) -> tuple[str | int | None, ...] | None:
        """Return what only one association has at a time, as the constraints say; None if its kind excludes nothing."""
        if self.kind == AssociationKind.DPOR:
            return (self.kind, self.subscription_id)
        if self.workload:
            return (self.program, self.customer_id, self.workload)
        return (self.program, self.role, self.subscription_id) if self.program else None

    @property
    def is_in_force(self) -> bool:
        return self.ended_at is None and self.undone_at is None

    @property
    def is_own_tenant(self) -> bool:
        """Return whether the partner serves itself: this counts for competencies and never pays."""
        return self.partner.own_tenant_id is not None and self.partner.own_tenant_id == self.customer.tenant_id


class SeenUsage(models.Model):
    """A subscription whose usage an association shows to its partner. It is a view, without what was undone.

    `workload` is empty where all usage is shown: to the partner of record, and by the claim of a subscription. A claim
    of a workload shows that of each subscription of the tenant whose SKU has it.
    """

    pk = models.CompositePrimaryKey("association_id", "subscription_id")
    association = models.ForeignKey(Association, models.DO_NOTHING, related_name="+", db_constraint=False)
    partner = models.ForeignKey(Partner, models.DO_NOTHING, related_name="+", db_constraint=False)
    subscription = models.ForeignKey(Subscription, models.DO_NOTHING, related_name="+", db_constraint=False)
    workload = models.CharField(max_length=10, choices=Workload.choices, blank=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        verbose_name = "seen usage"

    def __str__(self) -> str:
        return f"{self.subscription_id}: {self.workload}"


class Unexplained(models.Model):
    """An association that the last comparison found to differ from what its events say: see checking.py."""

    chain = models.TextField()
    association = models.TextField()  # its key in the events, where an attacker may have written anything
    why = models.TextField()

    class Meta:
        verbose_name = "unexplained association"

    def __str__(self) -> str:
        return f"{self.chain}, association {self.association}: {self.why}"


class UsageSums(models.Model):
    """The usage of a partner's subscriptions by month, as it was counted last: see sums.py.

    `subscriptions` are the keys of those it counts, and `version` is that of the usage. `changes` are the keys of those
    whose use has changed most up to the month `changed_in`, the largest change first.
    """

    partner = models.OneToOneField(Partner, models.CASCADE, primary_key=True, related_name="+")
    version = models.BigIntegerField()
    subscriptions = ArrayField(models.BigIntegerField())
    sums = models.JSONField()
    changed_in = models.DateField()
    changes = ArrayField(models.BigIntegerField())

    class Meta:
        verbose_name = "sums of usage"
        verbose_name_plural = "sums of usage"

    def __str__(self) -> str:
        return str(self.partner)
