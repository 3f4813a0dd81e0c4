"""Claims, their units, steps, comments and proofs, and the conflicts of two claims on one unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce, Upper
from django.utils.translation import gettext_lazy as _

from associations.claims.rules import (
    LIVE,
    PENDING,
    TURNS,
    ClaimStatus,
    ConflictStatus,
    Consent,
    Origin,
    Outcome,
    Preview,
    Program,
    Reason,
    Role,
    Scan,
    Turn,
)
from associations.record.models import Association
from associations.record.rules import EndReason
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.db.models import RowModel
from por.directory.access import partner_ids
from por.directory.models import Customer, Partner, Subscription
from por.directory.rules import Product, Workload
from por.web.formatting import Deadline

#: When a claim is due, for the order of a list: one without a term comes after all others.
DUE = Coalesce("due_at", Value(datetime(9999, 1, 1, tzinfo=UTC)))
TRIGRAMS = "gin_trgm_ops"  # for parts of words; `icontains` compares upper-case text
#: The product that stands for a workload on pages, where it is not Office 365.
OF_PRODUCT: dict[str, Product] = {
    Workload.INTUNE: Product.INTUNE,
    Workload.AADP: Product.AADP,
    Workload.AIP: Product.AADP,
    Workload.CRM: Product.CRM_ONLINE,
}
#: A draft has never been submitted; a claim that was withdrawn may have been one.
SUBMITTED_ONCE = Q(submitted_at__isnull=False)


class ClaimQuerySet(models.QuerySet["Claim"]):
    def visible_to(self, actor: Actor) -> Self:
        """Return a partner company's own; those that were submitted to their customer and to staff; none for others."""
        if actor.is_staff:
            return self.filter(SUBMITTED_ONCE)
        if actor.kind == OrganisationKind.CUSTOMER:
            return self.filter(SUBMITTED_ONCE, customer=actor.organisation_id)
        if actor.kind == OrganisationKind.PARTNER:
            return self.filter(partner__in=partner_ids(actor))
        return self.none()

    def for_listing(self) -> Self:
        """Return them with all that a row shows. It takes one more query, however many there are."""
        return self.select_related("customer__organisation", "partner__organisation").prefetch_related(
            models.Prefetch("units", ClaimUnit.objects.select_related("subscription__sku").order_by("pk"))
        )


class Claim(RowModel):
    """A partner says that it does the work for some workloads or subscriptions of a customer, in a programme and role.

    `company` is the global account of the partner, or the partner itself. `number` is given at the first submit, or
    came with a file. `due_at` is when the step that is waited for is due. `version` is the value of its ETag.
    """

    number = models.CharField(max_length=40, blank=True)
    name = models.CharField(_("claim name"), max_length=200, blank=True)
    program = models.CharField(max_length=20, choices=Program.choices, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="claims", db_index=False)
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="claims", db_index=False)
    company = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    domain = models.CharField(max_length=253, blank=True)
    customer_contact_name = models.CharField(max_length=150, blank=True)
    customer_contact_title = models.CharField(max_length=150, blank=True)
    customer_contact_email = models.EmailField(max_length=254, blank=True)
    partner_contact_name = models.CharField(max_length=150, blank=True)
    partner_contact_email = models.EmailField(max_length=254, blank=True)
    opt_out_of_payment = models.BooleanField(default=False)
    # What only some programmes and roles ask for: see rules.own_fields.
    transaction_on = models.DateField(null=True, blank=True)
    seller = models.CharField(max_length=200, blank=True)
    solution = models.CharField(max_length=200, blank=True)
    #: What the partner has found in its own proof before it submits.
    checked = ArrayField(models.CharField(max_length=24, choices=Reason.choices), default=list, blank=True)
    origin = models.CharField(max_length=10, choices=Origin.choices)
    status = models.CharField(max_length=20, choices=ClaimStatus.choices, default=ClaimStatus.DRAFT)
    consent = models.CharField(max_length=10, choices=Consent.choices, blank=True)
    end_reason = models.CharField(max_length=24, choices=EndReason.choices, blank=True)
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)  # first
    due_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    consent_due_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)  # rejected, withdrawn or ended
    reminders = models.PositiveSmallIntegerField(default=0)  # sent or missed, of the present step
    disputes = models.PositiveSmallIntegerField(default=0)
    #: The reviewer who has it. It is a matter of the house, so it gives the claim no new version.
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    version = models.PositiveIntegerField(default=1)

    objects = ClaimQuerySet.as_manager()

    class Meta:
        verbose_name = _("claim")
        constraints = [
            models.UniqueConstraint(fields=["number"], condition=~Q(number=""), name="one_claim_per_number"),
            models.CheckConstraint(
                condition=Q(status=ClaimStatus.DRAFT, submitted_at=None)
                | Q(status=ClaimStatus.WITHDRAWN)
                | (~Q(status=ClaimStatus.DRAFT) & SUBMITTED_ONCE),
                name="a_claim_is_a_draft_or_was_submitted",
            ),
            models.CheckConstraint(
                condition=Q(submitted_at=None) | (~Q(number="") & ~Q(program="") & ~Q(role="")),
                name="a_submitted_claim_has_number_programme_and_role",
            ),
            models.CheckConstraint(
                condition=Q(consent="", approved_at=None) | (~Q(consent="") & Q(approved_at__isnull=False)),
                name="an_approved_claim_has_a_consent",
            ),
            models.CheckConstraint(
                condition=(Q(status=ClaimStatus.ENDED) & ~Q(end_reason=""))
                | (~Q(status=ClaimStatus.ENDED) & Q(end_reason="")),
                name="an_ended_claim_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "-id"], name="claims_of_a_partner"),
            models.Index(fields=["partner", "status", "-id"], name="claims_of_a_partner_by_status"),
            models.Index(fields=["partner", "-id"], condition=Q(origin=Origin.ESTATE), name="claims_from_files"),
            models.Index(fields=["customer", "-id"], name="claims_of_a_customer"),
            models.Index(fields=["company", "submitted_at"], name="claims_of_a_company"),
            GinIndex(OpClass(Upper("number"), TRIGRAMS), OpClass(Upper("name"), TRIGRAMS), name="claims_by_part"),
            models.Index(fields=["status", "due_at", "id"], name="claims_by_due"),
            models.Index(DUE, "id", condition=Q(status__in=sorted(PENDING)), name="claims_to_review"),
            models.Index(fields=["assigned_to"], condition=Q(assigned_to__isnull=False), name="claims_of_a_reviewer"),
            models.Index(
                fields=["consent_due_at"], condition=Q(consent=Consent.PENDING), name="claims_waiting_for_consent"
            ),
        ]

    def __str__(self) -> str:
        return self.number or self.name

    @property
    def turn(self) -> Turn:
        """Return whose turn it is."""
        if self.status == ClaimStatus.APPROVED and self.consent == Consent.PENDING:
            return Turn.CUSTOMER
        return TURNS.get(self.status, Turn.NOBODY)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE


class ClaimUnit(RowModel):
    """One unit of a claim: a workload of the tenant, or a subscription.

    It is live from the submit until the claim is rejected, withdrawn or ended, or the unit is lost or has ended. The
    usage is that of the first submit. Programme, role, customer and company are those of the claim.
    """

    claim = models.ForeignKey(Claim, models.CASCADE, related_name="units", db_index=False)
    program = models.CharField(max_length=20, choices=Program.choices)
    role = models.CharField(max_length=20, choices=Role.choices)
    company = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    workload = models.CharField(max_length=10, choices=Workload.choices, blank=True)
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, blank=True, related_name="claim_units", db_index=False
    )
    live = models.BooleanField(default=False)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    association = models.OneToOneField(Association, models.PROTECT, null=True, blank=True, related_name="claim_unit")
    paid_units = models.PositiveIntegerField(null=True, blank=True)
    active_users = models.PositiveIntegerField(null=True, blank=True)
    month = models.DateField(null=True, blank=True)
    # Of which renewal the partner was told last, and how many days ahead.
    noticed_renewal = models.DateField(null=True, blank=True)
    noticed_days = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        verbose_name = _("unit of a claim")
        constraints = [
            models.CheckConstraint(
                condition=(Q(subscription=None) & ~Q(workload="")) | Q(subscription__isnull=False, workload=""),
                name="a_unit_is_a_workload_or_a_subscription",
            ),
            models.UniqueConstraint(
                fields=["claim", "workload"], condition=Q(subscription=None), name="a_claim_names_a_workload_once"
            ),
            models.UniqueConstraint(
                fields=["claim", "subscription"],
                condition=Q(subscription__isnull=False),
                name="a_claim_names_a_subscription_once",
            ),
            models.UniqueConstraint(
                fields=["program", "customer", "workload", "company"],
                condition=Q(live=True, subscription=None),
                name="one_live_claim_of_a_company_per_workload",
            ),
            models.UniqueConstraint(
                fields=["subscription", "program", "role", "company"],
                condition=Q(live=True, subscription__isnull=False),
                name="one_live_claim_of_a_company_per_subscription",
            ),
        ]
        indexes = [models.Index(fields=["claim"], name="units_of_a_claim")]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """Return the name of the workload or the subscription."""
        return self.subscription.name if self.subscription else str(Workload(self.workload).label)

    @property
    def key(self) -> tuple[str | int | None, ...]:
        """Return what only one claim can hold at a time: see Association.unit."""
        if self.workload:
            return (self.program, self.customer_id, self.workload)
        return (self.program, self.role, self.subscription_id)


class ClaimStep(RowModel):
    """One step of a claim. Rows are inserted, never changed; a claim as of a day is read from them."""

    claim = models.ForeignKey(Claim, models.CASCADE, related_name="steps", db_index=False)
    verb = models.CharField(max_length=40)
    before = models.CharField(max_length=20, choices=ClaimStatus.choices, blank=True)
    after = models.CharField(max_length=20, choices=ClaimStatus.choices)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, blank=True, related_name="+")
    reasons = ArrayField(models.CharField(max_length=24, choices=Reason.choices), default=list, blank=True)
    note = models.TextField(blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    changes: models.JSONField = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("step of a claim")
        indexes = [models.Index(fields=["claim", "at", "id"], name="steps_of_a_claim")]

    def __str__(self) -> str:
        return f"{self.claim_id}: {self.verb}"

    @property
    def instants(self) -> tuple[datetime, ...]:
        return (self.at,)


class Comment(models.Model):
    """What partner and reviewer say to each other, or, with `internal`, what staff say among themselves."""

    claim = models.ForeignKey(Claim, models.CASCADE, related_name="comments", db_index=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    text = models.TextField()
    at = models.DateTimeField()
    internal = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("comment")
        indexes = [models.Index(fields=["claim", "at", "id"], name="comments_of_a_claim")]

    def __str__(self) -> str:
        return f"{self.claim_id}: {self.by_name}"


class Proof(RowModel):
    """A file that shows the partner's work. It is numbered within its claim and never changed.

    `stored_as` is its name in the storage, in `quarantine/` until the scan has released it.
    """

    claim = models.ForeignKey(Claim, models.CASCADE, related_name="proofs", db_index=False)
    number = models.PositiveSmallIntegerField()
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    stored_as = models.CharField(max_length=200, unique=True)
    acknowledged_on = models.DateField()
    description = models.TextField(blank=True)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    uploaded_by_name = models.CharField(max_length=150, blank=True)
    uploaded_at = models.DateTimeField()
    scan = models.CharField(max_length=12, choices=Scan.choices, default=Scan.PENDING)
    pages = models.PositiveSmallIntegerField(default=0)  # how many pictures of pages there are
    preview = models.CharField(max_length=10, choices=Preview.choices, default=Preview.PENDING)
    units = models.ManyToManyField(ClaimUnit, through="ProofUnit", related_name="proofs")

    class Meta:
        verbose_name = _("proof of execution")
        constraints = [
            models.UniqueConstraint(fields=["claim", "number"], name="one_proof_per_number_of_a_claim"),
            models.UniqueConstraint(fields=["claim", "sha256"], name="a_claim_has_a_file_once"),
        ]
        indexes = [
            models.Index(
                fields=["uploaded_at"], condition=Q(scan__in=[Scan.PENDING, Scan.FAILED]), name="proofs_to_scan"
            )
        ]

    def __str__(self) -> str:
        return self.filename


class ProofUnit(models.Model):
    """A proof is for a unit of its claim."""

    proof = models.ForeignKey(Proof, models.CASCADE, related_name="+", db_index=False)
    unit = models.ForeignKey(ClaimUnit, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["proof", "unit"], name="a_proof_names_a_unit_once")]

    def __str__(self) -> str:
        return f"{self.proof_id}: {self.unit_id}"


class ConflictQuerySet(models.QuerySet["Conflict"]):
    def open(self) -> Self:
        return self.filter(status=ConflictStatus.OPEN)

    def for_listing(self) -> Self:
        """Return them with all that a row shows. It takes one more query, however many there are."""
        sides = ConflictSide.objects.select_related("claim__partner__organisation").order_by("pk")
        return self.select_related(
            "customer__organisation", "subscription__sku", "winner__partner__organisation", "answer__partner"
        ).prefetch_related(models.Prefetch("sides", sides))

    def visible_to(self, actor: Actor) -> Self:
        """Return a customer's own or those a partner company has a claim in; all for staff, none for anyone else."""
        if actor.is_staff:
            return self.all()
        if actor.kind == OrganisationKind.CUSTOMER:
            return self.filter(customer=actor.organisation_id)
        if actor.kind == OrganisationKind.PARTNER:
            own = ConflictSide.objects.filter(conflict=models.OuterRef("pk"), claim__partner__in=partner_ids(actor))
            return self.filter(models.Exists(own))
        return self.none()


class Conflict(RowModel):
    """Two or more companies claim one unit, and a reviewer decides. A unit has one open conflict at a time.

    `winner` is null while it is open, and where no proof suffices. A decision is carried out once its winner has no
    other open conflict. If the winner leaves before, the conflict is closed, and nothing comes of the decision.
    """

    program = models.CharField(max_length=20, choices=Program.choices)
    role = models.CharField(max_length=20, choices=Role.choices)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="conflicts", db_index=False)
    workload = models.CharField(max_length=10, choices=Workload.choices, blank=True)
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, blank=True, related_name="conflicts", db_index=False
    )
    status = models.CharField(max_length=10, choices=ConflictStatus.choices, default=ConflictStatus.OPEN)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    winner = models.ForeignKey(Claim, models.PROTECT, null=True, blank=True, related_name="won", db_index=False)
    note = models.TextField(blank=True)  # why, which all sides read
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    carried_out_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)  # when the customer was asked
    version = models.PositiveIntegerField(default=1)

    objects = ConflictQuerySet.as_manager()

    class Meta:
        verbose_name = _("conflict")
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "program", "workload"],
                condition=Q(status=ConflictStatus.OPEN, subscription=None),
                name="one_open_conflict_per_workload",
            ),
            models.UniqueConstraint(
                fields=["subscription", "program", "role"],
                condition=Q(status=ConflictStatus.OPEN, subscription__isnull=False),
                name="one_open_conflict_per_subscription",
            ),
            models.CheckConstraint(
                condition=Q(status=ConflictStatus.OPEN, closed_at=None)
                | (~Q(status=ConflictStatus.OPEN) & Q(closed_at__isnull=False)),
                name="a_conflict_is_open_or_has_closed",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="conflicts_of_a_customer"),
            models.Index(fields=["status", "due_at", "id"], name="conflicts_by_due"),
            models.Index(
                fields=["winner"],
                condition=Q(status=ConflictStatus.DECIDED, carried_out_at=None),
                name="decisions_to_carry_out",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}, {self.customer}"

    @property
    def product(self) -> str:
        """Return the product whose colour stands for it on pages."""
        if self.subscription is not None:
            return self.subscription.product
        return OF_PRODUCT.get(self.workload, Product.OFFICE365)

    @property
    def deadline(self) -> Deadline | None:
        """Return the last day for the decision in the customer's time zone; None where there is no term."""
        if self.due_at is None:
            return None
        zone = ZoneInfo(self.customer.organisation.time_zone)
        return Deadline((self.due_at - timedelta(microseconds=1)).astimezone(zone).date(), self.due_at)

    @property
    def label(self) -> str:
        """Return the name of the workload or the subscription."""
        return self.subscription.name if self.subscription else str(Workload(self.workload).label)


class ConflictSide(RowModel):
    """A claim that is a side of a conflict. `held_before` says that it was approved when the conflict was opened."""

    conflict = models.ForeignKey(Conflict, models.CASCADE, related_name="sides", db_index=False)
    claim = models.ForeignKey(Claim, models.PROTECT, related_name="sides")
    joined_at = models.DateTimeField()
    held_before = models.BooleanField(default=False)
    #: What the reviewer found missing in its proof.
    missing = ArrayField(models.CharField(max_length=24, choices=Reason.choices), default=list, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conflict", "claim"], name="a_claim_is_one_side_of_a_conflict")]

    def __str__(self) -> str:
        return f"{self.conflict_id}: {self.claim_id}"


class CustomerAnswer(RowModel):
    """Which partner the customer says does the work; none for neither. It may change until the decision."""

    conflict = models.OneToOneField(Conflict, models.CASCADE, related_name="answer")
    partner = models.ForeignKey(Partner, models.PROTECT, null=True, blank=True, related_name="+")
    text = models.TextField(blank=True)
    answered_at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = _("answer of the customer")

    def __str__(self) -> str:
        return f"{self.conflict_id}: {self.partner_id}"


class Interest(models.Model):
    """A reviewer has an interest in an organisation, and decides nothing about its claims and overrides."""

    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="interests", db_index=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    note = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("interest of a reviewer")
        constraints = [
            models.UniqueConstraint(
                fields=["reviewer", "organisation"], name="one_interest_per_reviewer_and_organisation"
            )
        ]

    def __str__(self) -> str:
        return f"{self.reviewer_id}: {self.organisation_id}"
