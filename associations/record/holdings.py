"""What a partner has with a customer beside some subscriptions, and how the customer ends each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from associations.record.access import shown_by_claims
from associations.record.models import Association
from associations.record.rules import TENANT_KINDS, AssociationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.models import Partner, Subscription
from por.notifications.messages import address
from por.web.formatting import number_text

#: How a customer ends an association of each kind.
WAYS = {
    AssociationKind.DPOR: _("Remove the partner on the page of each subscription."),
    AssociationKind.CPOR: _("Decline the claim, or ask the partner to end it."),
    AssociationKind.PAL: _("Take away the access of the partner’s accounts to your Azure resources."),
    AssociationKind.DELEGATED_ADMIN: _(
        "End it on the page of your partners, and the partner’s roles in your admin centre, under partner "
        "relationships."
    ),
    AssociationKind.TRANSACTING: _("Buy the subscription from another partner, or let it expire."),
    AssociationKind.CSP: _("Move the subscription to another provider, or let it expire."),
    AssociationKind.OSA_FORM: _("Ask support to end the form."),
    AssociationKind.FASTTRACK: _("Ask the partner to end its work in FastTrack."),
}


class Holding(NamedTuple):
    """All associations of one kind: what they are, how the customer ends them, and where, if that is here."""

    text: str
    way: str
    path: str = ""


@dataclass(frozen=True)
class Holdings:
    """What a partner has with a customer, beside being of record for some subscriptions.

    `others` is how many other subscriptions it can see, or None for all of them.
    """

    held: list[Holding]
    is_administrator: bool
    is_seller: bool
    others: int | None

    def named(self) -> str:
        """Return what it has, for a sentence; "" for nothing."""
        return ", ".join(one.text for one in self.held)

    def with_ways(self) -> str:
        """Return what it has, each with the way to end it, for a mail; "" for nothing."""
        parts = [f"{one.text}. {one.way} {address(one.path) if one.path else ''}".strip() for one in self.held]
        return " · ".join(parts)


def holdings(partner: Partner, subscriptions: Sequence[Subscription]) -> Holdings:
    """Return what the partner has with the customer of these subscriptions, beside being of record for them.

    What was undone counts for nothing. What has ended still shows the rows of its subscriptions.
    """
    given = {
        "partner": partner.pk,
        "customer": subscriptions[0].customer_id,
        "subscriptions": [one.pk for one in subscriptions],
    }
    found = next(iter(_COUNTED.values(**given)), [0] * (4 + len(AssociationKind)))
    others, by_workload, tenants, workloads, *counts = found
    of_kind = dict(zip(AssociationKind, counts, strict=True))
    held = [_holding(kind, count, partner) for kind, count in of_kind.items() if count]
    return Holdings(
        [*held, _of_workloads(workloads)] if workloads else held,
        is_administrator=of_kind[AssociationKind.DELEGATED_ADMIN] > 0,
        is_seller=of_kind[AssociationKind.TRANSACTING] + of_kind[AssociationKind.CSP] > 0,
        others=None if tenants else others + by_workload,
    )


def _holding(kind: AssociationKind, count: int, partner: Partner) -> Holding:
    way = str(WAYS[kind])
    if kind == AssociationKind.DPOR:
        text = ngettext(
            "Partner of record for %(n)s other subscription", "Partner of record for %(n)s other subscriptions", count
        )
        path = f"{reverse('associations:subscription_list')}?partner_of_record={partner.mpn_id}"
        return Holding(text % {"n": number_text(count)}, way, path)
    if kind in TENANT_KINDS:
        path = reverse("portal:customer_partners") if kind == AssociationKind.DELEGATED_ADMIN else ""
        return Holding(gettext("%(kind)s for your whole organisation") % {"kind": kind.label}, way, path)
    text = ngettext("%(kind)s for %(n)s subscription", "%(kind)s for %(n)s subscriptions", count)
    return Holding(text % {"kind": kind.label, "n": number_text(count)}, way)


def _of_workloads(count: int) -> Holding:
    kind = AssociationKind.CPOR
    text = ngettext("%(kind)s for %(n)s workload", "%(kind)s for %(n)s workloads", count)
    return Holding(text % {"kind": kind.label, "n": number_text(count)}, str(WAYS[kind]))


def _counted() -> QuerySet[Association, Any]:
    """Return the query for how many other subscriptions it sees, of how many tenants, and the open ones of each kind.

    Those that it sees only because they have a workload that it has claimed are counted apart, and so are these claims.
    A key of a subscription that is NULL, for a tenant, is neither one of these subscriptions nor another one.
    """
    other = ~Q(AnyOf(F("subscription"), Param("subscriptions")))
    counts = {f"of_{kind}": Count("pk", filter=Q(kind=kind, ended_at=None)) for kind in AssociationKind}
    counts["of_cpor"] = Count("pk", filter=Q(kind=AssociationKind.CPOR, ended_at=None, workload=""))
    counts["of_dpor"] = Count("pk", filter=Q(kind=AssociationKind.DPOR, ended_at=None) & other)
    own = Association.objects.not_undone().filter(partner=Param("partner"), customer=Param("customer"))
    seen = Count("subscription", distinct=True, filter=other)
    tenants = Count("pk", filter=Q(subscription=None, workload=""))
    workloads = Count("pk", filter=Q(ended_at=None) & ~Q(workload=""))
    by_workload = Subscription.objects.filter(
        ~Q(AnyOf(F("pk"), Param("subscriptions"))),
        shown_by_claims(partner=Param("partner")),
        ~Exists(own.filter(subscription=OuterRef("pk"))),
        customer=Param("customer"),
    )
    counted = by_workload.order_by().values("customer").annotate(count=Count("pk")).values("count")
    more = Coalesce(Subquery(counted), 0)
    of_customer = own.values("customer").annotate(
        others=seen, more=more, tenants=tenants, workloads=workloads, **counts
    )
    return of_customer.order_by().values_list("others", "more", "tenants", "workloads", *counts)


_COUNTED: PreparedQuery[Any] = PreparedQuery(_counted)
