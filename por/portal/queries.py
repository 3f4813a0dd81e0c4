"""What a customer's home, the pages about usage, and the lists of customers and partners read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, cast

from django.db.models import Count, F, Q, QuerySet, Value

from associations.change_requests.models import ChangeRequest
from associations.claims.models import Claim, Conflict
from associations.claims.queries.claims import waiting_for_partner
from associations.record.access import Reader, subscriptions_visible_to, usage_visible_to
from associations.record.models import Association
from associations.record.queries import (
    RENEWING_WITHIN,
    of_own_tenant,
    renewing_between,
    subscriptions_for_listing,
    without_partner,
)
from associations.record.rules import AssociationKind
from associations.record.usage import (
    MonthOfUsage,
    Totals,
    UseOfWorkload,
    by_change,
    by_workload,
    in_period,
    newest_sql,
    totals,
    totals_sql,
    use_of_workloads,
)
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.db.keyset import Prepared, Shape, count_each
from por.db.prepared import AnyOf, Param, PreparedQuery, Statement
from por.directory.access import partners_of
from por.directory.models import Customer, Partner, Subscription, Usage
from por.notifications import queries as notifications
from por.web.lists import COUNT_TO

FEW = 5  # rows shown where the whole list is on another page


@dataclass(frozen=True)
class OwnSubscriptions:
    """A customer's subscriptions, and those of them that need attention today. Every part is one prepared query."""

    actor: Actor
    today: date

    def counts(self) -> list[int]:
        """Return how many there are: all, those without a partner of record, and those to be renewed soon."""
        lists = [Prepared(Subscription, _Listed(rows), self._given) for rows in (_own, _without, _renewing)]
        return count_each(lists, COUNT_TO + 1)

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


def _without() -> QuerySet[Subscription]:
    return without_partner(_own())


def _renewing() -> QuerySet[Subscription]:
    return renewing_between(_own(), Param("today"), Param("until"))


@dataclass(frozen=True)
class _Listed(Shape):
    """The shape of some of a customer's subscriptions, which has the same SQL for every customer and day."""

    rows: Callable[[], QuerySet[Subscription]]
    planned_each_time = False


_WITHOUT = PreparedQuery(lambda: _without().order_by(F("seats").desc(nulls_last=True), "pk")[:FEW])
_RENEWING = PreparedQuery(lambda: _renewing().order_by("renews_on", "pk")[:FEW])


def waiting(actor: Actor) -> dict[str, int]:
    """Return how many lines of the inbox, change requests and conflicts wait for the reader, by the links' icons.

    For a partner, also how many claims wait for it. Each is counted up to one more than MANY. Every page has these
    numbers, so one query counts all. Staff have no change requests, and only those who decide have conflicts.
    """
    waits = _WAITS[OrganisationKind(actor.kind)]
    if actor.is_staff and not actor.may(Right.DECIDE_CONFLICTS):
        waits = waits[:1]
    found = _waiting(Reader.of(actor), waits).values(user=actor.user_id, organisation=actor.organisation_id)
    counts = Counter(icon for (icon,) in found)
    return {icon: counts[icon] for icon in waits}


#: What can wait for readers, by the icons of the links, the inbox first.
_WAITS: dict[OrganisationKind, tuple[str, ...]] = {
    OrganisationKind.CUSTOMER: ("inbox", "help", "scales"),
    OrganisationKind.PARTNER: ("inbox", "help", "scales", "award"),
    OrganisationKind.STAFF: ("inbox", "scales"),
}


@lru_cache(maxsize=256)
def _waiting(reader: Reader, waits: tuple[str, ...]) -> PreparedQuery[Any]:
    def conflicts() -> QuerySet[Any]:
        if reader.kind == OrganisationKind.STAFF:
            return Conflict.objects.open()
        found = Conflict.objects.visible_to(reader.actor()).open()
        return found.filter(answer=None) if reader.kind == OrganisationKind.CUSTOMER else found

    found: dict[str, Callable[[], QuerySet[Any]]] = {
        "inbox": notifications.open_of_reader,
        "help": lambda: ChangeRequest.objects.visible_to(reader.actor()).open(),
        "scales": conflicts,
        "award": lambda: waiting_for_partner(Claim.objects.visible_to(reader.actor())),
    }

    def build() -> QuerySet[Any, Any]:
        first, *others = (found[icon]().values_list(Value(icon))[: notifications.MANY + 1] for icon in waits)
        return first.union(*others, all=True) if others else first

    return PreparedQuery(build)


@dataclass(frozen=True)
class SubscriptionUsage:
    """A subscription with its newest month in some usage. `own_use`: the partner uses it itself, in its own tenant."""

    subscription: Subscription
    own_use: bool
    usage: MonthOfUsage | None


def newest_usage(
    actor: Actor, subscriptions: Sequence[Subscription], since: date | None, until: date, as_of: date | None
) -> list[SubscriptionUsage]:
    """Return the subscriptions in their order, each with its newest month of a period. Takes at most two queries."""
    if not subscriptions:
        return []
    period = Period(Reader.of(actor), since is not None)
    ids = [one.pk for one in subscriptions]
    given = {"ids": ids, "since": since, "until": until, "organisation": actor.organisation_id}
    months = {pk: MonthOfUsage(*figures) for pk, *figures in _newest(period).rows(given)}
    own = _in_own_tenant(actor, ids, as_of) if actor.kind == OrganisationKind.PARTNER else set()
    return [SubscriptionUsage(one, one.pk in own, months.get(one.pk)) for one in subscriptions]


@dataclass(frozen=True)
class Period:
    """What the SQL about the usage of a period depends on: the reader, and whether it begins with some month."""

    reader: Reader
    has_start: bool

    def usage(self) -> QuerySet[Usage]:
        return in_period(usage_visible_to(self.reader.actor()), Param("since") if self.has_start else None, _UNTIL)


_UNTIL = Param("until")
_THESE = AnyOf(F("pk"), Param("ids"))

# What is added up depends on the months and on who asks, so PostgreSQL plans these queries each time.


@lru_cache(maxsize=256)
def _newest(period: Period) -> Statement:
    return Statement(*newest_sql(Subscription.objects.filter(_THESE), period.usage()), planned_each_time=True)


def _in_own_tenant(actor: Actor, ids: Sequence[int], as_of: date | None) -> set[int]:
    """Return which of these subscriptions the partner uses itself."""
    if as_of is not None:
        these = Subscription.objects.filter(pk__in=ids)
        return set(of_own_tenant(these, actor, as_of).values_list("pk", flat=True))
    return {pk for (pk,) in _own_tenant(Reader.of(actor)).values(ids=list(ids), organisation=actor.organisation_id)}


@lru_cache(maxsize=256)
def _own_tenant(reader: Reader) -> PreparedQuery[Any]:
    own = of_own_tenant(Subscription.objects.filter(_THESE), reader.actor())
    return PreparedQuery(lambda: own.values_list("pk"))


@dataclass(frozen=True)
class Change:
    """How many people used a subscription in one month, and how many in an earlier one."""

    subscription: Subscription
    before: int
    after: int

    @property
    def difference(self) -> int:
        return self.after - self.before


class UsageOfList:
    """The usage of all subscriptions of a list in a period, as the actor may see it. Each part is one query.

    The list is prepared, or a queryset where it is built for one request.
    """

    def __init__(
        self, actor: Actor, listed: QuerySet[Subscription] | Prepared, since: date | None, until: date
    ) -> None:
        self.listed = listed
        self.period = Period(Reader.of(actor), since is not None)
        of_list = listed.given if isinstance(listed, Prepared) else {}
        self.given = {**of_list, "organisation": actor.organisation_id, "since": since, "until": until}
        self.usage = in_period(usage_visible_to(actor), since, until)

    def of_workloads(self) -> list[UseOfWorkload]:
        """Return it by month and workload, oldest first."""
        if isinstance(self.listed, QuerySet):
            return use_of_workloads(self.usage.filter(subscription__in=self.listed.values("pk")))
        found = _of_workloads(self.period, self.listed.shape).values(**self.given)
        return [UseOfWorkload(*one) for one in found]

    def totals(self) -> Totals:
        """Return the sum of the newest month of each subscription; only where there is some usage."""
        if isinstance(self.listed, QuerySet):
            return totals(self.listed, self.usage)
        [found] = _totals(self.period, self.listed.shape).rows(self.given)
        return Totals(*found)

    def largest_changes(
        self, earlier: date, later: date, count: int, keys: Sequence[int] | None = None
    ) -> list[Change]:
        """Return the subscriptions whose number of active people has risen or fallen most, the largest change first.

        With `keys`, they are looked for among these.
        """
        if keys is None and isinstance(self.listed, QuerySet):
            usage = self.usage.filter(subscription__in=self.listed.values("pk"))
            changes = list(by_change(usage, earlier, later).values_list(*_CHANGE)[:count])
        else:
            shape = self.listed.shape if isinstance(self.listed, Prepared) and keys is None else None
            query = _largest_changes(self.period, shape, count)
            changes = query.values(**self.given, earlier=earlier, later=later, keys=keys)
        found = {one.pk: one for one in _BY_KEYS.all(ids=[pk for pk, *_rest in changes])}
        return [Change(found[pk], before, after) for pk, before, after in changes]


_CHANGE = ("subscription_id", "before", "after")


@lru_cache(maxsize=256)
def _of_workloads(period: Period, listed: Shape) -> PreparedQuery[Any]:
    return PreparedQuery(
        lambda: by_workload(period.usage().filter(subscription__in=listed.rows().values("pk"))), planned_each_time=True
    )


@lru_cache(maxsize=256)
def _totals(period: Period, listed: Shape) -> Statement:
    return Statement(*totals_sql(listed.rows(), period.usage()), planned_each_time=True)


@lru_cache(maxsize=256)
def _largest_changes(period: Period, listed: Shape | None, count: int) -> PreparedQuery[Any]:
    """Return the query for the largest changes in a list, or among some keys."""
    earlier, later = cast(date, Param("earlier")), cast(date, Param("later"))

    def build() -> QuerySet[Usage, Any]:
        these = AnyOf(F("subscription"), Param("keys"))
        of_list = Q(subscription__in=listed.rows().values("pk")) if listed else Q(these)
        return by_change(period.usage().filter(of_list), earlier, later).values_list(*_CHANGE)[:count]

    return PreparedQuery(build, planned_each_time=True)


_BY_KEYS = PreparedQuery(lambda: Subscription.objects.select_related("customer__organisation", "sku").filter(_THESE))


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
    for name in ("subscriptions", "without_partner"):
        counted = _of_customers(Reader.of(actor), name).values(ids=list(rows), organisation=actor.organisation_id)
        for pk, count in counted:
            setattr(rows[pk], name, count)
    return list(rows.values())


@lru_cache(maxsize=256)
def _of_customers(reader: Reader, name: str) -> PreparedQuery[Any]:
    """Return the query for the keys of customers with the number of their subscriptions, or of those of this name."""

    def build() -> QuerySet[Any, Any]:
        visible = subscriptions_visible_to(reader.actor()).filter(AnyOf(F("customer"), Param("ids")))
        counted = without_partner(visible) if name == "without_partner" else visible
        return counted.order_by().values_list("customer_id").annotate(count=Count("pk"))

    return PreparedQuery(build)


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
    ids = list(rows)
    for pk, locations in _LOCATIONS.values(ids=ids):
        rows[pk].locations = locations
    for whose in ("partner", "partner__organisation__parent"):
        figures = _of_partners(Reader.of(actor), whose).values(ids=ids, organisation=actor.organisation_id)
        for pk, customers, of_record in figures:
            rows[pk].customers, rows[pk].of_record = customers, of_record
    return list(rows.values())


_LOCATIONS: PreparedQuery[Any] = PreparedQuery(
    lambda: (
        Partner.objects.filter(AnyOf(F("organisation__parent"), Param("ids")))
        .values_list("organisation__parent")
        .annotate(locations=Count("pk"))
    )
)


@lru_cache(maxsize=256)
def _of_partners(reader: Reader, whose: str) -> PreparedQuery[Any]:
    """Return the query for the keys of partners, or of the companies above them, with the figures of the reader."""
    of_record = Count("pk", filter=Q(kind=AssociationKind.DPOR))
    return PreparedQuery(
        lambda: (
            Association.objects.open()
            .visible_to(reader.actor())
            .filter(AnyOf(F(whose), Param("ids")))
            .values_list(whose)
            .annotate(customers=Count("customer", distinct=True), of_record=of_record)
        )
    )


def partners_visible_to(actor: Actor) -> QuerySet[Partner]:
    """Return all partners for staff, a company's own, or those that are associated with a customer now."""
    if actor.is_staff:
        return Partner.objects.all()
    if actor.kind == OrganisationKind.PARTNER:
        return partners_of(actor)
    if actor.kind == OrganisationKind.CUSTOMER:
        return Partner.objects.filter(pk__in=Association.objects.open().visible_to(actor).values("partner"))
    return Partner.objects.none()
