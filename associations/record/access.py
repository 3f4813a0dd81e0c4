"""What an actor may see: subscriptions, customers, usage and events. Every query for a reader starts here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Any, NamedTuple, Self

from django.core.cache import caches
from django.db import models
from django.db.models import Count, Exists, F, Func, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.db.models.lookups import IsNull

from associations.record.models import Association, SeenUsage
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.access import partner_ids, partners_of
from por.directory.models import Customer, Subscription, Usage
from por.history.models import ChainHead, Event, Party
from por.imports.events import ImportEvent


class Reader(NamedTuple):
    """What the SQL of a reader's prepared queries depends on.

    A partner's keys are part of it, so that the planner knows how many rows they have, and so the plan that is kept is
    made for this partner. Of others only the kind is; the organisation is a Param.
    """

    kind: str
    organisation: int | None = None
    below: tuple[int, ...] | None = None

    @classmethod
    def of(cls, actor: Actor) -> Self:
        if actor.kind == OrganisationKind.PARTNER:
            return cls(actor.kind, actor.organisation_id, actor.below)
        return cls(actor.kind)

    def actor(self) -> Actor:
        """Return an actor whose queries are those of the reader."""
        organisation = Organisation(id=self.organisation or Param("organisation"), kind=self.kind)
        return Actor(user=None, organisation=organisation, below=self.below)


#: Up to this many keys are listed in a query. Where there are more, a list finds enough of them as it reads on.
FEW = 1000


def few_ids(keys: models.QuerySet[Any, Any]) -> list[Any] | None:
    """Return the keys themselves, so that the database sees what it looks for; None where they are more than FEW."""
    found = list(keys[: FEW + 1])
    return found if len(found) <= FEW else None


def restrict_to_ids(subscriptions: models.QuerySet[Subscription], actor: Actor) -> models.QuerySet[Subscription]:
    """Return the same subscriptions, all visible to the actor. For a small partner the query lists their keys too.

    Otherwise a list would read every subscription to find the few that are visible.
    """
    few = few_keys(actor)
    return subscriptions if few is None else restricted(subscriptions, *few)


def few_keys(actor: Actor) -> tuple[list[int], list[int]] | None:
    """Return the keys of a small partner's subscriptions, and of the customers whose tenant it has; else None.

    A claim of a workload gives it some subscriptions of the tenant.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return None
    own = _own(Reader.of(actor))

    def has_many() -> bool:
        return own.build()[FEW : FEW + 1].exists()

    if caches["local"].get_or_set(f"has-many:{actor.organisation_id}", has_many):
        return None
    keys = own.values()
    customers = {customer for subscription, customer in keys if subscription is None}
    return [one for one, _customer in keys if one], sorted(customers)


@lru_cache(maxsize=256)
def _own(reader: Reader) -> PreparedQuery[Any]:
    own = Association.objects.not_undone().visible_to(reader.actor()).filter(workload="")
    claimed = seen_by_workload(reader.actor()).values_list("subscription", "subscription__customer")
    return PreparedQuery(lambda: own.values_list("subscription", "customer").union(claimed, all=True))


def restricted(
    subscriptions: models.QuerySet[Subscription], ids: Sequence[int] | Param, customers: Sequence[int] | Param
) -> models.QuerySet[Subscription]:
    """Return those of the subscriptions with one of these keys, or of one of these customers."""
    keys = [Q(AnyOf(F(name), given)) for name, given in (("pk", ids), ("customer", customers)) if given]
    return subscriptions.filter(reduce(or_, keys)) if keys else subscriptions.none()


def subscriptions_visible_to(
    actor: Actor, until: models.expressions.Combinable | None = None
) -> models.QuerySet[Subscription]:
    """Return a customer's own subscriptions, those a partner is or was associated with, or all of them for staff.

    With a tenant, a partner is associated with all of its subscriptions; with a workload, with those that have it.
    With `until`, a partner's associations with subscriptions past that key are not read.
    """
    if actor.is_staff:
        return Subscription.objects.all()
    if actor.kind == OrganisationKind.CUSTOMER:
        return Subscription.objects.filter(customer=actor.organisation_id)
    if actor.kind == OrganisationKind.PARTNER:
        own = Association.objects.not_undone().filter(partner__in=partner_ids(actor))
        near = own if until is None else own.filter(subscription__lte=until)
        return Subscription.objects.filter(
            Exists(near.filter(subscription=OuterRef("pk")))
            | Exists(own.filter(customer=OuterRef("customer"), subscription=None, workload=""))
            | shown_by_workload(actor)
        )
    return Subscription.objects.none()


def key_of_own(actor: Actor, number: int, after: Any = None) -> Coalesce:
    """Return the key of the subscription with this number, from 1, of those that a partner's associations name.

    With `after`, only those past that key count. If there are fewer, return a key that no subscription reaches.
    """
    named = Association.objects.not_undone().visible_to(actor).filter(subscription__isnull=False)
    if after is not None:
        named = named.filter(subscription__gt=after)
    keys = named.order_by("subscription_id").values("subscription_id").distinct()
    return Coalesce(Subquery(keys[number - 1 : number]), Value(models.BigIntegerField.MAX_BIGINT))


def all_visible_to(actor: Actor) -> models.QuerySet[Subscription]:
    """Return the same as subscriptions_visible_to, for a list of all: the database finds them by their keys.

    It would check every subscription against "or" conditions. For one subscription, that is faster.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return subscriptions_visible_to(actor)
    own = Association.objects.not_undone().filter(partner__in=partner_ids(actor))
    tenants = own.filter(subscription=None, workload="").values("customer")
    of_tenants = Subscription.objects.filter(customer__in=tenants).values_list("pk")
    claimed = seen_by_workload(actor).values_list("subscription")
    keys = own.filter(subscription__isnull=False).values_list("subscription").union(of_tenants, claimed)
    return Subscription.objects.filter(pk__in=keys)


def seen_by(actor: Actor) -> models.QuerySet[SeenUsage]:
    """Return what the associations of a partner show of usage."""
    return SeenUsage.objects.filter(partner__in=partner_ids(actor))


def seen_by_workload(actor: Actor) -> models.QuerySet[SeenUsage]:
    """Return what a partner's claims of workloads show."""
    return seen_by(actor).exclude(workload="")


def shown_by_workload(actor: Actor, **claimed: Any) -> Q:
    """Return the condition that a claim of a workload shows the actor the subscription of the outer query."""
    return shown_by_claims(partner__in=partner_ids(actor), **claimed)


def shown_by_claims(**claimed: Any) -> Q:
    """Return the condition that one of the claims of workloads shows the subscription of the outer query.

    `claimed` restricts the claims. Few customers have one, so they are looked for first: to find all subscriptions that
    are shown, the database would read the SKUs of all of them, for each list. A value is never found for all rows at
    once, as `EXISTS` would be.
    """
    claims = Association.objects.not_undone().exclude(workload="").filter(**claimed)
    shown = SeenUsage.objects.exclude(workload="").filter(subscription=OuterRef("pk"), **claimed)
    is_shown = IsNull(Subquery(shown.values("association_id")[:1]), False)
    return Q(Exists(claims.filter(customer=OuterRef("customer")))) & Q(is_shown)


def customers_visible_to(actor: Actor) -> models.QuerySet[Customer]:
    """Return the customers whose subscriptions, or whose tenant, this actor may see."""
    if actor.is_staff:
        return Customer.objects.all()
    if actor.kind == OrganisationKind.CUSTOMER:
        return Customer.objects.filter(pk=actor.organisation_id)
    if actor.kind == OrganisationKind.PARTNER:
        own = Association.objects.not_undone().filter(partner__in=partner_ids(actor))
        return Customer.objects.filter(Exists(own.filter(customer=OuterRef("pk"))))
    return Customer.objects.none()


def usage_visible_to(actor: Actor) -> models.QuerySet[Usage]:
    """Return the usage this actor may see: the partner of record sees all months, a former one those it covered.

    So does the partner with a claim; of a claimed workload it sees that workload alone. Who has the record or the claim
    at the end of a month covers it.
    """
    usage = Usage.objects.current()
    if actor.kind != OrganisationKind.PARTNER:
        return usage.filter(subscription__in=subscriptions_visible_to(actor))
    covered = Q(began_at__lt=OuterRef("month_end"), ended_at__gte=OuterRef("month_end"))
    own = seen_by(actor).filter(Q(workload="") | Q(workload=OuterRef("workload")))
    return usage.alias(month_end=_month_end(F("month"))).filter(
        # One EXISTS, which the database answers for all rows together. It would check two joined by OR row by row.
        Exists(own.filter(Q(ended_at=None) | covered, subscription=OuterRef("subscription")))
    )


def _month_end(month: F) -> Func:
    """Return the first instant after a month, UTC."""
    return Func(
        month,
        template="((%(expressions)s + interval '1 month') AT TIME ZONE 'UTC')",
        output_field=models.DateTimeField(),
    )


def newest_events(actor: Actor, count: int) -> list[Event]:
    """Return the newest of events_visible_to, to a customer or a partner."""
    if actor.kind == OrganisationKind.PARTNER:
        return _newest_of_partner(Reader.of(actor), count).all()
    return _newest_of_chain(count).all(chain=f"organisation:{actor.organisation_id}")


def newest_of(actor: Actor) -> str:
    """Return the newest event that the actor reads, and the newest import: what is kept is right until they change."""
    events = newest_events(actor, 1)
    return f"{events[0].pk if events else 0}:{newest_import()}"


def newest_of_customers(actor: Actor) -> str:
    """Return the same, with the number of events of all customers that a partner is or was associated with.

    It changes with every change of their record, also with those that the partner does not read. No event of a chain
    becomes visible before an earlier one.
    """
    [(customers, events)] = _heads(Reader.of(actor)).values()
    return f"{newest_of(actor)}:{customers}:{events}"


@lru_cache(maxsize=256)
def _heads(reader: Reader) -> PreparedQuery[Any]:
    """Return the query for the number of these customers and of their events."""
    own = Association.objects.not_undone().visible_to(reader.actor())
    chain = Concat(Value("organisation:"), Cast("customer", models.TextField()), output_field=models.TextField())
    heads = ChainHead.objects.filter(chain__in=own.annotate(chain=chain).values("chain")).values(all=Value(1))
    counted = heads.annotate(count=Count("pk"), events=Sum("seq"))
    return PreparedQuery(lambda: counted.values_list("count", "events"))


def newest_import() -> int:
    """Return the key of the event of the newest import; 0 before the first one."""
    return next((pk for (pk,) in _NEWEST_IMPORT.values()), 0)


_NEWEST_IMPORT: PreparedQuery[Any] = PreparedQuery(
    lambda: Event.objects.filter(verb=ImportEvent.LOADED).order_by("-id").values_list("id")[:1]
)


@lru_cache(maxsize=256)
def _newest_of_partner(reader: Reader, count: int) -> PreparedQuery[Event]:
    """Return the query for a partner's. They are found by party and chain, because they are few among all.

    A company has several parties in one event, which counts once.
    """
    own = [pk for pk in partner_ids(reader.actor()) if pk is not None]
    as_party = Party.objects.filter(organisation_id__in=own).order_by("-event").values_list("event").distinct()[:count]
    in_chain = Event.objects.filter(chain__in=[f"organisation:{pk}" for pk in own]).values_list("pk")
    visible = events_visible_to(reader.actor()).filter(pk__in=as_party.union(in_chain))
    return PreparedQuery(lambda: visible.order_by("-id")[:count])


@lru_cache(maxsize=16)
def _newest_of_chain(count: int) -> PreparedQuery[Event]:
    return PreparedQuery(lambda: Event.objects.filter(chain=Param("chain")).order_by("-seq")[:count])


def events_visible_to(actor: Actor) -> models.QuerySet[Event]:
    """Return the events of a customer's chain; those a partner is a party to and its own chain; for staff, all."""
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
