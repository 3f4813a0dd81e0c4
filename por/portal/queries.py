"""What a customer's home, the pages about usage, and the lists of customers and partners read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Count, F, Q, QuerySet, Value

from associations.change_requests.models import ChangeRequest
from associations.claims.models import Claim, Conflict
from associations.claims.queries.claims import waiting_for_partner
from associations.record.access import Reader, subscriptions_visible_to
from associations.record.models import Association
from associations.record.queries import (
    RENEWING_WITHIN,
    of_own_tenant,
    renewing_between,
    subscriptions_for_listing,
    without_partner,
)
from associations.record.rules import AssociationKind
from associations.record.usage import MonthOfUsage, by_change, newest_sql
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.db.prepared import Param, PreparedQuery
from por.directory.access import partners_of
from por.directory.models import Customer, Partner, Subscription, Usage
from por.notifications import queries as notifications
from por.web.lists import countable

FEW = 5  # rows shown where the whole list is on another page


@dataclass(frozen=True)
class OwnSubscriptions:
    """A customer's subscriptions, and those of them that need attention today. Every part is one prepared query."""

    actor: Actor
    today: date

    def count(self) -> int:
        return _ALL.number(**self._given)

    def count_without_partner(self) -> int:
        return _COUNT_WITHOUT.number(**self._given)

    def count_renewing(self) -> int:
        return _COUNT_RENEWING.number(**self._given)

    def without_partner(self) -> list[Subscription]:
        """Return the largest ones without a partner of record."""
        return _WITHOUT.all(**self._given)

    def renewing(self) -> list[Subscription]:
        """Return those that are renewed first."""
        return _RENEWING.all(**self._given)

    @property
    def _given(self) -> dict[str, Any]:
        until = self.today + RENEWING_WITHIN
        return {"organisation": self.actor.organisation_id, "today": self.today, "until": until}


def _own() -> QuerySet[Subscription]:
    return subscriptions_for_listing(Reader(OrganisationKind.CUSTOMER).actor())


def _renewing() -> QuerySet[Subscription]:
    return renewing_between(_own(), Param("today"), Param("until"))


_ALL = PreparedQuery(lambda: countable(_own()), counts=True)
_COUNT_WITHOUT = PreparedQuery(lambda: countable(without_partner(_own())), counts=True)
_COUNT_RENEWING = PreparedQuery(lambda: countable(_renewing()), counts=True)
_WITHOUT = PreparedQuery(lambda: without_partner(_own()).order_by(F("seats").desc(nulls_last=True), "pk")[:FEW])
_RENEWING = PreparedQuery(lambda: _renewing().order_by("renews_on", "pk")[:FEW])


def waiting(actor: Actor) -> dict[str, int]:
    """Return how many lines of the inbox, change requests and conflicts wait for the reader, by the links' icons.

    For a partner, also how many claims wait for it. Each is counted up to one more than MANY. Every page has these
    numbers, so one query counts all. Staff have no change requests, and only those who decide have conflicts.
    """
    if actor.is_staff:
        counts = {"inbox": notifications.open_lines(actor)}
        return counts | (
            {"scales": Conflict.objects.open()[: notifications.MANY + 1].count()}
            if actor.may(Right.DECIDE_CONFLICTS)
            else {}
        )
    found = _waiting(Reader.of(actor)).values(user=actor.user_id, organisation=actor.organisation_id)
    counts = Counter(icon for (icon,) in found)
    icons = (
        ("inbox", "help", "scales", "award") if actor.kind == OrganisationKind.PARTNER else ("inbox", "help", "scales")
    )
    return {icon: counts[icon] for icon in icons}


@lru_cache(maxsize=256)
def _waiting(reader: Reader) -> PreparedQuery[Any]:
    def build() -> QuerySet[Any, Any]:
        lines = notifications.open_of_reader().values_list(Value("inbox"))
        asked = ChangeRequest.objects.visible_to(reader.actor()).open().values_list(Value("help"))
        conflicts = Conflict.objects.visible_to(reader.actor()).open()
        if reader.kind == OrganisationKind.CUSTOMER:
            conflicts = conflicts.filter(answer=None)
        arms: list[QuerySet[Any, Any]] = [asked, conflicts.values_list(Value("scales"))]
        if reader.kind == OrganisationKind.PARTNER:
            arms.append(waiting_for_partner(Claim.objects.visible_to(reader.actor())).values_list(Value("award")))
        return lines[: notifications.MANY + 1].union(*(one[: notifications.MANY + 1] for one in arms), all=True)

    return PreparedQuery(build)


@dataclass(frozen=True)
class SubscriptionUsage:
    """A subscription with its newest month in some usage. `own_use`: the partner uses it itself, in its own tenant."""

    subscription: Subscription
    own_use: bool
    usage: MonthOfUsage | None


def newest_usage(
    actor: Actor, subscriptions: Sequence[Subscription], usage: QuerySet[Usage], as_of: date | None
) -> list[SubscriptionUsage]:
    """Return the subscriptions in their order, each with its newest month in this usage. Takes at most two queries."""
    if not subscriptions:
        return []
    these = Subscription.objects.filter(pk__in=[one.pk for one in subscriptions])
    newest, given = newest_sql(these, usage)
    with connection.cursor() as cursor:
        cursor.execute(newest, given)
        months = {pk: MonthOfUsage(*figures) for pk, *figures in cursor.fetchall()}
    is_partner = actor.kind == OrganisationKind.PARTNER
    own = set(of_own_tenant(these, actor, as_of).values_list("pk", flat=True)) if is_partner else set()
    return [SubscriptionUsage(one, one.pk in own, months.get(one.pk)) for one in subscriptions]


@dataclass(frozen=True)
class Change:
    """How many people used a subscription in one month, and how many in an earlier one."""

    subscription: Subscription
    before: int
    after: int

    @property
    def difference(self) -> int:
        return self.after - self.before


def largest_changes(usage: QuerySet[Usage], earlier: date, later: date, count: int) -> list[Change]:
    """Return the subscriptions whose number of active people has risen or fallen most, the largest change first."""
    changes = list(by_change(usage, earlier, later)[:count])
    subscriptions = Subscription.objects.select_related("customer__organisation", "sku").in_bulk(
        [one["subscription_id"] for one in changes]
    )
    return [Change(subscriptions[one["subscription_id"]], one["before"], one["after"]) for one in changes]


# --- Customers and partners with their figures ---------------------------------------------------------------------


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
