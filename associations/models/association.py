"""Who is of record, since when and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.core.cache import caches
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.rules import TENANT_KINDS, EndReason, Kind, Source
from por.accounts.models import Actor
from por.accounts.rules import Kind as OrganisationKind
from por.directory.models import Customer, Partner, Subscription, Usage
from por.history.models import Event, Party


def start_of(day: date) -> datetime:
    """The first instant of a UTC day."""
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """The first instant after a UTC day."""
    return start_of(day + timedelta(days=1))


class Period(Func):
    """The half-open range in which an association is in force: its first bound belongs to it, its second does not."""

    function = "tstzrange"
    output_field = DateTimeRangeField()


class AssociationQuerySet(models.QuerySet["Association"]):
    def standing(self) -> Self:
        """All but those that were undone, which count for nothing."""
        return self.filter(undone_at=None)

    def open(self, as_of: date | None = None) -> Self:
        """Those in force now, or at the end of a day."""
        return self.standing().filter(ended_at=None) if as_of is None else self.in_force_on(as_of)

    def of_record(self) -> Self:
        return self.filter(kind=Kind.DPOR)

    def forms(self) -> Self:
        """The legacy ones."""
        return self.filter(kind=Kind.OSA_FORM)

    def without_record(self, day: date) -> Self:
        """Those of subscriptions that nobody was of record for at the end of a UTC day."""
        held = Association.objects.in_force_on(day).of_record()
        return self.exclude(Exists(held.filter(subscription=OuterRef("subscription"))))

    def in_force_on(self, day: date) -> Self:
        """Those in force at the end of a UTC day."""
        end = end_of(day)
        return self.begun_by(day).filter(Q(ended_at=None) | Q(ended_at__gte=end))

    def begun_by(self, day: date | None) -> Self:
        """Those that had begun by the end of a UTC day, or all of them; as far as is known now."""
        standing = self.standing()
        return standing if day is None else standing.filter(began_at__lt=end_of(day))

    def visible_to(self, actor: Actor) -> Self:
        """A customer's own, a partner company's own; all of them to staff, none to anybody else."""
        if actor.is_staff:
            return self.all()
        if actor.kind == OrganisationKind.CUSTOMER:
            return self.filter(customer=actor.organisation_id)
        if actor.kind == OrganisationKind.PARTNER:
            return self.filter(partner__in=own_keys(actor))
        return self.none()

    def for_listing(self) -> Self:
        return self.select_related("partner__organisation", "customer__organisation", "subscription__sku")


class Association(models.Model):
    """That a partner is associated with a subscription, or a tenant, over a half-open period.

    `ended_at` null is open. `attached_at` is when it was recorded, which may be later than it began;
    `undone_at` takes it out of the record as if it had never been.
    """

    kind = models.CharField(max_length=20, choices=Kind.choices)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="associations")
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, blank=True, related_name="associations", db_index=False
    )
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="associations", db_index=False)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    attached_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True, blank=True)
    reopened_at = models.DateTimeField(null=True, blank=True)  # when its removal was last undone
    source = models.CharField(max_length=12, choices=Source.choices)
    end_reason = models.CharField(max_length=24, choices=EndReason.choices, blank=True)
    note = models.TextField(blank=True)  # what the customer wrote when attaching
    end_note = models.TextField(blank=True)  # what the customer wrote when removing

    objects = AssociationQuerySet.as_manager()

    class Meta:
        verbose_name = _("association")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(kind=Kind.DPOR, ended_at=None, undone_at=None),
                name="one_partner_of_record_per_subscription",
            ),
            ExclusionConstraint(
                name="no_two_periods_of_record_overlap",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (Period("began_at", "ended_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(kind=Kind.DPOR, undone_at=None),
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gt=F("began_at")) | Q(undone_at__isnull=False),
                name="an_association_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=(
                    Q(kind__in=sorted(TENANT_KINDS), subscription=None)
                    | (~Q(kind__in=sorted(TENANT_KINDS)) & Q(subscription__isnull=False))
                ),
                name="an_association_is_of_a_subscription_or_a_tenant",
            ),
        ]
        indexes = [
            models.Index(fields=["subscription", "kind"], name="associations_of_a_subscription"),
            models.Index(
                fields=["partner", "subscription"],
                include=["customer", "kind", "ended_at", "began_at"],
                condition=Q(undone_at=None),
                name="associations_of_a_partner",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.partner}"

    def as_of(self, day: date | None) -> Self:
        """As it stood at the end of a UTC day: what ended later was open then. To be shown, never to be saved."""
        if day is not None and self.ended_at is not None and self.ended_at >= end_of(day):
            self.ended_at = None
            self.end_reason = self.end_note = ""
        return self

    @property
    def instants(self) -> tuple[datetime | None, ...]:
        """All that it has used on its unit: the next one comes after them."""
        return (self.began_at, self.ended_at, self.attached_at, self.undone_at, self.reopened_at)

    @property
    def is_own_tenant(self) -> bool:
        """The partner serves itself: it counts for competencies and never pays."""
        return self.partner.own_tenant_id is not None and self.partner.own_tenant_id == self.customer.tenant_id


def partners_of(actor: Actor) -> models.QuerySet[Partner]:
    """The locations a partner's member acts for: the own one, and all below a global account."""
    return Partner.objects.filter(Q(organisation=actor.organisation_id) | Q(organisation__parent=actor.organisation_id))


def own_keys(actor: Actor) -> Sequence[int | None] | models.QuerySet[Partner, int]:
    """Their keys; where these are known, as such.

    How much hangs on a key the database knows before it plans a query. How much hangs on the rows of a subquery it can
    only guess, and for a large partner it guesses a hundred times too low.
    """
    if actor.below is None:
        return partners_of(actor).values_list("pk", flat=True)
    return (actor.organisation_id, *actor.below)


def is_own(actor: Actor, partner: int, company: int | None) -> bool:
    """Whether a partner with this organisation above it is one of partners_of, without asking for them."""
    return actor.organisation_id is not None and actor.organisation_id in (partner, company)


#: So many keys are found one by one. Where there are more, a list comes upon them soon enough as it goes on.
FEW = 1000


def few_keys(keys: models.QuerySet[Any, Any]) -> list[Any] | None:
    """The keys themselves, for the database to see what it looks for; None where they are not few."""
    found = list(keys[: FEW + 1])
    return found if len(found) <= FEW else None


def narrowed(subscriptions: models.QuerySet[Subscription], actor: Actor) -> models.QuerySet[Subscription]:
    """The same subscriptions, all visible to the actor. Those of a small partner are named by their keys as well.

    Else a list would look at every subscription there is to find the few that are.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return subscriptions
    own = Association.objects.standing().visible_to(actor).values_list("subscription", "customer")
    if caches["local"].get_or_set(f"has-many:{actor.organisation_id}", own[FEW : FEW + 1].exists):
        return subscriptions
    keys = list(own)
    customers = {customer for subscription, customer in keys if subscription is None}
    return subscriptions.filter(Q(pk__in=[one for one, _customer in keys if one]) | Q(customer__in=customers))


def subscriptions_visible_to(actor: Actor) -> models.QuerySet[Subscription]:
    """Where every query for a person starts: a customer's own, all those a partner is or was associated with."""
    if actor.is_staff:
        return Subscription.objects.all()
    if actor.kind == OrganisationKind.CUSTOMER:
        return Subscription.objects.filter(customer=actor.organisation_id)
    if actor.kind == OrganisationKind.PARTNER:
        own = Association.objects.standing().filter(partner__in=own_keys(actor))
        return Subscription.objects.filter(
            Exists(own.filter(subscription=OuterRef("pk")))
            | Exists(own.filter(customer=OuterRef("customer"), subscription=None))
        )
    return Subscription.objects.none()


def customers_visible_to(actor: Actor) -> models.QuerySet[Customer]:
    """The customers whose subscriptions, or whose tenant, this actor may see."""
    if actor.is_staff:
        return Customer.objects.all()
    if actor.kind == OrganisationKind.CUSTOMER:
        return Customer.objects.filter(pk=actor.organisation_id)
    if actor.kind == OrganisationKind.PARTNER:
        own = Association.objects.standing().filter(partner__in=own_keys(actor))
        return Customer.objects.filter(Exists(own.filter(customer=OuterRef("pk"))))
    return Customer.objects.none()


def usage_visible_to(actor: Actor) -> models.QuerySet[Usage]:
    """Usage this actor may see: all months to the open partner of record, to a former one those it covered.

    A month is covered by whoever was of record at its end.
    """
    usage = Usage.objects.current()
    if actor.kind != OrganisationKind.PARTNER:
        return usage.filter(subscription__in=subscriptions_visible_to(actor))
    covered = Q(began_at__lt=OuterRef("month_end"), ended_at__gte=OuterRef("month_end"))
    own = Association.objects.standing().of_record().filter(partner__in=own_keys(actor))
    return usage.alias(month_end=_month_end(F("month"))).filter(
        # One EXISTS, which the database answers for all rows at once; two joined by OR it would ask row by row.
        Exists(own.filter(Q(ended_at=None) | covered, subscription=OuterRef("subscription")))
    )


def _month_end(month: F) -> Func:
    """The first instant after a month, UTC."""
    return Func(
        month,
        template="((%(expressions)s + interval '1 month') AT TIME ZONE 'UTC')",
        output_field=models.DateTimeField(),
    )


def newest_events(actor: Actor, count: int) -> models.QuerySet[Event]:
    """The newest of events_visible_to. A partner's are looked up by whose they are: few of all there are."""
    visible = events_visible_to(actor)
    if actor.kind == OrganisationKind.PARTNER:
        own = [pk for pk in own_keys(actor) if pk is not None]
        as_party = Party.objects.filter(organisation_id__in=own).order_by("-event").values_list("event")[:count]
        in_chain = Event.objects.filter(chain__in=[f"organisation:{pk}" for pk in own]).values_list("pk")
        visible = visible.filter(pk__in=as_party.union(in_chain))
    return visible.order_by("-id")[:count]


def events_visible_to(actor: Actor) -> models.QuerySet[Event]:
    """A customer sees its chain, a partner what it is party to and its own chain, staff everything."""
    if actor.is_staff:
        return Event.objects.all()
    if actor.organisation_id is None:
        return Event.objects.none()
    chain = f"organisation:{actor.organisation_id}"
    if actor.kind == OrganisationKind.CUSTOMER:
        return Event.objects.filter(chain=chain)
    own = partners_of(actor)
    text = models.TextField()
    chains = own.annotate(chain=Concat(Value("organisation:"), Cast("pk", text), output_field=text)).values("chain")
    return Event.objects.filter(Q(chain__in=chains) | Q(pk__in=Event.objects.read_by(own.values("pk")).values("pk")))
