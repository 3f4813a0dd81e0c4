"""What one viewer sees of subscriptions: who is of record, and usage. Pages and API read it here, and only here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Exists, F, OuterRef, QuerySet

from associations.record import queries
from associations.record.access import events_visible_to, subscriptions_visible_to, usage_visible_to
from associations.record.models import Association, AssociationQuerySet, end_of
from associations.record.rules import AssociationKind
from associations.record.usage import MonthOfUsage, _newest_usage, latest_usage
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.access import is_own
from por.directory.models import Subscription
from por.errors import NotFound
from por.history.models import Event
from por.web.pages import NOT_YOURS

RENEWING_WITHIN = timedelta(days=90)


@dataclass(frozen=True)
class Row:
    """A subscription as one viewer sees it. `hidden` says that somebody they may not know is of record.

    To a partner that is not of record now, rows are without usage: the months it covered are on their own pages.
    """

    subscription: Subscription
    record: Association | None
    hidden: bool
    usage: MonthOfUsage | None
    form: Association | None = None  # the newest legacy form in force that they may know of


def subscriptions_for_listing(actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Those the actor may see, with what a row shows; as of a day, those that had started by then.

    Who may see what is a right of today: looking back widens nothing.
    """
    return for_listing(subscriptions_visible_to(actor), as_of)


def for_listing(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """With what a row shows; as of a day, those that had started by then."""
    found = subscriptions.select_related("customer__organisation", "sku")
    return found if as_of is None else found.filter(started_on__lte=as_of)


def without_partner(subscriptions: QuerySet[Subscription], as_of: date | None = None) -> QuerySet[Subscription]:
    """Those nobody is of record for, though somebody could be: not the expired ones. Or those nobody was."""
    free = subscriptions.filter(~Exists(held(as_of)))
    # Whether it had expired by a day that has passed is not known: the status is today's.
    return free if as_of else free.exclude(status=Subscription.Status.EXPIRED)


def renewing(subscriptions: QuerySet[Subscription], today: date) -> QuerySet[Subscription]:
    """Those to be renewed within the next 90 days."""
    return subscriptions.filter(renews_on__range=(today, today + RENEWING_WITHIN)).exclude(
        status=Subscription.Status.EXPIRED
    )


def of_record(subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None) -> QuerySet[Subscription]:
    """Those the actor, a partner, is of record for now, or was at the end of a day."""
    return subscriptions.filter(Exists(held(as_of).visible_to(actor)))


def of_own_tenant(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Those a partner is of record for in its own tenant: they count for competencies and never pay."""
    own = held(as_of).visible_to(actor).filter(partner__own_tenant_id=F("customer__tenant_id"))
    return subscriptions.filter(Exists(own))


def formerly_of_record(
    subscriptions: QuerySet[Subscription], actor: Actor, as_of: date | None = None
) -> QuerySet[Subscription]:
    """Those the actor was of record for, and is no more; or by the end of a day was no more."""
    once = Association.objects.begun_by(as_of).of_record().visible_to(actor).filter(subscription=OuterRef("pk"))
    return subscriptions.filter(Exists(once), ~Exists(once.open(as_of)))


def held(as_of: date | None = None) -> AssociationQuerySet:
    """Who is of record, or was at the end of a day, for the subscription of an outer query."""
    return Association.objects.open(as_of).of_record().filter(subscription=OuterRef("pk"))


def rows(actor: Actor, subscriptions: Sequence[Subscription], as_of: date | None = None) -> list[Row]:
    """The rows of a page of subscriptions, in its order, for two queries more whatever its length.

    As of a day: who was of record at its end, and of the months begun by then the newest with usage.
    """
    ids = [subscription.pk for subscription in subscriptions]
    records: dict[int | None, Association] = {}
    forms: dict[int | None, Association] = {}
    for association in (
        Association.objects.open(as_of)
        .filter(kind__in=[AssociationKind.DPOR, AssociationKind.OSA_FORM], subscription__in=ids)
        .select_related("partner__organisation")
        .order_by("began_at", "pk")
    ):
        if association.kind == AssociationKind.DPOR:
            records[association.subscription_id] = association
        elif actor.kind != OrganisationKind.PARTNER or _is_own(actor, association):
            forms[association.subscription_id] = association
    holders = {one.subscription_id: _is_own(actor, one) for one in records.values() if one.subscription_id is not None}
    known, usage = seen(actor, ids, holders, as_of)
    result = []
    for subscription in subscriptions:
        record = records.get(subscription.pk)
        if record is not None:
            record.as_of(as_of).customer = subscription.customer
        theirs = subscription.pk in known
        result.append(
            Row(
                subscription,
                record if theirs else None,
                hidden=record is not None and not theirs,
                usage=usage.get(subscription.pk),
                form=forms.get(subscription.pk),
            )
        )
    return result


def _is_own(actor: Actor, one: Association) -> bool:
    return is_own(actor, one.partner_id, one.partner.organisation.parent_id)


def seen(
    actor: Actor, ids: Sequence[int], holders: Mapping[int, bool], as_of: date | None = None
) -> tuple[set[int], dict[int, MonthOfUsage]]:
    """What the actor may know of subscriptions it may see: of which who is of record, and the newest usage of each.

    `holders` says of those with a partner of record, at the end of the day, whether it is the actor's own.
    """
    if actor.kind != OrganisationKind.PARTNER:
        return set(holders), _newest_usage(ids, as_of)
    known = {pk for pk, own in holders.items() if own}
    if as_of is None:  # whoever is of record today sees every month
        return known, _newest_usage(list(known), as_of)
    return known, latest_usage(usage_visible_to(actor).filter(subscription__in=known), as_of)


def subscription_events(actor: Actor, subscription: Subscription, as_of: date | None = None) -> QuerySet[Event]:
    """What happened to one subscription, by the end of a day if one is given, as far as the actor may read it."""
    events = events_visible_to(actor).filter(object_kind="subscription", object_id=str(subscription.subscription_id))
    return events if as_of is None else events.filter(at__lt=end_of(as_of))


#: The orders of lists of subscriptions: what belongs together stands together, and the key makes it one order for good.
BY_CUSTOMER = ("customer__organisation__name", "pk")


BY_PRODUCT = ("product", "pk")


def get_visible(actor: Actor, subscription_id: uuid.UUID) -> Subscription:
    """The subscription, if the actor may see it; raises Absent."""
    subscription = queries.subscriptions_for_listing(actor).filter(subscription_id=subscription_id).first()
    if subscription is None:
        raise NotFound("not_found", NOT_YOURS)
    return subscription
