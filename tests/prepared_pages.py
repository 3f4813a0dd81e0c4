"""The prepared queries of pages, each beside its plain queryset: a part of tests.prepared."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import F, OuterRef, Value
from django.utils import timezone

from associations.change_requests import queries as questions
from associations.change_requests.models import ChangeRequest
from associations.claims.models import Claim, Conflict
from associations.claims.queries import claims
from associations.claims.queries import customers as customer_claims
from associations.gaps import queries as gaps
from associations.gaps import views as gap_views
from associations.invitations import queries as invitations
from associations.invitations.models import Invitation, Invited
from associations.legacy_forms import templatetags as legacy_forms
from associations.record import access, former, holdings, queries, timeline
from associations.record.access import Reader, events_visible_to
from associations.record.models import KEPT, Association
from associations.record.rules import AssociationKind
from associations.record.sums import most_changed, use_of_record
from associations.subscriptions.forms import ListShape, SubscriptionFilter, params
from associations.subscriptions.views import customer as customers
from associations.subscriptions.views import listing
from associations.subscriptions.views import partner as partners
from associations.subscriptions.views.listing import of_any_partner
from por.accounts import middleware, sessions
from por.accounts import models as accounts
from por.accounts.models import Actor, Membership, User, UserSession, keys_below
from por.accounts.rules import OrganisationKind
from por.db.keyset import Prepared, read_part
from por.directory.access import partners_of
from por.directory.models import Subscription
from por.history.actions.recording import ObjectRef, record
from por.history.models import ChainHead, Event
from por.imports.events import ImportEvent
from por.notifications import queries as inbox
from por.notifications.models import Delivery, Notification
from por.portal import queries as home
from por.portal.views import usage
from por.web.lists import count_of
from tests.associations.record import plain_sums
from tests.prepared import FIRST, Estate, Pair

Pairs = Iterator[Pair]


def actors(estate: Estate, *kinds: str) -> Iterator[Actor]:
    for actor in estate.readers.values():
        if not kinds or actor.kind in kinds:
            yield actor


def pair(prepared: Any, plain: Any, **given: Any) -> Pair:
    return Pair(lambda: prepared.all(**given), lambda: plain.all())


def values(prepared: Any, plain: Any, **given: Any) -> Pair:
    return Pair(lambda: prepared.values(**given), lambda: plain.all())


def unordered(prepared: Any, plain: Any, **given: Any) -> Pair:
    return Pair(lambda: sorted(prepared.values(**given)), lambda: sorted(plain.all()))


def pairs_of_sessions(estate: Estate) -> Pairs:
    for key, days in (("a" * 32, 1), (sessions.hashed("b" * 32), 1), ("c" * 32, -1)):
        Session.objects.update_or_create(
            session_key=key, defaults={"session_data": key, "expire_date": timezone.now() + timedelta(days=days)}
        )
    began = {"user_id": next(actors(estate)).user_id, "began_at": timezone.now(), "used_at": timezone.now()}
    UserSession.objects.update_or_create(key="a" * 32, defaults=began)
    for key in ("a" * 32, "b" * 32, "c" * 32, "none"):
        now = timezone.now()
        forms = [key, sessions.hashed(key)]
        known = UserSession.objects.filter(key=OuterRef("session_key"))
        plain = Session.objects.filter(session_key__in=forms, expire_date__gt=now)
        plain = plain.annotate(began_at=known.values("began_at"), used_at=known.values("used_at"))
        given = {"plain": key, "hashed": forms[1], "now": now}
        yield Pair(lambda given=given: sessions._OPEN.all(**given), lambda plain=plain: plain.all())


def pairs_of_memberships(estate: Estate) -> Pairs:
    for actor in actors(estate):
        plain = Membership.objects.select_related("organisation").filter(user=actor.user_id)
        yield pair(middleware._MEMBERSHIPS, plain.annotate(below=keys_below("organisation")), user=actor.user_id)


def pairs_of_unreached(estate: Estate) -> Pairs:
    for event in Event.objects.order_by("pk")[:3]:
        for organisation in [one.organisation for one in estate.partners[: event.pk % 3]]:
            given = {"event": event, "organisation": organisation, "template": "a", "language": "en"}
            for status in (Delivery.Status.UNREACHED, Delivery.Status.SENT):
                Delivery.objects.update_or_create(**given, recipient=status.value, defaults={"status": status})
        found = Delivery.objects.filter(event=event, status="unreached").order_by("pk")
        yield values(inbox._UNREACHED, found.values_list("organisation__name"), event=event.pk)


def pairs_of_due(estate: Estate) -> Pairs:
    for actor in actors(estate):
        plain = ChangeRequest.objects.visible_to(actor).open().order_by("due_at", "pk")
        plain = plain.annotate(has_statement=questions._HAS_STATEMENT).select_related(
            *("subscription__sku", "subscription__customer__organisation"),
            *("incumbent__partner__organisation", "made", "chosen__organisation"),
        )
        yield pair(questions._next_due(Reader.of(actor), 5), plain[:5], organisation=actor.organisation_id)


def pairs_of_badges(estate: Estate) -> Pairs:
    for partner in estate.partners[:2]:
        of = {"customer": estate.customers[0], "partner": partner, "company": partner.organisation}
        said = {"number": f"CPR-{partner.pk}", "program": "osu_m365", "role": "usage", "origin": "api"}
        at = {"created_at": timezone.now(), "submitted_at": timezone.now()}
        Claim.objects.get_or_create(status="action_required", **of, **said, defaults=at)
    event = Event.objects.order_by("pk")[0]
    for actor in actors(estate):
        member = Membership.objects.get(user=actor.user_id, organisation=actor.organisation_id)
        for message in ("a", "b")[: member.pk % 2 + 1]:
            Notification.objects.update_or_create(membership=member, event=event, message=message, about="1")
    for actor in actors(estate):
        lines = Notification.objects.visible_to(actor).open().values_list(Value("inbox"))
        asked = ChangeRequest.objects.visible_to(actor).open().values_list(Value("help"))
        asked = asked.none() if actor.is_staff else asked
        conflicts = Conflict.objects.visible_to(actor).open().values_list(Value("scales"))
        contested = conflicts.filter(answer=None) if actor.kind == "customer" else conflicts
        own = partners_of(actor) if actor.kind == "partner" else []
        claims = Claim.objects.filter(status="action_required", partner__in=own).values_list(Value("award"))
        all_of = (lines, asked, contested, claims)
        given = {"user": actor.user_id, "organisation": actor.organisation_id}
        yield Pair(
            lambda actor=actor, given=given: sorted(
                home._waiting(Reader.of(actor), home._WAITS[OrganisationKind(actor.kind)]).values(**given)
            ),
            lambda all_of=all_of: sorted(row for one in all_of for row in one),
        )


def invite_some(estate: Estate) -> None:
    now = timezone.now()
    for place, one in enumerate(estate.subscriptions[:9]):
        invitation = Invitation.objects.create(
            partner=estate.partners[place % 3], customer=estate.customers[place % 2], sent_at=now,
            expires_at=now + timedelta(days=place - 2),
        )  # fmt: skip
        Invited.objects.create(invitation=invitation, subscription=one)


def pairs_of_waiting(estate: Estate) -> Pairs:
    invite_some(estate)
    for actor in actors(estate, "customer"):
        now = timezone.now()
        plain = Invitation.objects.filter(customer=actor.organisation_id, status="sent", expires_at__gt=now)
        plain = plain.select_related("partner__organisation", "customer__organisation").order_by("expires_at", "pk")
        yield pair(invitations._waiting(3), plain[:3], organisation=actor.organisation_id, now=now)


def pairs_of_invited(estate: Estate) -> Pairs:
    invite_some(estate)
    keys = list(Invitation.objects.values_list("pk", flat=True))
    for ids in ([], keys, keys[:4]):
        plain = Invited.objects.filter(invitation__in=ids).select_related("subscription__sku").order_by("pk")
        yield pair(invitations._INVITED, plain, invitations=ids)


def pairs_of_newest(estate: Estate) -> Pairs:
    for actor in actors(estate, "partner"):
        yield pair(access._newest_of_partner(Reader.of(actor), 7), events_visible_to(actor).order_by("-id")[:7])


def pairs_of_heads(estate: Estate) -> Pairs:
    for actor in actors(estate, "partner"):
        own = Association.objects.not_undone().visible_to(actor)
        chains = [f"organisation:{pk}" for pk in set(own.values_list("customer", flat=True))]
        heads = ChainHead.objects.filter(chain__in=chains).values_list("seq", flat=True)
        yield Pair(
            lambda actor=actor: access._heads(Reader.of(actor)).values(),
            lambda heads=heads: [(len(heads), sum(heads) if heads else None)],
        )


def pairs_of_chain(estate: Estate) -> Pairs:
    for actor in actors(estate, "customer"):
        chain = f"organisation:{actor.organisation_id}"
        yield pair(access._newest_of_chain(7), Event.objects.filter(chain=chain).order_by("-seq")[:7], chain=chain)


def pairs_of_seen(estate: Estate) -> Pairs:
    ids = [uuid.UUID(int=7), *(one.subscription_id for one in estate.subscriptions)]
    for actor in actors(estate, "partner"):
        plain = Association.objects.not_undone().visible_to(actor).filter(subscription__subscription_id__in=ids)
        yield values(timeline._seen(Reader.of(actor)), plain.values_list("subscription__subscription_id"), ids=ids)


def pairs_of_own_ids(estate: Estate) -> Pairs:
    for actor in actors(estate, "partner"):
        plain = partners_of(actor).values_list("mpn_id")
        yield values(timeline._OWN_MPN_IDS, plain, organisation=actor.organisation_id)


def pairs_of_records(estate: Estate) -> Pairs:
    keys = [one.pk for one in estate.subscriptions]
    for ids in ([], keys, estate.chance.sample(keys, 20)):
        plain = Association.objects.open().filter(kind__in=["dpor", "osa_form"], subscription__in=ids)
        yield pair(queries._RECORDS, queries.records_as_shown(plain).order_by("began_at", "pk"), ids=ids)


def pairs_of_ends(estate: Estate) -> Pairs:
    """Yield what each reader sees of subscriptions where no association of its own is in force any more."""
    keys = [one.pk for one in estate.subscriptions]
    for actor in actors(estate, "partner"):
        for ids in ([], keys, estate.chance.sample(keys, 20)):
            plain = _plain_ends(actor, ids)
            asked = former._at_end(Reader.of(actor))
            yield Pair(lambda asked=asked, ids=ids: sorted(asked.values(ids=ids)), lambda plain=plain: sorted(plain))


def _plain_ends(actor: Actor, ids: list[int]) -> list[tuple[Any, ...]]:
    own = list(Association.objects.filter(undone_at=None, partner__in=partners_of(actor)).order_by("ended_at", "pk"))
    found = []
    for one in Subscription.objects.filter(pk__in=ids):
        here = [each for each in own if each.subscription_id == one.pk]
        of_tenant = [each for each in own if each.subscription_id is None and each.customer_id == one.customer_id]
        of_tenant = [each for each in of_tenant if each.workload in {"", *workloads_of(one)}]
        if all(each.ended_at for each in here + of_tenant):
            kept = [getattr(here[-1], name) if here else None for name in KEPT]
            found.append((one.pk, *kept))
    return found


def workloads_of(one: Subscription) -> set[str]:
    """Return the workloads that the SKU of a subscription has."""
    return set(one.sku.plans.exclude(workload="").values_list("workload", flat=True)) if one.sku else set()


def pairs_of_holdings(estate: Estate) -> Pairs:
    """Yield the counts of what each partner has with each customer, beside none or some of its subscriptions."""
    keys = [one.pk for one in estate.subscriptions]
    for partner in estate.partners:
        for customer in estate.customers:
            for ids in ([], estate.chance.sample(keys, 20)):
                given = {"partner": partner.pk, "customer": customer.pk, "subscriptions": ids}
                yield Pair(
                    lambda given=given: holdings._COUNTED.values(**given),
                    lambda given=given: _plain_holdings(**given),
                )


def _plain_holdings(partner: int, customer: int, subscriptions: list[int]) -> list[tuple[int, ...]]:
    found = list(Association.objects.filter(partner=partner, customer=customer, undone_at=None))
    others = {one.subscription_id for one in found} - {None, *subscriptions}
    counts = [
        sum(
            one.kind == kind and one.ended_at is None and not (kind == "dpor" and one.subscription_id in subscriptions)
            for one in found
            if not one.workload
        )
        for kind in AssociationKind
    ]
    claims = [one for one in found if one.workload]
    claimed = {one.workload for one in claims}
    by_workload = {one.pk for one in Subscription.objects.filter(customer=customer) if claimed & workloads_of(one)}
    more = by_workload - {one.subscription_id for one in found} - set(subscriptions)
    tenants = sum(one.subscription_id is None and not one.workload for one in found)
    open_claims = sum(one.ended_at is None for one in claims)
    return [(len(others), len(more), tenants, open_claims, *counts)] if found else []


def pairs_of_visible(estate: Estate) -> Pairs:
    for actor in actors(estate):
        for one in estate.subscriptions[:10]:
            plain = queries.subscriptions_for_listing(actor).filter(subscription_id=one.subscription_id)
            plain = former.with_end(actor, plain)
            given = {"organisation": actor.organisation_id, "id": one.subscription_id}
            yield pair(queries._visible(Reader.of(actor)), plain, **given)


def pairs_of_gaps(estate: Estate) -> Pairs:
    keys = [one.pk for one in estate.subscriptions]
    for actor in actors(estate, "customer", "partner"):
        plain = Association.objects.not_undone().of_record().visible_to(actor).filter(subscription__in=keys)
        plain = plain.select_related("partner__organisation").order_by("began_at")
        given = {"organisation": actor.organisation_id, "ids": keys}
        yield Pair(
            lambda actor=actor, given=given: _by_key(gaps._records(Reader.of(actor)).all(**given)),
            lambda plain=plain: _by_key(plain),
        )


def _by_key(found: Any) -> list[Any]:
    return sorted(found, key=lambda one: one.pk)


def pairs_of_forms(estate: Estate) -> Pairs:
    began = {"began_at": datetime(2025, 1, 1, tzinfo=UTC), "source": "estate"}
    for one in estate.subscriptions[:12]:
        for partner in estate.partners[:3]:
            Association.objects.create(
                kind="osa_form", partner=partner, customer=one.customer, subscription=one, **began
            )
    for actor in actors(estate):
        for one in estate.subscriptions[:12]:
            plain = Association.objects.open().forms().visible_to(actor).filter(subscription=one).for_listing()
            given = {"organisation": actor.organisation_id, "subscription": one.pk}
            yield pair(legacy_forms._forms(Reader.of(actor)), plain.order_by("-began_at", "-pk"), **given)


def pairs_of_home(name: str) -> Callable[[Estate], Pairs]:
    def made(estate: Estate) -> Pairs:
        for actor in actors(estate, "customer"):
            for today in (timezone.now().date(), *(FIRST + timedelta(days=300 * number - 5) for number in range(4))):
                until = today + queries.RENEWING_WITHIN
                own = queries.subscriptions_for_listing(actor)
                without, renewing = queries.without_partner(own), queries.renewing_between(own, today, until)
                if name == "counts":
                    yield Pair(
                        lambda actor=actor, today=today: home.OwnSubscriptions(actor, today).counts(),
                        lambda all_of=(own, without, renewing): [one.count() for one in all_of],
                    )
                    continue
                plain: Any = {
                    "_WITHOUT": without.order_by(F("seats").desc(nulls_last=True), "pk")[: home.FEW],
                    "_RENEWING": renewing.order_by("renews_on", "pk")[: home.FEW],
                }[name]
                query: Any = getattr(home, name)
                given = {"organisation": actor.organisation_id, "today": today, "until": until}
                yield pair(query, plain, **given)

    return made


def pairs_of_imports(estate: Estate) -> Pairs:
    by = next(actors(estate, "staff"))
    changes = {"file": "usage", "created": 1, "changed": 0}
    record(ImportEvent.LOADED, ObjectRef("import", "1", "a"), by=by, at=timezone.now(), chain=None, changes=changes)
    plain = Event.objects.filter(verb=ImportEvent.LOADED).order_by("-id").values_list("id")[:1]
    yield values(access._NEWEST_IMPORT, plain)


def pairs_of_sums(estate: Estate) -> Pairs:
    for actor in actors(estate, "partner"):
        company = list(partners_of(actor))
        for since in (None, date(2026, 3, 1)):
            yield Pair(
                lambda actor=actor, since=since: [use_of_record(actor, since)],
                lambda company=company, since=since: [plain_sums.plain(company, since)],
            )


def pairs_of_changes(estate: Estate) -> Pairs:
    """Yield what is looked through for the largest changes where nothing is kept: all of a partner."""
    for actor in actors(estate, "partner"):
        held = plain_sums.subscriptions_of(list(partners_of(actor))).values_list("subscription", flat=True)
        yield Pair(
            lambda actor=actor: sorted(most_changed(actor, date(2026, 6, 1), 2) or []),
            lambda held=held: sorted(held),
        )


PAGES: dict[str, list[tuple[Any, Any]]] = {
    "customer": [
        (customers._tabs, queries.subscriptions_for_listing),
        (gap_views._tabs, queries.subscriptions_for_listing),
    ],
    "partner": [
        (partners._tabs, of_any_partner),
        (gap_views._tabs, queries.subscriptions_for_listing),
        (usage._partners_tabs, of_any_partner),
    ],
}


def shapes(estate: Estate) -> Iterator[tuple[Actor, Any, Any, Any, Prepared, Any]]:
    for actor in actors(estate, "customer", "partner"):
        few = access.few_keys(actor)
        for tabs_of, of in PAGES[actor.kind]:
            for tab in tabs_of(actor, None):
                for given in ({}, {"product": "office365"}, {"renews_before": "2026-06-01"}):
                    form = SubscriptionFilter(given)
                    assert form.is_valid(), form.errors
                    shape = listing.PageShape(
                        ListShape.of(actor, few, form.cleaned_data),
                        timezone.now().date(),
                        *(tabs_of, tab.key, of, listing.everything),
                    )
                    prepared = Prepared(Subscription, shape, params(actor, few, form.cleaned_data), of_models=True)
                    found = of(actor, None)
                    found = found if few is None else access.restricted(found, *few)
                    yield actor, few, shape, of, prepared, form.apply(tab.filter(found), actor)


def pairs_of_people(_estate: Estate) -> Pairs:
    for pk in [0, *User.objects.values_list("pk", flat=True)]:
        yield pair(accounts._BY_KEY, User.objects.filter(pk=pk), pk=pk)


def pairs_of_pages(estate: Estate) -> Pairs:
    for _actor, _few, _shape, _of, prepared, plain in shapes(estate):
        order = estate.chance.choice([queries.BY_CUSTOMER, queries.BY_PRODUCT])
        yield Pair(
            lambda prepared=prepared, order=order: parts(prepared, order),
            lambda plain=plain, order=order: parts(queries.as_shown(plain), order),
        )


def parts(rows: Any, order: Any) -> list[Any]:
    first = read_part(rows, order, 3)
    found = [*first.rows, count_of(rows)]
    if first.next:
        second = read_part(rows, order, 3, first.next)
        found += [*second.rows, *read_part(rows, order, 3, second.previous).rows]
    return found


def pairs_of_kinds(estate: Estate) -> Pairs:
    for actor, few, shape, of, _prepared, _plain in shapes(estate):
        found = of(actor, None)
        found = found if few is None else access.restricted(found, *few)
        if shape.tabs_of is gap_views._tabs and shape.tab == "":
            yield Pair(
                lambda shape=shape, actor=actor, few=few: sorted(
                    listing._by_kind(shape, gaps.by_kind).values(**params(actor, few, {})), key=repr
                ),
                lambda actor=actor, found=found: sorted(gaps.by_kind(actor, found), key=repr),
            )


def claim_some(estate: Estate) -> None:
    """Make claims that wait for their partner, and approved ones that their customer may decline, or could have."""
    now = timezone.now()
    for place, partner in enumerate(estate.partners[:3] * 4):
        of = {"customer": estate.customers[place % 2], "partner": partner, "company": partner.organisation}
        said = {"number": f"CPR-W{place}", "program": "osu_m365", "role": "usage", "origin": "api"}
        due = now + timedelta(days=estate.chance.choice([1, 2, 3]))
        waits: dict[str, Any] = {"status": "action_required", "due_at": due}
        if place >= 6:
            term = {"approved_at": now, "consent_due_at": due - timedelta(days=place % 3)}
            waits = {"status": "approved", "consent": "pending", **term}
        defaults = {"created_at": now, "submitted_at": now, **waits}
        Claim.objects.update_or_create(**of, **said, defaults=defaults)


def pairs_of_claims_due(estate: Estate) -> Pairs:
    claim_some(estate)
    for actor in actors(estate, "partner"):
        plain = Claim.objects.filter(partner__in=partners_of(actor), status="action_required")
        plain = plain.select_related("customer__organisation").order_by("due_at", "pk")[:4]
        yield pair(claims._next_due(Reader.of(actor), 4), plain, organisation=actor.organisation_id)


def pairs_of_consent(estate: Estate) -> Pairs:
    claim_some(estate)
    for actor in actors(estate, "customer"):
        now = timezone.now()
        plain = Claim.objects.filter(customer=actor.organisation_id, status="approved", consent="pending")
        plain = plain.filter(consent_due_at__gt=now).select_related("customer__organisation", "partner__organisation")
        plain = plain.order_by("consent_due_at", "pk")[:2]
        yield pair(customer_claims._waiting_for_consent(2), plain, organisation=actor.organisation_id, now=now)


HELD: dict[str, Callable[[Estate], Pairs]] = {
    "associations.claims.queries.claims._next_due": pairs_of_claims_due,
    "associations.claims.queries.customers._waiting_for_consent": pairs_of_consent,
    "associations.change_requests.queries._next_due": pairs_of_due,
    "associations.gaps.queries._records": pairs_of_gaps,
    "associations.invitations.queries._INVITED": pairs_of_invited,
    "associations.invitations.queries._waiting": pairs_of_waiting,
    "associations.legacy_forms.templatetags._forms": pairs_of_forms,
    "associations.record.access._heads": pairs_of_heads,
    "associations.record.access._newest_of_chain": pairs_of_chain,
    "associations.record.access._newest_of_partner": pairs_of_newest,
    "associations.record.former._at_end": pairs_of_ends,
    "associations.record.holdings._COUNTED": pairs_of_holdings,
    "associations.record.queries._RECORDS": pairs_of_records,
    "associations.record.queries._visible": pairs_of_visible,
    "associations.record.sums._MOST_CHANGED": pairs_of_changes,
    "associations.record.sums._READ": pairs_of_sums,
    "associations.record.timeline._OWN_MPN_IDS": pairs_of_own_ids,
    "associations.record.timeline._seen": pairs_of_seen,
    "associations.subscriptions.views.listing._by_kind": pairs_of_kinds,
    "associations.subscriptions.views.listing.subscription_listing.prepared": pairs_of_pages,
    "por.accounts.middleware._MEMBERSHIPS": pairs_of_memberships,
    "por.accounts.models._BY_KEY": pairs_of_people,
    "por.accounts.sessions._OPEN": pairs_of_sessions,
    "por.portal.queries._waiting": pairs_of_badges,
    "por.notifications.queries._UNREACHED": pairs_of_unreached,
    "por.portal.queries.OwnSubscriptions.counts": pairs_of_home("counts"),
    **{f"por.portal.queries.{name}": pairs_of_home(name) for name in ("_RENEWING", "_WITHOUT")},
    "associations.record.access._NEWEST_IMPORT": pairs_of_imports,
}
