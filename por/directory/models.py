"""Partners, customers, SKUs, subscriptions, what is known of each month, and the checks of MPN IDs."""

from __future__ import annotations

from datetime import UTC, date
from functools import cached_property
from typing import TypeVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from por.accounts.models import Organisation
from por.db.models import RowModel
from por.directory.portals import Portal, portal_for
from por.directory.rules import Agreement, Product, RevenueKind, Workload

M = TypeVar("M", bound=models.Model)


class Customer(RowModel):
    """A customer's tenant. Its organisation's number is the tenant ID."""

    class Segment(models.TextChoices):
        ENTERPRISE = "enterprise", _("Enterprise")
        SMB = "smb", _("Small or medium business")
        PUBLIC_SECTOR = "public_sector", _("Public sector")

    organisation = models.OneToOneField(Organisation, models.PROTECT, primary_key=True, related_name="customer")
    tenant_id = models.UUIDField(unique=True)
    domain = models.CharField(max_length=253, blank=True)
    country = models.CharField(max_length=2, blank=True)
    segment = models.CharField(max_length=20, choices=Segment.choices, blank=True)

    class Meta:
        verbose_name = _("customer")
        indexes = [GinIndex(OpClass(Upper("domain"), name="gin_trgm_ops"), name="customers_by_part_of_domain")]

    def __str__(self) -> str:
        return self.organisation.name


class Partner(RowModel):
    """A company's location, or the global account above its locations. Its organisation's number is the MPN ID.

    Credit goes to locations. The hierarchy is that of the organisations (`organisation.parent`).
    """

    class Kind(models.TextChoices):
        LOCATION = "location", _("Location")
        GLOBAL = "global", _("Global account")

    class Market(models.TextChoices):
        DEVELOPED = "developed", _("Developed")
        DEVELOPING = "developing", _("Developing")

    class Status(models.TextChoices):
        ACTIVE = "active", _("Active")
        SUSPENDED = "suspended", _("Suspended")
        CLOSED = "closed", _("Closed")

    organisation = models.OneToOneField(Organisation, models.PROTECT, primary_key=True, related_name="partner")
    mpn_id = models.CharField(_("MPN ID"), max_length=10, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.LOCATION)
    city = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, blank=True)
    market = models.CharField(max_length=12, choices=Market.choices, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    own_tenant_id = models.UUIDField(_("its own tenant"), null=True, blank=True)

    class Meta:
        verbose_name = _("partner")

    def __str__(self) -> str:
        return f"{self.organisation.name} ({self.mpn_id})"

    def is_of_same_company_as(self, other: Partner) -> bool:
        """Return whether both belong to one global account, or one is the account above the other."""
        return self.company_id == other.company_id

    @property
    def company_id(self) -> int:
        """Return the key of the global account that a location belongs to, or of the partner itself."""
        return self.organisation.parent_id or self.pk


class Enrolment(models.Model):
    """A location is enrolled in an incentive programme; since when each part of that is complete, or None."""

    partner = models.ForeignKey(Partner, models.PROTECT, related_name="enrolments", db_index=False)
    program = models.CharField(max_length=40)
    agreement_signed_on = models.DateField(null=True, blank=True)
    bank_ok_on = models.DateField(null=True, blank=True)
    tax_ok_on = models.DateField(null=True, blank=True)

    class Meta:
        verbose_name = _("enrolment")
        constraints = [
            models.UniqueConstraint(fields=["partner", "program"], name="one_enrolment_per_location_and_programme")
        ]

    def __str__(self) -> str:
        return f"{self.program}, {self.partner}"


class Credential(models.Model):
    """A person passed an exam, or holds a certificate, at a location of a partner; the last day counts, too.

    `person` is the name or the ID that the file gives. Its company and staff see it; it is no account here.
    """

    person = models.CharField(max_length=200)
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="credentials")
    credential = models.CharField(max_length=61)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)

    class Meta:
        verbose_name = _("credential")
        constraints = [
            models.UniqueConstraint(
                fields=["person", "partner", "credential", "valid_from"], name="one_credential_from_a_day"
            ),
            models.CheckConstraint(
                condition=models.Q(valid_to=None) | models.Q(valid_to__gte=models.F("valid_from")),
                name="a_credential_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.credential}, {self.partner}"


class ServicePlan(models.Model):
    """A part of a SKU, as the catalogue names it, with the workload that it belongs to, if any."""

    string_id = models.CharField(max_length=100, unique=True)
    plan_id = models.UUIDField()
    name = models.CharField(max_length=200)
    workload = models.CharField(max_length=10, choices=Workload.choices, blank=True)

    class Meta:
        verbose_name = _("service plan")

    def __str__(self) -> str:
        return self.name


class Sku(RowModel):
    """A product that can be bought: of the catalogue, or named by a file alone.

    What only a file names has no `sku_id`, and its name is its string, until the catalogue has it. Two SKUs of the
    catalogue have one string; the second one's is followed by its `sku_id`.
    """

    # The column `string_id` is for the release before, which would fail if the length of its column changed.
    string_id = models.CharField(max_length=150, unique=True, db_column="string")
    sku_id = models.UUIDField(unique=True, null=True, blank=True)
    name = models.CharField(max_length=200)
    former_name = models.CharField(max_length=200, blank=True)
    plans = models.ManyToManyField(ServicePlan, related_name="skus")

    class Meta:
        verbose_name = _("SKU")

    def __str__(self) -> str:
        return self.name


#: The order in which a subscription that is its customer's now comes before those of former customers.
HERE_FIRST = models.F("left_at").desc(nulls_first=True)


class Subscription(RowModel):
    """What a customer has bought, and can attach a partner to. `version` is the value of its ETag.

    One that has moved to another tenant has a row for each customer: `left_at` is when it left this one, where it
    counts as expired, and `came_at` when it came from another one. What was said of it stays with the row of its time.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", _("Active")
        GRACE = "grace", _("Grace period")
        SUSPENDED = "suspended", pgettext_lazy("subscription", "Suspended")
        EXPIRED = "expired", _("Expired")

    subscription_id = models.UUIDField()
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="subscriptions")
    product = models.CharField(max_length=12, choices=Product.choices)
    sku = models.ForeignKey(Sku, models.PROTECT, null=True, blank=True, related_name="subscriptions")
    agreement = models.CharField(max_length=10, choices=Agreement.choices)
    seats = models.PositiveIntegerField(null=True, blank=True)
    is_trial = models.BooleanField(default=False)
    started_on = models.DateField()
    renews_on = models.DateField(null=True, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    replaces = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="replaced_by")
    #: The UTC day of the first complete file of its customer that did not name it; none if the last one did.
    missing_since = models.DateField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    came_at = models.DateTimeField(null=True, blank=True)
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("subscription")
        constraints = [
            models.UniqueConstraint(fields=["subscription_id", "customer"], name="one_row_for_each_customer"),
            models.UniqueConstraint(
                fields=["subscription_id"], condition=models.Q(left_at=None), name="one_customer_at_a_time"
            ),
            models.CheckConstraint(
                condition=models.Q(left_at=None) | models.Q(status="expired"), name="a_subscription_that_left_is_over"
            ),
        ]
        # The filters of lists, in the order of the list, so that a page is read off an index. There is no index on the
        # product alone, because no product is rare.
        indexes = [
            models.Index(fields=["product", "agreement", "status", "id"], name="subscriptions_by_product"),
            models.Index(fields=["agreement", "id"], name="subscriptions_by_agreement"),
            models.Index(fields=["status", "id"], name="subscriptions_by_status"),
            models.Index(fields=["renews_on"], name="subscriptions_by_renewal"),
            models.Index(
                fields=["customer"], condition=models.Q(missing_since__isnull=False), name="subscriptions_missing"
            ),
            models.Index(
                fields=["subscription_id"], condition=models.Q(left_at__isnull=False), name="subscriptions_that_left"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.customer}"

    @property
    def name(self) -> str:
        """Return the name that people use: the SKU's, or the product's if the SKU is not known."""
        sku = self.sku
        return sku.name if sku else str(self.get_product_display())

    @cached_property
    def id_text(self) -> SafeString:
        """Return the ID as text: digits, letters and hyphens, of which none has to be escaped."""
        return SafeString(self.subscription_id)

    @property
    def portal(self) -> Portal:
        return portal_for(self.agreement, self.product)

    @property
    def here_since(self) -> date:
        """Return the first day on which it was this customer's."""
        return self.started_on if self.came_at is None else max(self.started_on, self.came_at.astimezone(UTC).date())

    @property
    def in_money(self) -> bool:
        """Return whether its size is measured in consumption: Azure has no seats."""
        return self.product == Product.AZURE


class MonthlyQuerySet(models.QuerySet[M]):
    def current(self) -> MonthlyQuerySet[M]:
        """Return the newest revision of each month: what is known now."""
        return self.filter(superseded_at=None)


class Usage(models.Model):
    """How much of a workload one subscription used in one month (`month` is its first day).

    A correction inserts a revision and closes the one before, so no figure is overwritten. Partitioned by year.
    """

    pk = models.CompositePrimaryKey("subscription_id", "month", "workload", "revision")
    subscription = models.ForeignKey(
        Subscription, models.DO_NOTHING, related_name="usage", db_index=False, db_constraint=False
    )
    month = models.DateField()
    workload = models.CharField(max_length=10, choices=Workload.choices)
    revision = models.PositiveSmallIntegerField(default=1)
    paid_units = models.PositiveIntegerField(null=True)
    active_users = models.PositiveIntegerField(null=True)
    consumed_usd = models.DecimalField(max_digits=30, decimal_places=18, null=True)
    known_from = models.DateTimeField(default=timezone.now)
    superseded_at = models.DateTimeField(null=True)

    objects = MonthlyQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "directory_usage"
        verbose_name = _("usage")

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.workload}"


class MonthlyFact(models.Model):
    """What is known of one subscription in one month (`month` is its first day).

    A correction inserts a revision and closes the one before, so no figure is overwritten.
    """

    month = models.DateField()
    revision = models.PositiveSmallIntegerField(default=1)
    known_from = models.DateTimeField(default=timezone.now)
    superseded_at = models.DateTimeField(null=True)

    objects = MonthlyQuerySet.as_manager()

    class Meta:
        abstract = True


class Revenue(MonthlyFact):
    """What a subscription was worth in one month, as its programme counts it; below 0 for a credit."""

    pk = models.CompositePrimaryKey("subscription_id", "month", "kind", "revision")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="revenue", db_index=False)
    kind = models.CharField(max_length=20, choices=RevenueKind.choices)
    amount = models.DecimalField(max_digits=30, decimal_places=18)
    currency = models.CharField(max_length=3)

    class Meta:
        verbose_name = _("revenue")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "month", "kind"],
                condition=models.Q(superseded_at=None),
                name="one_current_revenue_per_month",
            ),
            models.CheckConstraint(condition=models.Q(month__day=1), name="revenue_is_of_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.kind}"


class Consumption(MonthlyFact):
    """What a subscription consumed of one Azure service in one month, in US dollars; below 0 for a credit."""

    pk = models.CompositePrimaryKey("subscription_id", "month", "service", "revision")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="consumption", db_index=False)
    service = models.CharField(max_length=100)
    amount_usd = models.DecimalField(max_digits=30, decimal_places=18)

    class Meta:
        verbose_name = _("consumption")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "month", "service"],
                condition=models.Q(superseded_at=None),
                name="one_current_consumption_per_month",
            ),
            models.CheckConstraint(condition=models.Q(month__day=1), name="consumption_is_of_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.service}"


class ReportedMonth(models.Model):
    """A month of which the whole estate has some row of a file. Triggers insert it with the first one."""

    pk = models.CompositePrimaryKey("file", "month")
    file = models.CharField(max_length=20)
    month = models.DateField()

    class Meta:
        verbose_name = "reported month"

    def __str__(self) -> str:
        return f"{self.file}, {self.month:%Y-%m}"


class UsageVersion(models.Model):
    """The version of all usage. A trigger raises its number in each transaction that changes any."""

    number = models.BigIntegerField()
    raised_at = models.DateTimeField()

    class Meta:
        verbose_name = "version of usage"

    def __str__(self) -> str:
        return str(self.number)


class CheckOfId(models.Model):
    """One try of Check ID, with its outcome. The limits are counted on these."""

    class Outcome(models.TextChoices):
        FOUND = "found", _("Found")
        FOUND_BY_JOB = "found_by_job", _("Found by a dry run")
        NOT_FOUND = "partner_not_found", _("Not found")
        GLOBAL = "partner_is_global", _("Global account")
        SUSPENDED = "partner_suspended", _("Suspended")
        MALFORMED = "mpn_id_malformed", _("Not a valid MPN ID")
        LIMITED = "too_many_checks", _("Too many checks")

    organisation = models.ForeignKey(Organisation, models.CASCADE, db_index=False)
    user_id = models.BigIntegerField(null=True)
    entered = models.CharField(max_length=40)
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("ID check")
        verbose_name_plural = _("ID checks")
        indexes = [models.Index(fields=["organisation", "-at"], name="checks_of_an_organisation")]

    def __str__(self) -> str:
        return f"{self.entered}: {self.get_outcome_display()}"
