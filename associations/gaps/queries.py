"""The gaps: subscriptions without a partner of record, and those that may soon lose it or that lost it when replaced.

A partner gets only the gaps of what it may see, and learns nothing about the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, TextChoices, Value, When
from django.db.models.functions import TruncDate
from django.db.models.lookups import GreaterThanOrEqual, IsNull, LessThanOrEqual
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.access import Reader, few_keys, restricted, subscriptions_visible_to
from associations.record.models import Association, AssociationQuerySet, end_of, start_of
from associations.record.policies import months_before, policy_on
from associations.record.queries import CAN_LACK
from associations.record.rules import EndReason
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.models import Partner, Subscription
from por.web import lists
from por.web.formatting import day_of

INACTIVE = (Subscription.Status.GRACE, Subscription.Status.SUSPENDED)
#: The reasons of an end with which the subscription is over.
EXPIRED = (EndReason.SUBSCRIPTION_EXPIRED, EndReason.SUBSCRIPTION_REPLACED)
#: The kinds of gap. No subscription is in two: "replaced" lacks a partner that the one it replaces had, "ended" is the
#: old one itself, for a partner that may not see its replacement.
KINDS = ("risk", "none", "replaced", "ended")


#: The condition that an association ended with its subscription, by the UTC day: queries are kept for all readers.
_WITH_SUBSCRIPTION = Q(end_reason__in=EXPIRED) | Q(
    GreaterThanOrEqual(TruncDate("ended_at", tzinfo=UTC), F("subscription__renews_on")), end_reason=""
)


# The database looks for the associations of a condition once each time it is written. So the conditions that join the
# kinds name each part once. A union of three lists takes five times as long.


def all_gaps(actor: Actor) -> Q:
    """Return the condition that a subscription is a gap of any kind."""
    if actor.kind != OrganisationKind.PARTNER:
        return at_risk(actor) | _free()
    return at_risk(actor) | _free() & (_replacing(actor) | _served(actor)) | _ended(actor)


def counts(actor: Actor, subscriptions: QuerySet[Subscription]) -> dict[str, int]:
    """Return how many of the subscriptions, all visible to the actor, each tab has; all gaps under ""."""
    return totals(by_kind(actor, subscriptions))


def totals(found: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    """Return the rows of by_kind as the counts of the tabs; all gaps under "". "Lost" repeats some of "none"."""
    known = dict(found)
    risk, none, replaced, ended = (known.get(key, 0) for key in KINDS)
    return {"": risk + none + replaced + ended, "risk": risk, "none": none + replaced, "lost": replaced + ended}


def by_kind(actor: Actor, subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription, Any]:
    """Return each kind of gap with the number of these subscriptions, all visible to the actor.

    No subscription is in two kinds, so one pass finds the kind of each.
    """
    replaced, none = Value("replaced"), Value("none")
    if actor.kind == OrganisationKind.PARTNER:
        free = Case(When(_replacing(actor), then=replaced), When(_served(actor), then=none))
        ended = [When(_ended(actor), then=Value("ended"))]
    else:
        free, ended = Case(When(_replacing(actor), then=replaced), default=none), []
    kind = Case(When(at_risk(actor), then=Value("risk")), When(_free(), then=free), *ended, output_field=CharField())
    return subscriptions.order_by().values_list(kind).annotate(Count("pk"))


def count_of_gaps(actor: Actor) -> int:
    """Return the number of a partner's gaps, as count_of does. Of a large partner, those at risk may be enough."""
    subscriptions, few = subscriptions_visible_to(actor), few_keys(actor)
    if few is not None:
        return lists.count_of(restricted(subscriptions, *few).filter(all_gaps(actor)))
    found = lists.count_of(held_at_risk(actor))
    return found if found > lists.COUNT_TO else lists.count_of(subscriptions.filter(all_gaps(actor)))


def held_at_risk(actor: Actor) -> AssociationQuerySet:
    """Return the record of each subscription that is at_risk. Of a large partner, this finds them in less time."""
    soon = _soon("subscription__") | Q(partner__status=Partner.Status.SUSPENDED)
    held = Association.objects.open().of_record().visible_to(actor).filter(soon)
    return held.exclude(subscription__status=Subscription.Status.EXPIRED)


def without(actor: Actor, as_of: date | None = None) -> Q:
    """Return the condition that there is no partner of record, as without_partner means it; or was none on a past day.

    A partner sees those of the customers that it serves now, and those that replace one of its own: rights are those of
    today.
    """
    free = _free() if as_of is None else _free_on(as_of)
    if actor.kind != OrganisationKind.PARTNER:
        return free
    return free & (_replacing(actor) | _served(actor))


def at_risk(actor: Actor) -> Q:
    """Return the condition that there is a partner of record, for a partner itself, which may be lost soon."""
    held = _of_record(actor).open()
    near = _soon() | Q(Exists(held.filter(partner__status=Partner.Status.SUSPENDED)))
    return ~Q(status=Subscription.Status.EXPIRED) & near & Q(Exists(held))


def _soon(of: str = "") -> Q:
    """Return the condition that the subscription renews soon, or is not active."""
    today = timezone.localdate()
    last = today + timedelta(days=max(policy_on(today).renewal_notice_days))
    return Q(**{f"{of}renews_on__range": (today, last)}) | Q(**{f"{of}status__in": INACTIVE})


def lost(actor: Actor) -> Q:
    """Return the condition that only the subscription it replaces had a partner of record, for a partner itself.

    The partner may not see the replacement. It is then shown the old subscription, for as long as a new association
    can be dated back.
    """
    replacing = _free() & _replacing(actor)
    return replacing | _ended(actor) if actor.kind == OrganisationKind.PARTNER else replacing


def _ended(actor: Actor) -> Q:
    """Return the condition that it expired under the partner, which may not see a replacement."""
    today = timezone.localdate()
    ended = _of_record(actor).filter(
        _WITH_SUBSCRIPTION,
        ended_at__gte=start_of(months_before(today, policy_on(today).back_dating_months)),
    )
    known = subscriptions_visible_to(actor).filter(replaces=OuterRef("pk"))
    return Q(Exists(ended), ~Exists(known), status=Subscription.Status.EXPIRED)


def _served(actor: Actor) -> Q:
    """Return the condition that the partner has an association with the customer now."""
    return Q(Exists(Association.objects.open().visible_to(actor).filter(customer=OuterRef("customer"))))


def _free() -> Q:
    held = Association.objects.open().of_record().filter(subscription=OuterRef("pk"))
    return Q(status__in=CAN_LACK) & ~Q(Exists(held))


def _free_on(day: date) -> Q:
    """Return the condition that a subscription was its customer's at the end of a past day, without partner of record.

    The status is today's: only one that has expired with a day up to then was certainly over.
    """
    end = end_of(day)
    here = (Q(came_at=None) | Q(came_at__lt=end)) & (Q(left_at=None) | Q(left_at__gte=end))
    over = Q(status=Subscription.Status.EXPIRED, left_at=None, renews_on__lte=day)
    held = Association.objects.open(day).of_record().filter(subscription=OuterRef("pk"))
    return Q(here, ~over, ~Q(Exists(held)), started_on__lte=day)


def _replacing(actor: Actor) -> Q:
    return Q(Exists(_of_record(actor, "replaces")), ~Exists(_of_record(actor)))


def _of_record(actor: Actor, subscription: str = "pk") -> AssociationQuerySet:
    """Return the present and past partners of record of the subscription, or of the one it replaces.

    A partner sees only itself.
    """
    return Association.objects.not_undone().of_record().visible_to(actor).filter(subscription=OuterRef(subscription))


# --- The reason, and what to do -------------------------------------------------------------------------------------


class Why(TextChoices):
    """Why a subscription is a gap."""

    REPLACED = "replaced", _("Replaces a subscription that had a partner of record")
    ENDED = "ended", _("Expired, so you are no longer the partner of record")
    NO_MORE = "no_more", _("No longer has a partner of record")
    NONE = "none", _("No partner of record")
    GRACE = "grace", _("In grace period")
    SUSPENDED = "suspended", _("Subscription suspended")
    PARTNER_SUSPENDED = "partner_suspended", _("Partner’s account suspended")
    RENEWS = "renews", _("Renews soon")


TO_DO = {
    OrganisationKind.CUSTOMER: {
        Why.REPLACED: _("If the partner still works for you, attach them here too."),
        Why.NO_MORE: _("Attach the partner that works on this subscription."),
        Why.NONE: _("Attach the partner that works on this subscription."),
        Why.GRACE: _("Renew the subscription. It loses its partner of record when it expires."),
        Why.SUSPENDED: _("Renew the subscription. It loses its partner of record when it expires."),
        Why.PARTNER_SUSPENDED: _("Contact the partner, or attach another one."),
        Why.RENEWS: _("If the subscription is renewed under a new ID, attach the partner to the new one."),
    },
    OrganisationKind.PARTNER: {
        Why.REPLACED: _("Ask the customer to attach you here too."),
        Why.ENDED: _("If the customer has renewed it under a new ID, ask them to attach you to the new one."),
        Why.NO_MORE: _("Ask the customer to attach you again."),
        Why.NONE: _("If you work on this subscription, ask the customer to attach you."),
        Why.GRACE: _(
            "Remind the customer to renew the subscription. You stop being the partner of record when it expires."
        ),
        Why.SUSPENDED: _(
            "Remind the customer to renew the subscription. You stop being the partner of record when it expires."
        ),
        Why.PARTNER_SUSPENDED: _("Ask for your account to be reactivated. You earn nothing until then."),
        Why.RENEWS: _("If the subscription is renewed under a new ID, ask the customer to attach you to the new one."),
    },
}
TO_DO[OrganisationKind.STAFF] = dict.fromkeys(
    Why, _("The customer can attach a partner. Platform staff cannot do it for them.")
)
#: The reasons with which a partner can be attached, if the subscription is active.
FREE = (Why.REPLACED, Why.NO_MORE, Why.NONE)
RENEW_FIRST = _("Renew the subscription first. You cannot attach a partner until it is active.")
RENEWED_FIRST = _("No partner can be attached until the customer has renewed the subscription.")


class Predecessor(NamedTuple):
    """A subscription that a gap has probably renewed, and the partner that was of record at its end.

    `rival` is another subscription that may have renewed it as well.
    """

    subscription: Subscription
    partner: Partner
    rival: Subscription | None


@dataclass(frozen=True)
class Gap:
    """A subscription that is a gap: why, since when if that is known, and the partner that it had or has.

    `predecessors` are those that it may have renewed, if no file says which one it replaces.
    """

    subscription: Subscription
    why: Why
    since: date | None
    partner: Partner | None
    to_do: str
    predecessors: Sequence[Predecessor] = ()

    @property
    def can_attach(self) -> bool:
        """Return whether a partner could be attached now."""
        # A former partner may not know the status.
        return self.why in FREE and self.subscription.status in ("", Subscription.Status.ACTIVE)

    @property
    def suggested(self) -> Partner | None:
        """Return the partner of the one likely predecessor, if it could be attached now.

        Of several predecessors none is likely, and neither is one that another subscription may have renewed as well.
        """
        if len(self.predecessors) != 1 or self.predecessors[0].rival or not self.can_attach:
            return None
        partner = self.predecessors[0].partner
        is_attachable = partner.status == Partner.Status.ACTIVE and partner.kind == Partner.Kind.LOCATION
        return partner if is_attachable else None


def gaps_of(actor: Actor, subscriptions: Sequence[Subscription]) -> list[Gap]:
    """Return the gap of each subscription, in this order. Takes a few queries for any number.

    A partner gets no predecessors: it must not learn of a successor that it may not see.
    """
    ids = {one.pk for one in subscriptions} | {one.replaces_id for one in subscriptions if one.replaces_id}
    newest: dict[int | None, Association] = {}
    for one in _records(Reader.of(actor)).all(organisation=actor.organisation_id, ids=list(ids)):
        newest[one.subscription_id] = one
    # A former partner may not see the status. It is told that a subscription expired if this ended its association.
    unseen = [one.pk for one in subscriptions if not one.status]
    over: set[int] = set()
    if unseen:
        ended = _over(Reader.of(actor), timezone.localdate())
        over = {pk for (pk,) in ended.values(organisation=actor.organisation_id, ids=unseen)}
    found = [
        _gap(actor, one, newest.get(one.pk), newest.get(one.replaces_id), is_over=one.pk in over)
        for one in subscriptions
    ]
    if actor.kind == OrganisationKind.PARTNER:
        return found
    never = [gap.subscription for gap in found if gap.why == Why.NONE and gap.subscription.replaces_id is None]
    known = predecessors(never) if never else {}
    return [replace(gap, predecessors=known.get(gap.subscription.pk, ())) for gap in found]


@lru_cache(maxsize=256)
def _over(reader: Reader, _today: date) -> PreparedQuery[Any]:
    """Return the query for the keys of those subscriptions that have expired under the partner, today."""
    ended = Subscription.objects.filter(_ended(reader.actor()), AnyOf(F("pk"), Param("ids")))
    return PreparedQuery(lambda: ended.values_list("pk"))


#: The most predecessors that are named for a subscription: of two none is likely, and a third says no more.
NAMED = 2


def predecessors(subscriptions: Sequence[Subscription]) -> dict[int, list[Predecessor]]:
    """Return which subscriptions each of these has probably renewed, by its key: up to NAMED of them.

    One of the same customer and product that renewed or ended near the start of the new one, with nearly as many
    seats, that no other subscription replaces, and that had a partner of record at its end. Only for readers of the
    whole record. Takes four queries.
    """
    policy = policy_on(timezone.localdate())
    near = timedelta(days=policy.predecessor_days)
    likely = _likely(near, policy.predecessor_seats_percent).values(keys=[one.pk for one in subscriptions])
    found: dict[int, list[int]] = {pk: before for pk, before in likely if before}
    wanted = {pk for before in found.values() for pk in before}
    if not wanted:
        return {}
    renewals = _renewals(wanted, near, policy.predecessor_seats_percent)
    by_key = Subscription.objects.select_related("sku").in_bulk(wanted.union(*renewals.values()))
    last = Association.objects.not_undone().of_record().filter(_AT_THE_END, subscription__in=wanted)
    partners = {
        one.subscription_id: one.partner
        for one in last.select_related("partner__organisation").order_by("began_at", "pk")
    }
    return {
        pk: [
            Predecessor(
                by_key[one],
                partners[one],
                next((by_key[other] for other in renewals.get(one, ()) if other != pk), None),
            )
            for one in before
        ]
        for pk, before in found.items()
    }


@lru_cache(maxsize=8)
def _likely(near: timedelta, percent: int) -> PreparedQuery[Any]:
    """Return the query for the keys of new subscriptions, each with those of its predecessors."""
    held = Association.objects.not_undone().of_record().filter(subscription=OuterRef("pk")).filter(_AT_THE_END)
    before = Subscription.objects.filter(
        _alike(F("seats"), OuterRef("seats"), percent),
        Exists(held),
        ~Exists(Subscription.objects.filter(replaces=OuterRef("pk"))),
        customer=OuterRef("customer"),
        product=OuterRef("product"),
        started_on__lt=OuterRef("started_on"),
        renews_on__gte=OuterRef("started_on") - near,
        renews_on__lte=OuterRef("started_on") + near,
    )
    keys = ArraySubquery(before.order_by("-renews_on", "pk").values("pk")[:NAMED])
    return PreparedQuery(
        lambda: (
            Subscription.objects.filter(AnyOf(F("pk"), Param("keys"))).annotate(before=keys).values_list("pk", "before")
        )
    )


def _renewals(wanted: Iterable[int], near: timedelta, percent: int) -> dict[int, list[int]]:
    """Return which subscriptions may have renewed each of these, by its key: up to NAMED of them.

    They fit as in `predecessors`, and never had a partner of record, or now have one that this one had.
    """
    of_record = Association.objects.not_undone().of_record()
    # Three queries away from the old one: that of its partners, of who holds a new one, and of the new ones.
    its_partners = of_record.filter(subscription=OuterRef(OuterRef(OuterRef("pk")))).values("partner")
    held = of_record.filter(subscription=OuterRef("pk"))
    after = Subscription.objects.filter(
        _alike(OuterRef("seats"), F("seats"), percent),
        ~Exists(held) & Q(status__in=CAN_LACK) | Q(Exists(held.filter(ended_at=None, partner__in=its_partners))),
        replaces=None,
        customer=OuterRef("customer"),
        product=OuterRef("product"),
        started_on__gt=OuterRef("started_on"),
        started_on__gte=OuterRef("renews_on") - near,
        started_on__lte=OuterRef("renews_on") + near,
    )
    found = Subscription.objects.filter(pk__in=wanted).annotate(
        after=ArraySubquery(after.order_by("started_on", "pk").values("pk")[:NAMED])
    )
    return dict(found.values_list("pk", "after"))


def _alike(old: F | OuterRef, new: F | OuterRef, percent: int) -> Q:
    """Return the condition that the new one has nearly as many seats as the old one; or both have none."""
    near = GreaterThanOrEqual(old, new * (100 - percent) / 100) & LessThanOrEqual(old, new * (100 + percent) / 100)
    return Q(near) | Q(IsNull(old, True)) & Q(IsNull(new, True))


#: The condition that an association is or was of record at the end of its subscription.
_AT_THE_END = Q(ended_at=None) | _WITH_SUBSCRIPTION


@lru_cache(maxsize=256)
def _records(reader: Reader) -> PreparedQuery[Association]:
    """Return the query for the associations of record that the reader may know of, oldest first."""
    seen = Association.objects.not_undone().of_record().visible_to(reader.actor())
    of_these = seen.filter(AnyOf(F("subscription"), Param("ids"))).select_related("partner__organisation")
    return PreparedQuery(lambda: of_these.order_by("began_at"))


def _gap(
    actor: Actor,
    subscription: Subscription,
    last: Association | None,
    replaced: Association | None,
    *,
    is_over: bool,
) -> Gap:
    why, since, partner = Why.NONE, None, last.partner if last else None
    if last and not last.ended_at:
        if subscription.status in INACTIVE:
            why, since = Why(subscription.status), subscription.renews_on
        elif last.partner.status == Partner.Status.SUSPENDED:
            why = Why.PARTNER_SUSPENDED
        else:
            why = Why.RENEWS
    elif last and last.ended_at:
        replaced_or_expired = actor.kind == OrganisationKind.PARTNER and last.end_reason in EXPIRED
        expired = subscription.status == Subscription.Status.EXPIRED or replaced_or_expired or is_over
        why, since = Why.ENDED if expired else Why.NO_MORE, day_of(last.ended_at)
    elif replaced:
        why, since, partner = Why.REPLACED, subscription.started_on, replaced.partner
    elif actor.kind != OrganisationKind.PARTNER:
        since = subscription.started_on  # a partner must not learn whether there was another one before
    to_do = TO_DO[OrganisationKind(actor.kind)][why]
    if why in FREE and subscription.status in INACTIVE:
        to_do = RENEW_FIRST if actor.kind == OrganisationKind.CUSTOMER else RENEWED_FIRST
    return Gap(subscription, why, since, partner, str(to_do))
