"""Change requests, the partners proposed in them, and the partners' statements."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from associations.change_requests.rules import Cancellation, ChangeStatus
from associations.record.models import Association
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.models import RowModel
from por.directory.access import partner_ids
from por.directory.models import Partner, Subscription
from por.web.formatting import Deadline, last_utc_day


class ChangeRequestQuerySet(models.QuerySet["ChangeRequest"]):
    def open(self) -> Self:
        """Return those the customer can still answer."""
        return self.filter(status=ChangeStatus.OPEN)

    def visible_to(self, actor: Actor) -> Self:
        """Return a customer's own or those a partner company is a party to; all for staff, none for anyone else."""
        if actor.is_staff:
            return self.all()
        if actor.kind == OrganisationKind.CUSTOMER:
            return self.filter(subscription__customer=actor.organisation_id)
        if actor.kind == OrganisationKind.PARTNER:
            named = Challenger.objects.filter(request=OuterRef("pk"), partner__in=partner_ids(actor))
            return self.filter(Q(incumbent__partner__in=partner_ids(actor)) | Q(Exists(named)))
        return self.none()

    def for_listing(self) -> Self:
        """Return them with all that a page or shape shows. It takes two more queries, however many there are."""
        return self.select_related(
            "subscription__sku",
            "subscription__customer__organisation",
            "incumbent__partner__organisation",
            "made",
            "chosen__organisation",
        ).prefetch_related(models.Prefetch("challengers", challengers_for_listing()), "statements")


class ChangeRequest(RowModel):
    """The customer is asked which partner is doing the work, because another one was proposed.

    The partner of record stays until the customer answers. `chosen` is the answer, null for neither, and `made` the
    association that the answer began. A subscription has one open change request at a time. Where the customer switched
    to another partner at once, the change request was answered when it was opened.
    """

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="change_requests", db_index=False)
    incumbent = models.ForeignKey(Association, models.PROTECT, related_name="contested_by")
    status = models.CharField(max_length=10, choices=ChangeStatus.choices, default=ChangeStatus.OPEN)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()  # the end of due_on in the customer's time zone
    due_on = models.DateField(null=True, blank=True)  # without it, the release before wrote the row
    reminders = models.PositiveSmallIntegerField(default=0)  # how many have been sent or were missed
    closed_at = models.DateTimeField(null=True, blank=True)
    reopened_at = models.DateTimeField(null=True, blank=True)  # when its answer or cancellation was last undone
    cancelled_because = models.CharField(max_length=24, choices=Cancellation.choices, blank=True)
    chosen = models.ForeignKey(Partner, models.PROTECT, null=True, blank=True, related_name="+")
    made = models.ForeignKey(Association, models.PROTECT, null=True, blank=True, related_name="made_by")
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    answer_statement = models.TextField(blank=True)  # what the customer wrote with the answer; all parties read it
    version = models.PositiveIntegerField(default=1)

    objects = ChangeRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("change request")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(status=ChangeStatus.OPEN),
                name="one_open_change_request_per_subscription",
            ),
            models.CheckConstraint(
                condition=Q(status=ChangeStatus.OPEN, closed_at=None)
                | (~Q(status=ChangeStatus.OPEN) & Q(closed_at__isnull=False)),
                name="a_change_request_is_open_or_has_closed",
            ),
            models.CheckConstraint(
                condition=Q(status=ChangeStatus.ANSWERED) | Q(chosen=None, made=None),
                name="only_an_answered_change_request_has_an_answer",
            ),
        ]
        indexes = [
            models.Index(fields=["subscription", "opened_at"], name="requests_of_a_subscription"),
            models.Index(fields=["due_at"], condition=Q(status=ChangeStatus.OPEN), name="change_requests_still_open"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.get_status_display()}"

    @property
    def instants(self) -> tuple[datetime | None, ...]:
        """Return all instants that it has used on its subscription. The next one comes after them."""
        return (self.opened_at, self.closed_at, self.reopened_at)

    @property
    def is_switch(self) -> bool:
        """Return whether it was answered in the step that opened it; every other answer comes after the opening."""
        return self.status == ChangeStatus.ANSWERED and self.opened_at == self.closed_at

    @property
    def deadline(self) -> Deadline:
        """Return the last day on which it can be answered, for every reader that day in the customer's time zone."""
        return Deadline(self.due_on, self.due_at) if self.due_on else last_utc_day(self.due_at)

    def parties(self) -> dict[int, Partner]:
        """Return its partners by key: the partner of record, then the others in the order they were proposed."""
        found = [self.incumbent.partner, *(one.partner for one in self.challengers.all())]
        return {partner.pk: partner for partner in found}


class Challenger(RowModel):
    """A partner that was proposed while another one is the partner of record."""

    request = models.ForeignKey(ChangeRequest, models.CASCADE, related_name="challengers", db_index=False)
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="challenges")
    joined_at = models.DateTimeField()
    note = models.TextField(blank=True)  # what the customer wrote for this partner; no other one reads it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "partner"], name="each_challenger_is_named_once")]

    def __str__(self) -> str:
        return str(self.partner)


def challengers_for_listing() -> models.QuerySet[Challenger]:
    """Return the challengers with what a page or shape shows, in the order they were proposed."""
    return Challenger.objects.select_related("partner__organisation").order_by("pk")


def choices_of(request: int | OuterRef) -> models.QuerySet[Challenger]:
    """Return the partners that a customer can choose: of another company than the partner of record, and not closed.

    Between locations of one company nobody is asked. The customer or the company moves the record at once.
    """
    own = Coalesce("request__incumbent__partner__organisation__parent", "request__incumbent__partner")
    company = Coalesce("partner__organisation__parent", "partner")
    open_accounts = Challenger.objects.filter(request=request).exclude(partner__status=Partner.Status.CLOSED)
    return open_accounts.exclude(Exact(company, own))


class Statement(RowModel):
    """What a party does for the customer, in its own words. The other parties never read it."""

    request = models.ForeignKey(ChangeRequest, models.CASCADE, related_name="statements", db_index=False)
    partner = models.ForeignKey(Partner, models.PROTECT, related_name="+")
    text = models.TextField()
    written_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "partner"], name="one_statement_per_party")]

    def __str__(self) -> str:
        return f"{self.partner}: {self.request}"
