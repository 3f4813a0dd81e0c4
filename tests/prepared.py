"""A random estate, and each prepared query of the product beside its plain queryset."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

from django.db import OperationalError, connection, models, transaction
from django.db.models import Case, Exists, OuterRef, When
from django.db.models.functions import Greatest
from django.utils import timezone

from associations.attaching.actions.attach import attach, remove
from associations.change_requests import actions as change_requests
from associations.change_requests import queries as questions
from associations.change_requests.models import ChangeRequest, Statement, challengers_for_listing
from associations.change_requests.schemas import question_shape, question_shapes
from associations.record import access, events, locking, usage
from associations.record.access import Reader, restrict_to_ids, subscriptions_visible_to, usage_visible_to
from associations.record.models import Association
from associations.record.queries import subscriptions_for_listing
from associations.subscriptions import forms, records, schemas, searching
from associations.subscriptions.forms import SubscriptionFilter
from associations.subscriptions.searching import Matches
from por.accounts import actions as accounts
from por.accounts.models import Actor, Membership, Organisation, Token, keys_below
from por.db.keyset import Prepared, read_part, read_parts
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import Customer, Partner, ServicePlan, Sku, Subscription, Usage
from por.directory.rules import Agreement, Product
from por.web.filters import ids_from
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription, suspend

FIRST = date(2025, 1, 1)


# --- A random estate ------------------------------------------------------------------------------------------------


@dataclass
class Estate:
    """Rows at random, the readers of them by name, and the secrets of tokens. The seed makes the same estate again."""

    seed: int
    chance: random.Random
    readers: dict[str, Actor] = field(default_factory=dict)
    customers: list[Customer] = field(default_factory=list)
    partners: list[Partner] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)


def make_estate(seed: int) -> Estate:
    made = Estate(seed, random.Random(seed))
    _people(made)
    _subscriptions(made)
    _record(made)
    _tokens(made)
    return made


def _people(made: Estate) -> None:
    above = make_partner("Hela Norden AB", kind=Partner.Kind.GLOBAL)
    below = [make_partner(f"Norden {number} AB", parent=above.organisation) for number in range(2)]
    largest, small, none = (make_partner(f"{name} AB") for name in ("Stor", "Liten", "Utan"))
    made.partners = [largest, *below, small, none]
    made.customers = [make_customer(f"Kund {number} AB", domain=f"kund{number}.example") for number in range(5)]
    made.readers = {
        "staff": make_staff(),
        "customer": make_member(made.customers[0].organisation),
        "largest partner": make_member(largest.organisation),
        "small partner": make_member(small.organisation),
        "global account": make_member(above.organisation),
        "partner of none": make_member(none.organisation),
    }


def _subscriptions(made: Estate) -> None:
    choose = made.chance.choice
    for _ in range(70):
        one = make_subscription(
            choose(made.customers[:4]),
            product=choose(["office365", "office365", "azure", "intune"]),
            sku_string_id=choose(["ENTERPRISEPACK", "INTUNE_A"]),
            agreement=choose(["EA", "CSP", "MOSP"]),
            status=choose(["active"] * 6 + ["grace", "expired"]),
            renews_on=choose([None, *(FIRST + timedelta(days=300 * number) for number in range(4))]),
            is_trial=choose([True, False]),
            seats=choose([None, 7, 420]),
        )
        made.subscriptions.append(one)
        for workload, month in {(choose(["exo", "spo"]), made.chance.randrange(1, 7)) for _ in range(5)}:
            figures = {"paid_units": choose([None, 5, 9]), "active_users": choose([None, 3]), "consumed_usd": "1.50"}
            Usage.objects.create(subscription=one, workload=workload, month=date(2026, month, 1), **figures)


def _record(made: Estate) -> None:
    """Attach and remove at random: half of it to the largest partner. Some proposals open change requests."""
    chance, (largest, *others, small, _none) = made.chance, made.partners
    admins = {one.pk: make_member(one.organisation) for one in made.customers}
    active = [one for one in made.subscriptions if one.status == "active"]
    for one in chance.sample(active, len(active) - 8):
        partner, by = chance.choice([largest, largest, *others]), admins[one.customer_id]
        attach(one.subscription_id, partner.mpn_id, by=by)
        if chance.random() < 0.3:
            remove(one.subscription_id, by=by)
        elif chance.random() < 0.5:
            rivals = [other for other in [largest, *others, small] if other != partner]
            for rival in chance.sample(rivals, chance.choice([1, 1, 2])):
                request = attach(one.subscription_id, rival.mpn_id, by=by).request
            if request is None:  # a location of the same company: the record has moved
                continue
            if chance.random() < 0.5:
                change_requests.submit_statement(request.pk, "We run it.", by=make_member(rival.organisation))
            if chance.random() < 0.4:
                # The first rival may be a location of the same company, to which the record has moved since.
                party = chance.choice(list(request.parties().values()))
                change_requests.answer(request.pk, party.mpn_id, by=by)
    free = [one for one in active if not Association.objects.of_record().filter(subscription=one).exists()]
    for one in free[:2]:
        attach(one.subscription_id, small.mpn_id, by=admins[one.customer_id])
    began = {"began_at": datetime(2025, 1, 1, tzinfo=UTC), "source": "estate"}
    Association.objects.create(kind="delegated_admin", partner=small, customer=made.customers[1], **began)
    csp = made.subscriptions[0]
    Association.objects.create(kind="csp", partner=small, customer=csp.customer, subscription=csp, **began)
    _claims(made, began)


def _claims(made: Estate, began: dict[str, Any]) -> None:
    """Let partners claim workloads and subscriptions at random, one of a time for each; the largest has none."""
    chance, claimants = made.chance, made.partners[1:]
    for customer, workload in product(made.customers, ["exo", "spo", "intune"]):
        ended_at = chance.choice([None, datetime(2026, 4, 1, tzinfo=UTC)])
        undone_at = chance.choice([None, None, None, datetime(2026, 5, 1, tzinfo=UTC)])
        Association.objects.create(
            kind="cpor", program="osu_m365", role="usage", workload=workload, customer=customer,
            partner=chance.choice(claimants), ended_at=ended_at, undone_at=undone_at, **began,
        )  # fmt: skip
    for one in chance.sample(made.subscriptions, 8):
        Association.objects.create(
            kind="cpor", program="osu_bizapps", role="usage", customer=one.customer, subscription=one,
            partner=chance.choice(claimants), ended_at=chance.choice([None, datetime(2026, 4, 1, tzinfo=UTC)]), **began,
        )  # fmt: skip


def _tokens(made: Estate) -> None:
    for reader in [*made.readers.values(), make_member(made.customers[4].organisation)]:
        assert reader.user
        assert reader.organisation
        token, secret = accounts.create_token(reader.user, reader.organisation, name="program", read_only=False)
        made.secrets.append(secret)
    accounts.revoke_token(reader.user, token.pk)
    # A reader has the keys below its organisation, as a request with its token does.
    for name, secret in zip(made.readers, made.secrets, strict=False):
        actor = accounts.actor_of_token(secret)
        assert actor is not None
        made.readers[name] = actor
    gone = [make_member(made.customers[4].organisation) for _ in range(2)]
    for reader in gone:
        assert reader.user
        assert reader.organisation
        made.secrets.append(accounts.create_token(reader.user, reader.organisation, name="old", read_only=True)[1])
    suspend(gone[0])
    Membership.objects.filter(user=gone[1].user).delete()


# --- Each prepared query beside its plain queryset ------------------------------------------------------------------


def told(row: Any) -> Any:
    """Return a row as plain values: of a model its fields, its annotations and the models that came with it."""
    if not isinstance(row, models.Model):
        return row
    own = {name: value for name, value in row.__dict__.items() if name != "_state"}
    forward = {field.name for field in row._meta.concrete_fields}
    return type(row).__name__, own, {n: told(one) for n, one in row._state.fields_cache.items() if n in forward}


@dataclass(frozen=True)
class Pair:
    """What the prepared query returns, and what the plain one does: in the same order, if that has one."""

    prepared: Callable[[], list[Any]]
    plain: Callable[[], Any]
    within: Callable[[], AbstractContextManager[Any]] = nullcontext

    def compare(self, *, forget: bool) -> tuple[list[Any], list[Any]]:
        """Return the rows of both, with the plain ones first. On request the server has just forgotten everything."""
        with self.within():
            plain = self.plain()
            expected = [told(row) for row in plain]
        if forget:
            forget_all()
            if self.within is transaction.atomic:  # it is rolled back, and can be done again
                with suppress(OperationalError), self.within():
                    self.prepared()
        with self.within():
            found = [told(row) for row in self.prepared()]
        if isinstance(plain, models.QuerySet) and not plain.ordered:
            return sorted(expected, key=repr), sorted(found, key=repr)
        return expected, found


SEARCHES = ["norden", "stor", "kund", "kund 1", "KUND2.example", "office", "intune", "100%_", "a\\b"]


def pairs_of_lists(estate: Estate) -> Iterator[Pair]:
    """Yield lists with filters at random, whole and by parts, for readers whose keys are few and many."""
    chance, days = estate.chance, ["", "2025-06-01", "2027-01-01"]
    tenants = ["", "7f000000-0000-4000-8000-000000000000", *(str(one.tenant_id) for one in estate.customers[:2])]
    choices = {
        "product": ["", "", *Product.values],
        "agreement": ["", "", *Agreement.values],
        "status": ["", "", *Subscription.Status.values],
        "partner_of_record": ["", "none", "none", "4199999", *(one.mpn_id for one in estate.partners[:2])],
        "search": ["", "", *SEARCHES],
        "renews_before": days,
        "tenant_id": tenants,
    }
    orders = [("pk",), ("customer_name", "-pk")]
    for turn in range(10):
        given = {name: chance.choice(values) for name, values in choices.items() if turn and chance.random() < 0.35}
        form = SubscriptionFilter(given)
        assert form.is_valid(), form.errors
        for actor in [*estate.readers.values(), Actor(user=None, organisation=None)]:
            yield _pair_of_lists(form, actor, orders[turn % 2])


def _pair_of_lists(form: SubscriptionFilter, actor: Actor, order: tuple[str, ...]) -> Pair:
    def plain() -> Any:
        visible = restrict_to_ids(subscriptions_for_listing(actor), actor)
        return schemas.subscription_values(form.apply(visible, actor))

    def parts(rows: Any) -> list[Any]:
        """Return the list by parts, the second of them there and back, so that all its queries are asked."""
        found: list[Any] = list(read_parts(rows, order, 7))
        first = read_part(rows, order, 3)
        found.append(first.rows)
        if first.next:
            second = read_part(rows, order, 3, first.next)
            found += [second.rows, read_part(rows, order, 3, second.previous).rows]
        return found

    def prepared() -> list[Any]:
        rows = form.listed(actor)
        assert isinstance(rows, Prepared)
        return parts(rows)

    return Pair(prepared, lambda: parts(plain()))


def pairs_of_names(estate: Estate) -> Iterator[Pair]:
    """Yield what has a text in its name: all of it, and as many of each kind as are counted as few."""
    tenant = str(estate.customers[0].tenant_id)
    for text in (*SEARCHES, "abc", tenant, tenant[:9], estate.partners[0].mpn_id):
        ids = ids_from(text)
        given = {"text": text, "first_id": ids and ids[0], "last_id": ids and ids[1]}
        named = Organisation.objects.filter(name__icontains=text)
        kinds = [
            ("customer", named.filter(kind="customer")),
            ("customer", Customer.objects.filter(domain__icontains=text)),
            ("customer", Customer.objects.filter(tenant_id__range=ids) if ids else Customer.objects.none()),
            ("partner", named.filter(kind="partner")),
            ("partner", Partner.objects.filter(mpn_id=text)),
        ]
        skus = [("sku", pk) for pk in Sku.objects.filter(name__icontains=text).values_list("pk", flat=True)]
        for few in (2, 1000):
            found = [(kind, pk) for kind, rows in kinds for pk in rows.values_list("pk", flat=True)[: few + 1]]
            names = searching._names(has_ids=ids is not None, few=few)

            def asked(names: Any = names, given: Any = given, few: int = few) -> list[Any]:
                return sorted(kind if few == 2 else (kind, pk) for kind, pk in names.values(**given))

            expected = sorted(kind if few == 2 else (kind, pk) for kind, pk in found + skus)
            yield Pair(asked, lambda expected=expected: expected)


def pairs_of_held(estate: Estate) -> Iterator[Pair]:
    for actor in estate.readers.values():
        for text, partners in (("Stor AB", [estate.partners[0].pk]), ("AB", searching.MANY)):
            matches = Matches(text, partners=partners)
            asked = searching._held(Reader.of(actor), matches.shape, 1000)
            given = {"organisation": actor.organisation_id, **matches.params}
            held = Association.objects.open().of_record().visible_to(actor)
            plain = held.filter(partner__organisation__name__icontains=text).values_list("subscription")
            yield Pair(
                lambda asked=asked, given=given: sorted(asked.values(**given)), lambda plain=plain: sorted(plain)
            )


def pairs_of_locked(estate: Estate) -> Iterator[Pair]:
    for actor in estate.readers.values():
        for one in estate.subscriptions[:15]:
            given = {"organisation": actor.organisation_id, "subscription": one.subscription_id}
            seen = subscriptions_visible_to(actor).select_related("customer__organisation", "sku")
            yield Pair(
                lambda actor=actor, given=given: locking._to_change(actor.kind).all(**given),
                lambda seen=seen, one=one: seen.filter(subscription_id=one.subscription_id),
                transaction.atomic,
            )


def pairs_of_questions(estate: Estate) -> Iterator[Pair]:
    keys = [one.pk for one in estate.subscriptions]
    for actor in estate.readers.values():
        for ids in ([], keys, estate.chance.sample(keys, 20)):
            asked = questions._open_requests(Reader.of(actor))
            given = {"organisation": actor.organisation_id, "subscriptions": ids}
            seen = ChangeRequest.objects.visible_to(actor).open().filter(subscription__in=ids)
            plain = seen.select_related("incumbent__partner__organisation").annotate(
                has_statement=questions._HAS_STATEMENT
            )
            yield Pair(lambda asked=asked, given=given: asked.all(**given), plain.all)


def pairs_of_shapes(estate: Estate) -> Iterator[Pair]:
    keys = [one.pk for one in estate.subscriptions]
    for actor in estate.readers.values():
        for ids in ([], keys, estate.chance.sample(keys, 20)):
            plain = questions.requests_for_listing(actor).open().filter(subscription__in=ids)
            yield Pair(
                lambda actor=actor, ids=ids: sorted(question_shapes(actor, ids).items()),
                lambda actor=actor, plain=plain: sorted(
                    (one.request.subscription_id, question_shape(one))
                    for one in questions.visible_requests(actor, plain)
                ),
            )


def pairs_of_usage(estate: Estate) -> Iterator[Pair]:
    keys = [one.pk for one in estate.subscriptions]
    for day in (date(2026, 3, 31), date(2026, 12, 31)):
        for ids in ([], keys, estate.chance.sample(keys, 20)):
            seen = usage_visible_to(estate.readers["staff"]).filter(subscription__in=ids)
            yield Pair(
                lambda ids=ids, day=day: sorted(usage._NEWEST.rows({"ids": ids, "until": day})),
                lambda seen=seen, day=day: [
                    (pk, one.month, one.paid_units, one.active_users, one.consumed_usd)
                    for pk, one in sorted(usage.latest_usage(seen, day).items())
                ],
            )


def pairs_of_own(estate: Estate) -> Iterator[Pair]:
    for actor in estate.readers.values():
        if actor.kind == "partner":
            own = Association.objects.not_undone().visible_to(actor)
            direct = own.filter(workload="").values_list("subscription", "customer")
            claimed = Subscription.objects.filter(_has_claimed_workload(own)).values_list("pk", "customer")
            yield Pair(
                lambda actor=actor: sorted(set(access._own(Reader.of(actor)).values()), key=repr),
                lambda direct=direct, claimed=claimed: sorted({*direct, *claimed}, key=repr),
            )


def _has_claimed_workload(own: Any) -> Any:
    """Return the condition that a subscription has a workload of its tenant that one of these claims is of."""
    plans = ServicePlan.objects.filter(skus=OuterRef(OuterRef("sku")), workload=OuterRef("workload"))
    return Exists(own.filter(Exists(plans), customer=OuterRef("customer")).exclude(workload=""))


def pairs(query: Any, plain: Callable[[Any], Any], name: str, values: Callable[[Estate], list[Any]]) -> Any:
    """Return the pairs of a query with one parameter, for each of the values that an estate has for it."""

    def made(estate: Estate) -> Iterator[Pair]:
        for value in values(estate):
            yield Pair(lambda value=value: query.all(**{name: value}), lambda value=value: plain(value))

    return made


def _lists_of(model: type[models.Model]) -> Callable[[Estate], list[list[int]]]:
    def lists(estate: Estate) -> list[list[int]]:
        keys = list(model.objects.values_list("pk", flat=True))  # type: ignore[attr-defined]
        return [[], [0], keys, *(estate.chance.sample(keys, len(keys) // 3) for _ in range(4))]

    return lists


def _keys(estate: Estate) -> list[int]:
    return [0, *(one.pk for one in estate.subscriptions)]


def _usable_token(secret: str) -> Any:
    member = Membership.objects.filter(user=OuterRef("user"), organisation=OuterRef("organisation"))
    usable = Token.objects.filter(digest=Token.digest_of(secret), revoked_at=None, user__is_active=True)
    below = keys_below("organisation")
    return usable.select_related("user", "organisation").annotate(role=member.values("role"), below=below)


def _by_digest(estate: Estate) -> Iterator[Pair]:
    for secret in [*estate.secrets, "por_unknown"]:
        digest = Token.digest_of(secret)
        yield Pair(
            lambda digest=digest: accounts._USABLE_TOKEN.all(digest=digest),
            lambda secret=secret: _usable_token(secret),
        )


def _records(estate: Estate) -> Iterator[Pair]:
    day = timezone.now().date()
    for actor in estate.readers.values():
        for ids in _lists_of(Subscription)(estate):
            yield Pair(
                lambda actor=actor, ids=ids: sorted(records.records_of(actor, ids, None).items()),
                lambda actor=actor, ids=ids: sorted(_plain_records(actor, ids, day).items()),
            )


def _plain_records(actor: Actor, ids: list[int], day: date) -> dict[int, records.Record]:
    held = Association.objects.open().of_record().filter(subscription__in=ids).select_related("partner__organisation")
    of_record = {one.subscription_id: one for one in held}
    if actor.kind == "partner":
        own = set(partners_of(actor).values_list("pk", flat=True))
        ids_seen = [pk for pk, one in of_record.items() if one.partner_id in own]
    else:
        ids_seen = ids
    months = usage.latest_usage(Usage.objects.current().filter(subscription__in=ids_seen), day)
    contested = set(ChangeRequest.objects.open().values_list("subscription", flat=True))
    found = {}
    for pk in ids:
        partner: tuple[Any, ...] = (None,) * 8
        if one := of_record.get(pk):
            organisation = one.partner.organisation
            partner = (one.partner_id, organisation.parent_id, one.partner.mpn_id, organisation.name)
            partner = (*partner, one.began_at, one.ended_at, one.source, pk in contested)
        found[pk] = records.Record(*partner, *months.get(pk, (None,) * 4))
    return found


def _latest(subscription: int) -> Any:
    is_open = Case(When(ended_at=None, undone_at=None, then=0), default=1)
    last = Greatest("began_at", "ended_at", "attached_at", "undone_at", "reopened_at", "redated_at").desc()
    return Association.objects.of_record().filter(subscription=subscription).order_by(is_open, last)[:2]


def _locked_partner(estate: Estate) -> Iterator[Pair]:
    for mpn_id in ["999", *(one.mpn_id for one in estate.partners)]:
        plain = Partner.objects.select_related("organisation").filter(mpn_id=mpn_id).exclude(status="closed")
        yield Pair(lambda mpn_id=mpn_id: directory._LOCKED_BY_ID.all(mpn_id=mpn_id), plain.all, transaction.atomic)


def pairs_of_holders(estate: Estate) -> Iterator[Pair]:
    for mpn_id in ["999", *(one.mpn_id for one in estate.partners)]:
        plain = Partner.objects.filter(mpn_id=mpn_id).values_list("pk")
        yield Pair(lambda mpn_id=mpn_id: forms._BY_MPN_ID.values(mpn_id=mpn_id), plain.all)


#: What holds each prepared query of the product. A new one needs a line here.
HELD: dict[str, Callable[[Estate], Iterator[Pair]]] = {
    "associations.change_requests.actions._REQUESTS_OF": pairs(
        change_requests._REQUESTS_OF,
        lambda pk: ChangeRequest.objects.filter(subscription=pk).order_by("opened_at", "pk"),
        "subscription",
        _keys,
    ),
    "associations.change_requests.queries._CHALLENGERS": pairs(
        questions._CHALLENGERS,
        lambda ids: challengers_for_listing().filter(request__in=ids),
        "requests",
        _lists_of(ChangeRequest),
    ),
    "associations.change_requests.queries._STATEMENTS": pairs(
        questions._STATEMENTS,
        lambda ids: Statement.objects.filter(request__in=ids),
        "requests",
        _lists_of(ChangeRequest),
    ),
    "associations.change_requests.queries._open_questions": pairs_of_shapes,
    "associations.change_requests.queries._open_requests": pairs_of_questions,
    "associations.record.access._own": pairs_of_own,
    "associations.record.events._ASSOCIATION": pairs(
        events._ASSOCIATION,
        lambda pk: Association.objects.filter(pk=pk).select_related("partner", "subscription"),
        "association",
        lambda estate: [0, *Association.objects.order_by("pk").values_list("pk", flat=True)[:40]],
    ),
    "associations.record.events._SUBSCRIPTION": pairs(
        events._SUBSCRIPTION,
        lambda pk: Subscription.objects.filter(subscription_id=pk).select_related("customer__organisation", "sku"),
        "id",
        lambda estate: [uuid.UUID(int=7), *(str(one.subscription_id) for one in estate.subscriptions[:12])],
    ),
    "associations.record.locking._ALL": pairs(
        locking._ALL,
        lambda pk: (
            Association.objects.of_record()
            .filter(subscription=pk)
            .select_related("partner__organisation")
            .order_by("attached_at", "pk")
        ),
        "subscription",
        _keys,
    ),
    "associations.record.locking._LATEST": pairs(locking._LATEST, _latest, "subscription", _keys),
    "associations.record.locking._PARTNER": pairs(
        locking._PARTNER,
        lambda pk: Partner.objects.filter(pk=pk).select_related("organisation"),
        "partner",
        lambda estate: [0, *(one.pk for one in estate.partners)],
    ),
    "associations.record.locking._to_change": pairs_of_locked,
    "associations.record.usage._NEWEST": pairs_of_usage,
    "associations.subscriptions.forms.SubscriptionFilter.listed": pairs_of_lists,
    "associations.subscriptions.forms._BY_MPN_ID": pairs_of_holders,
    "associations.subscriptions.records._with_usage": _records,
    "associations.subscriptions.searching._held": pairs_of_held,
    "associations.subscriptions.searching._names": pairs_of_names,
    "por.accounts.actions._USABLE_TOKEN": _by_digest,
    "por.directory.actions._LOCKED_BY_ID": _locked_partner,
}


def forget_all() -> None:
    """Let the server forget all statements, without telling those who have prepared them."""
    with connection.cursor() as cursor:
        cursor.execute("DISCARD ALL")
