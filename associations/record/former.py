"""What a former partner sees of a subscription: seats, status and renewal as they were when its association ended.

What is loaded later is not for it, unless another association of its own is in force. Where an end is older than what
is kept of it, seats, status and renewal are unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import BooleanField, Case, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.lookups import Exact, LessThan

from associations.record.access import Reader, shown_by_workload
from associations.record.models import KEPT, Association, AssociationQuerySet
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.models import Subscription


class AtEnd(NamedTuple):
    """What was kept at the end. An unknown status is "", an unknown version 0."""

    seats: int | None
    status: str
    renews_on: date | None
    version: int
    missing_since: date | None = None  # what a later file names or not is not for a former partner


def at_end(actor: Actor, ids: Iterable[int]) -> dict[int, AtEnd]:
    """Return what a partner sees of those of these subscriptions where none of its associations is in force now."""
    asked = list(ids)
    if actor.kind != OrganisationKind.PARTNER or not asked:
        return {}
    found = _at_end(Reader.of(actor)).values(ids=asked)
    return {pk: _kept(*values) for pk, *values in found}


def show_as_seen(actor: Actor, subscriptions: Iterable[Subscription]) -> None:
    """Set in each subscription what the actor sees of it. Never save one of them afterwards."""
    by_key = {one.pk: one for one in subscriptions}
    for pk, kept in at_end(actor, by_key).items():
        _show(by_key[pk], kept)


def _kept(seats: int | None, status: str | None, renews_on: date | None, version: int | None) -> AtEnd:
    return AtEnd(seats, status or "", renews_on, version or 0)


def _show(subscription: Subscription, kept: AtEnd) -> None:
    for name, value in kept._asdict().items():
        setattr(subscription, name, value)


def with_end(actor: Actor, subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Return the same subscriptions, each with what show_end needs for a partner. So one is read by one query."""
    if actor.kind != OrganisationKind.PARTNER:
        return subscriptions
    is_seen = ExpressionWrapper(_in_force(actor), output_field=BooleanField())
    return subscriptions.annotate(is_seen_as_it_is=is_seen, **{name: _last(actor, name) for name in KEPT})


def show_end(subscription: Any) -> None:
    """Set in a subscription of with_end what its reader sees of it. Never save it afterwards."""
    if not getattr(subscription, "is_seen_as_it_is", True):
        _show(subscription, _kept(*(getattr(subscription, name) for name in KEPT)))


def with_status(actor: Actor, status: str) -> Q:
    """Return the condition that the actor sees this status of a subscription."""
    return _seen(actor, Q(status=status), Exact(_last(actor, "status_at_end"), status))


def renews_before(actor: Actor, day: date | Param) -> Q:
    """Return the condition that the actor sees a renewal before the day."""
    return _seen(actor, Q(renews_on__lt=day), LessThan(_last(actor, "renews_on_at_end"), day))


def _seen(actor: Actor, now: Q, then: Any) -> Q:
    """Return the first condition where the actor sees a subscription as it is now, and the second where it does not.

    The database finds once what is in force. With "and" and "or" it would do so twice.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return now
    return Q(Case(When(_in_force(actor), then=now), default=then, output_field=BooleanField()))


def _in_force(actor: Actor) -> Q:
    """Return the condition that an association of the actor's with the subscription, or its tenant, is in force."""
    own = Association.objects.open().visible_to(actor)
    of_tenant = own.filter(customer=OuterRef("customer"), subscription=None, workload="")
    of_workload = shown_by_workload(actor, ended_at=None)
    return Q(Exists(own.filter(subscription=OuterRef("pk")))) | Q(Exists(of_tenant)) | of_workload


def _last(actor: Actor, name: str) -> Subquery:
    """Return what was kept when the actor's last association with the subscription ended."""
    own: AssociationQuerySet = Association.objects.not_undone().visible_to(actor)
    ended = own.filter(subscription=OuterRef("pk"), ended_at__isnull=False)
    return Subquery(ended.order_by("-ended_at", "-pk").values(name)[:1])


@lru_cache(maxsize=256)
def _at_end(reader: Reader) -> PreparedQuery[Any]:
    actor = reader.actor()
    kept = {name: _last(actor, name) for name in KEPT}

    def build() -> QuerySet[Subscription, Any]:
        these = Subscription.objects.filter(~_in_force(actor), AnyOf(F("pk"), Param("ids")))
        return these.annotate(**kept).values_list("pk", *KEPT)

    return PreparedQuery(build)
