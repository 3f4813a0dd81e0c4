"""Customers and partners with the figures that a reader may know: for pages of staff and for the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from associations.record.access import subscriptions_visible_to
from associations.record.models import Association
from associations.record.queries import without_partner
from associations.record.rules import AssociationKind
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.access import partners_of
from por.directory.models import Customer, Partner


@dataclass
class CustomerRow:
    """A customer with the numbers of its subscriptions, and of those without a partner of record."""

    customer: Customer
    subscriptions: int = 0
    without_partner: int = 0


def customer_rows(actor: Actor, customers: Sequence[Customer]) -> list[CustomerRow]:
    """Return the customers in their order, with the figures of today. It takes two queries."""
    rows = {customer.pk: CustomerRow(customer) for customer in customers}
    visible = subscriptions_visible_to(actor).filter(customer__in=list(rows))
    for name, counted in (("subscriptions", visible), ("without_partner", without_partner(visible))):
        for one in counted.order_by().values("customer_id").annotate(count=Count("pk")):
            setattr(rows[one["customer_id"]], name, one["count"])
    return list(rows.values())


@dataclass
class PartnerRow:
    """A partner with its figures. A global account has the figures of all its locations together."""

    partner: Partner
    locations: int = 0
    customers: int = 0
    of_record: int = 0


def partner_rows(actor: Actor, partners: Sequence[Partner]) -> list[PartnerRow]:
    """Return the partners in their order, with the figures of today. It takes three queries."""
    rows = {partner.pk: PartnerRow(partner) for partner in partners}
    children = Partner.objects.filter(organisation__parent__in=list(rows)).values("organisation__parent")
    for one in children.annotate(locations=Count("pk")):
        rows[one["organisation__parent"]].locations = one["locations"]
    for whose in ("partner_id", "partner__organisation__parent_id"):
        found = Association.objects.open().visible_to(actor).filter(**{f"{whose}__in": list(rows)})
        for one in found.values(whose).annotate(
            customers=Count("customer", distinct=True), of_record=Count("pk", filter=Q(kind=AssociationKind.DPOR))
        ):
            row = rows[one[whose]]
            row.customers, row.of_record = one["customers"], one["of_record"]
    return list(rows.values())


def partners_visible_to(actor: Actor) -> QuerySet[Partner]:
    """Return all partners for staff, a company's own, or those that are associated with a customer now."""
    if actor.is_staff:
        return Partner.objects.all()
    if actor.kind == OrganisationKind.PARTNER:
        return partners_of(actor)
    if actor.kind == OrganisationKind.CUSTOMER:
        return Partner.objects.filter(pk__in=Association.objects.open().visible_to(actor).values("partner"))
    return Partner.objects.none()
