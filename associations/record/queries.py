"""Subscriptions as one reader sees them: lists, and rows with the partner of record and the newest usage.

Pages, files and the API all read the record here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value

from associations.record.access import Reader, events_visible_to, subscriptions_visible_to, usage_visible_to
from associations.record.former import show_as_seen, show_end, with_end
from associations.record.models import Association, AssociationQuerySet, end_of
from associations.record.rules import AssociationKind
from associations.record.usage import MonthOfUsage, latest_usage, newest_usage
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.access import is_own
from por.directory.models import HERE_FIRST, Subscription
from por.directory.queries import show_names_on
from por.errors import NotFound
from por.history.models import Event
from por.web.pages import NOT_YOURS

RENEWING_WITHIN = timedelta(days=90)
#: The orders of lists of subscriptions. The key at the end makes each order complete.
BY_CUSTOMER = ("customer__organisation__name", "pk")
BY_PRODUCT = ("product", "pk")


class Row(NamedTuple):
    """A subscription as one reader sees it. `hidden`: its partner of record is one that the reader may not know.

    A partner that is not the partner of record now gets rows without usage: other pages show the months it covered.
    """

    subscription: Subscription
    record: Association | None
    hidden: bool
    usage: MonthOfUsage | None
    form: Association | None = None  # the newest legacy form in force that the reader may know


def subscriptions_for_listing(actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Return the subscriptions the actor may see, with what a row shows; as of a day, those that had started by then.

    The actor's rights are those of today: looking back shows nothing more.
    """
    return for_listing(subscriptions_visible_to(actor), as_of)


def for_listing(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """Return the same subscriptions with what a row shows; as of a day, those that had started by then."""
    found = subscriptions.select_related("customer__organisation", "sku")
    if as_of is None:
        return found
    return found.filter(Q(came_at=None) | Q(came_at__lt=end_of(as_of)), started_on__lte=as_of)


def as_shown(subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Return the same subscriptions of for_listing, with no more than the rows of pages show of them."""
    return subscriptions.only(
        *(
            "subscription_id",
            "customer__tenant_id",
            "customer__organisation__name",
            "product",
            "sku__name",
            "agreement",
        ),
        *("seats", "started_on", "renews_on", "status", "missing_since", "replaces", "version"),
    )


#: The statuses in which a subscription without a partner of record lacks one. In the others it can have none.
CAN_LACK = (Subscription.Status.ACTIVE, Subscription.Status.GRACE)


def without_partner(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """Return those that are active or in grace and have no partner of record; as of a day, all without one at its end.

    This is what "no partner" means everywhere: in lists and their badges, on the home page, in gaps.
    """
    found = subscriptions.filter(~Exists(held(as_of)))
    # The status is today's, so it is unknown which one they had on a past day.
    return found if as_of else found.filter(status__in=CAN_LACK)


def missing(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """Return those that the last complete file of their customer does not name; as of a day, since then or before."""
    found = subscriptions.filter(missing_since__isnull=False)
    return found.filter(missing_since__lte=as_of) if as_of else found


def renewing(subscriptions: QuerySet[Subscription], today: date) -> QuerySet[Subscription]:
    """Return those to be renewed within the next 90 days."""
    return renewing_between(subscriptions, today, today + RENEWING_WITHIN)


def renewing_between(
    subscriptions: QuerySet[Subscription], first: date | Param, last: date | Param
) -> QuerySet[Subscription]:
    """Return those to be renewed from the first to the last day."""
    return subscriptions.filter(renews_on__range=(first, last)).exclude(status=Subscription.Status.EXPIRED)


def of_record(subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Return those whose partner of record is the actor's, now or at the end of a day."""
    return subscriptions.filter(Exists(held(as_of).visible_to(actor)))


def of_own_tenant(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Return those of a partner of record in its own tenant: they count for competencies and never pay."""
    own = held(as_of).visible_to(actor).filter(partner__own_tenant_id=F("customer__tenant_id"))
    return subscriptions.filter(Exists(own))


def formerly_of_record(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Return those whose partner of record was the actor's, and is not now or was not at the end of a day."""
    own = Association.objects.begun_by(as_of).of_record().visible_to(actor).filter(subscription=OuterRef("pk"))
    return subscriptions.filter(Exists(own), ~Exists(own.open(as_of)))


def held(as_of: date | None = None) -> AssociationQuerySet:
    """Return the record of the subscription in an outer query: the association in force now or at the end of a day."""
    return Association.objects.open(as_of).of_record().filter(subscription=OuterRef("pk"))


def rows(actor: Actor, subscriptions: Sequence[Subscription], as_of: date | None = None) -> list[Row]:
    """Return the rows of a page of subscriptions, in its order. It takes two queries, however long the page is.

    As of a day, a row has the partner of record at its end, and the newest month with usage that had begun by then.
    """
    ids = [subscription.pk for subscription in subscriptions]
    records: dict[int | None, Association] = {}
    forms: dict[int | None, Association] = {}
    for association in (
        _RECORDS.all(ids=ids) if as_of is None else _records(Association.objects.open(as_of), Value(ids))
    ):
        if association.kind == AssociationKind.DPOR:
            records[association.subscription_id] = association
        elif actor.kind != OrganisationKind.PARTNER or _is_own(actor, association):
            forms[association.subscription_id] = association
    holders = {one.subscription_id: _is_own(actor, one) for one in records.values() if one.subscription_id is not None}
    known, usage = seen(actor, ids, holders, as_of)
    # The rights are those of today: who is of record now sees the subscription as it is now.
    in_force = {pk for pk in known if records[pk].ended_at is None}
    show_as_seen(actor, [one for one, pk in zip(subscriptions, ids, strict=True) if pk not in in_force])
    result = []
    for subscription, pk in zip(subscriptions, ids, strict=True):
        record, is_known = records.get(pk), pk in known
        if record is not None:
            record.as_of(as_of).customer = subscription.customer
        result.append(
            Row(
                subscription,
                record if is_known else None,
                hidden=record is not None and not is_known,
                usage=usage.get(pk),
                form=forms.get(pk),
            )
        )
    if as_of is not None:
        shown = [row.subscription.customer.organisation for row in result]
        show_names_on(as_of, [*shown, *(row.record.partner.organisation for row in result if row.record)])
    return result


def _records(open_then: AssociationQuerySet, ids: Any) -> AssociationQuerySet:
    """Return the associations of record and the legacy forms of some subscriptions, with what rows show of them."""
    kinds = open_then.filter(kind__in=[AssociationKind.DPOR, AssociationKind.OSA_FORM])
    return records_as_shown(kinds.filter(AnyOf(F("subscription"), ids))).order_by("began_at", "pk")


def records_as_shown(associations: AssociationQuerySet) -> AssociationQuerySet:
    """Return the same associations with their partners, and no more of both than the rows of pages show."""
    return associations.select_related("partner__organisation").only(
        *("kind", "subscription", "customer", "began_at", "ended_at", "source"),
        *("partner__mpn_id", "partner__own_tenant_id", "partner__organisation__name", "partner__organisation__parent"),
    )


_RECORDS = PreparedQuery(lambda: _records(Association.objects.open(), Param("ids")))


def _is_own(actor: Actor, one: Association) -> bool:
    if actor.kind != OrganisationKind.PARTNER:
        return False
    partner = one.partner_id  # mostly the reader's own, and the company above it needs no look
    return partner == actor.organisation_id or is_own(actor, partner, one.partner.organisation.parent_id)


def seen(
    actor: Actor, ids: Sequence[int], holders: Mapping[int, bool], as_of: date | None = None
) -> tuple[set[int], dict[int, MonthOfUsage]]:
    """Return the subscriptions whose partner of record the actor may know, and the newest usage it may see of each.

    `holders` has the subscriptions with a partner of record, now or at the end of the day, and whether it is the
    actor's own. The actor may see all these subscriptions.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return set(holders), newest_usage(ids, as_of)
    known = {pk for pk, own in holders.items() if own}
    if as_of is None:  # the partner of record of today sees every month
        return known, newest_usage(list(known), as_of)
    return known, latest_usage(usage_visible_to(actor).filter(subscription__in=known), as_of)


def subscription_events(actor: Actor, subscription: Subscription, as_of: date | None = None) -> QuerySet[Event]:
    """Return the events of a subscription that the actor may read; as of a day, those by its end."""
    events = events_visible_to(actor).filter(object_kind="subscription", object_id=str(subscription.subscription_id))
    return events if as_of is None else events.filter(at__lt=end_of(as_of))


def get_visible(actor: Actor, subscription_id: uuid.UUID) -> Subscription:
    """Return the subscription as the actor sees it. Raises NotFound if it may not see it."""
    given = {"organisation": actor.organisation_id, "id": subscription_id}
    subscription = _visible(Reader.of(actor)).one(**given)
    if subscription is None:
        raise NotFound("not_found", NOT_YOURS)
    show_end(subscription)
    return subscription


@lru_cache(maxsize=256)
def _visible(reader: Reader) -> PreparedQuery[Subscription]:
    actor = reader.actor()
    visible = with_end(actor, subscriptions_for_listing(actor).filter(subscription_id=Param("id")))
    # A customer has one with this ID. Others may see one of a former customer, too.
    found = visible if reader.kind == OrganisationKind.CUSTOMER else visible.order_by(HERE_FIRST)
    return PreparedQuery(lambda: found)
