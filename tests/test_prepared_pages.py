"""The prepared queries of pages return what plain querysets return, to every reader, and no reader gets another's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, Model
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from associations.attaching.actions.attach import attach, remove
from associations.change_requests.queries import next_due, requests_for_listing
from associations.gaps import views as gaps
from associations.invitations.actions import invite
from associations.invitations.models import Invitation
from associations.invitations.queries import waiting_for
from associations.legacy_forms import views as legacy_forms
from associations.record import access, queries, timeline
from associations.record.access import (
    all_visible_to,
    events_visible_to,
    newest_events,
    restrict_to_ids,
    subscriptions_visible_to,
)
from associations.record.models import Association
from associations.subscriptions.forms import ListShape, SubscriptionFilter, params
from associations.subscriptions.views import customer as customers
from associations.subscriptions.views import partner as partners
from associations.subscriptions.views.listing import PageShape, everything, of_any_partner
from por.accounts.middleware import _MEMBERSHIPS
from por.accounts.models import Actor, Membership, keys_below
from por.db.keyset import Prepared, read_part
from por.directory.access import partners_of
from por.directory.models import Subscription
from por.notifications.models import Notification
from por.portal.queries import FEW, OwnSubscriptions, waiting
from por.portal.views import usage
from por.web.lists import Listing, count_of
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

READERS = ["customer", "other customer", "partner", "location", "partner of none", "staff"]


@pytest.fixture(scope="module")
def readers(shared: None) -> dict[str, Actor]:
    """Two customers, a global account with a location, and a partner with nothing, each with something of its own."""
    today = timezone.now().date()
    above = make_partner("Hela Norden AB", kind="global")
    location = make_partner("Norden Syd AB", parent=above.organisation)
    rival, none = make_partner("Rival AB"), make_partner("Utan AB")
    mine, other = make_customer("Almvik AB"), make_customer("Ekholmen AB")
    admins = {one.pk: make_member(one.organisation) for one in (mine, other)}
    for customer in (mine, mine, mine, mine, other):
        for renews_on in (None, today + timedelta(days=20), today + timedelta(days=200)):
            make_subscription(customer, renews_on=renews_on, seats=len(customer.organisation.name))
    for number, one in enumerate(Subscription.objects.order_by("pk")):
        if number % 3:
            attach(one.subscription_id, location.mpn_id, by=admins[one.customer_id])
        if number % 3 == 2:
            attach(one.subscription_id, rival.mpn_id, by=admins[one.customer_id])
    free = Subscription.objects.filter(associations=None, customer=mine)
    by = make_member(rival.organisation)
    for one in free[:2]:
        invite(mine.tenant_id, [one.subscription_id], by=by)
    found = {
        "customer": admins[mine.pk],
        "other customer": admins[other.pk],
        "partner": make_member(above.organisation),
        "location": make_member(location.organisation),
        "partner of none": make_member(none.organisation),
        "staff": make_staff(),
    }
    return {name: _as_in_a_request(actor) for name, actor in found.items()}


def _as_in_a_request(actor: Actor) -> Actor:
    """Return the actor with the keys of the organisations below its own, as the middleware gives it."""
    assert actor.user
    (membership,) = _MEMBERSHIPS.all(user=actor.user.pk)
    return Actor(
        user=actor.user,
        organisation=membership.organisation,
        role=membership.role,
        below=tuple(membership.below),  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("reader", READERS)
def test_reader_of_a_page_is_the_person_who_signed_in(readers: dict[str, Actor], reader: str) -> None:
    user = readers[reader].user
    assert user
    plain = Membership.objects.select_related("organisation").filter(user=user)
    plain = plain.annotate(below=keys_below("organisation"))
    found = _MEMBERSHIPS.all(user=user.pk)
    assert [(one.pk, one.organisation, one.role, one.below) for one in found] == [  # type: ignore[attr-defined]
        (one.pk, one.organisation, one.role, one.below) for one in plain
    ]
    lines = Notification.objects.visible_to(readers[reader]).open()
    assert waiting(readers[reader])["inbox"] == lines.count()


@pytest.mark.parametrize("reader", READERS)
def test_all_of_a_list_are_those_that_the_reader_may_see(readers: dict[str, Actor], reader: str) -> None:
    by_condition, by_key = subscriptions_visible_to(readers[reader]), all_visible_to(readers[reader])
    assert list(by_key.order_by("pk")) == list(by_condition.order_by("pk"))
    assert (by_key & Subscription.objects.filter(product="office365")).count() == by_condition.filter(
        product="office365"
    ).count()


def test_tabs_of_a_large_partner_are_counted_again_only_after_an_event(
    readers: dict[str, Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FEW", 0)
    actor, customer = readers["partner"], make_customer()
    web, admin = signed_in(actor), make_member(customer.organisation)
    location = partners_of(actor).filter(kind="location")[0]

    def counts() -> dict[str, int]:
        return {str(tab.label): tab.count for tab in web.get("/p/subscriptions/").context["tabs"]}

    plain = {str(tab.label): tab.filter(of_any_partner(actor, None)) for tab in partners._tabs(actor, None)}
    assert counts() == {label: found.count() for label, found in plain.items()}
    with CaptureQueriesContext(connection) as again:
        counts()
    assert not [one["sql"] for one in again if "COUNT(" in one["sql"]]
    attach(make_subscription(customer).subscription_id, location.mpn_id, by=admin)
    assert counts() == {label: found.count() for label, found in plain.items()}


@pytest.mark.parametrize("seed", range(3))
def test_gaps_of_a_large_partner_are_the_plain_ones_after_each_change_of_a_customer(
    readers: dict[str, Actor], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The partner is told of no change of a subscription that it only serves, but its gaps depend on it."""
    monkeypatch.setattr(access, "FEW", 0)
    chance, actor, customer = random.Random(seed), readers["partner"], make_customer("Skog AB", domain="skog.example")
    web, admin = signed_in(actor), make_member(customer.organisation)
    location, others = partners_of(actor).filter(kind="location")[0], [make_partner(f"Annan {n} AB") for n in range(2)]
    for number in range(8):
        one = make_subscription(customer, renews_on=timezone.now().date() + timedelta(days=20 * number))
        if number % 2:
            attach(one.subscription_id, location.mpn_id, by=admin)
    mine = list(Subscription.objects.filter(customer=customer))

    def differing() -> list[str]:
        visible = subscriptions_visible_to(actor)
        plain = {tab.key: tab.filter(visible).order_by(*queries.BY_CUSTOMER) for tab in gaps._tabs(actor, None)}
        wrong = []
        for key, found in plain.items():
            shown = web.get("/p/gaps/", {"view": key}).context
            counts = {str(tab.url).rpartition("=")[2] if "=" in tab.url else "": tab.count for tab in shown["tabs"]}
            if [gap.subscription for gap in shown["gaps"]] != list(found):
                wrong.append(f"rows of {key!r}")
            if counts != {name: rows.count() for name, rows in plain.items()}:
                wrong.append(f"counts at {key!r}")
        return wrong

    assert differing() == []
    with CaptureQueriesContext(connection) as again:
        web.get("/p/gaps/")
    assert not [one["sql"] for one in again if "COUNT(" in one["sql"] and "history_chainhead" not in one["sql"]]
    for _ in range(8):
        one = chance.choice(mine)
        if Association.objects.open().of_record().filter(subscription=one).exists():
            remove(one.subscription_id, by=admin)
        else:
            attach(one.subscription_id, chance.choice([location, *others]).mpn_id, by=admin)
        assert differing() == []


@pytest.mark.parametrize("reader", READERS[:-1])
def test_what_a_home_shows_is_the_readers_own(readers: dict[str, Actor], reader: str) -> None:
    actor = readers[reader]
    due = requests_for_listing(actor).open().order_by("due_at", "pk")
    assert [one.request for one in next_due(actor, 3)] == list(due[:3])
    assert [[side.partner for side in one.sides] for one in next_due(actor, 3)] == [
        list(one.parties().values()) for one in due[:3]
    ]
    events = newest_events(actor, 4)
    assert events == list(events_visible_to(actor).order_by("-id")[:4])
    own = timeline.own_mpn_ids(actor)
    if actor.kind == "partner":
        assert own == set(partners_of(actor).values_list("mpn_id", flat=True))
        ids = {str(one.subscription_id) for one in Subscription.objects.all()}
        seen = Association.objects.not_undone().visible_to(actor)
        mine = {str(one.subscription.subscription_id) for one in seen if one.subscription}
        assert timeline._known(actor, [_Named(one) for one in ids]).pages == mine
    else:
        assert own is None


class _Named:
    """An event about a subscription, as far as a timeline looks which pages its reader may open."""

    object_kind = "subscription"

    def __init__(self, object_id: str) -> None:
        self.object_id = object_id


@pytest.mark.parametrize("reader", READERS[:2])
def test_home_of_a_customer_counts_and_shows_its_own_subscriptions(readers: dict[str, Actor], reader: str) -> None:
    actor, today = readers[reader], timezone.now().date()
    own, plain = OwnSubscriptions(actor, today), queries.subscriptions_for_listing(actor)
    without, renewing = queries.without_partner(plain), queries.renewing(plain, today)
    assert own.counts() == [plain.count(), without.count(), renewing.count()]
    assert own.counts()[0] > 0 < own.counts()[2]
    assert own.without_partner() == list(without.order_by(F("seats").desc(nulls_last=True), "pk")[:FEW])
    assert own.renewing() == list(renewing.order_by("renews_on", "pk")[:FEW])
    later = OwnSubscriptions(actor, today + timedelta(days=100))
    assert later.counts()[2] == queries.renewing(plain, later.today).count()


def test_invitations_that_wait_come_with_what_they_name(
    readers: dict[str, Actor], django_assert_num_queries: Any
) -> None:
    for reader in READERS[:2]:
        actor = readers[reader]
        plain = Invitation.objects.visible_to(actor).for_listing().open().order_by("expires_at", "pk")
        waiting_for(actor, 3)
        with django_assert_num_queries(2 if plain else 1):
            found = waiting_for(actor, 3)
            named = [[one.subscription.name for one in invitation.invited.all()] for invitation in found]
        assert found == list(plain[:3])
        assert named == [[one.subscription.name for one in invitation.invited.all()] for invitation in plain[:3]]
    assert waiting_for(readers["customer"], 3)


# --- Lists ------------------------------------------------------------------------------------------------------------

PAGES: dict[str, tuple[Any, Any, Any]] = {
    "customer": (customers._tabs, queries.subscriptions_for_listing, everything),
    "partner": (partners._tabs, of_any_partner, everything),
    "gaps": (gaps._tabs, queries.subscriptions_for_listing, everything),
    "usage": (usage._partners_tabs, of_any_partner, everything),
    "legacy": (legacy_forms._tabs, queries.subscriptions_for_listing, legacy_forms._with_a_form),
}
FILTERS: list[dict[str, str]] = [
    {},
    {"product": "office365", "status": "active"},
    {"partner_of_record": "none"},
    {"renews_before": (date.today() + timedelta(days=100)).isoformat()},
    {"tenant_id": "7f000000-0000-4000-8000-000000000000"},
]


def pages_of(actor: Actor) -> Iterator[tuple[Any, Any, Any]]:
    for name, page in PAGES.items():
        if name == "gaps" or (name == "customer") == (actor.kind == "customer"):
            yield page


@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.crawl)], ids=["small", "large"])
@pytest.mark.parametrize("reader", READERS[:-1])
def test_page_of_a_prepared_tab_has_the_rows_and_the_count_of_the_plain_one(
    readers: dict[str, Actor], reader: str, few: bool
) -> None:
    actor, shown = readers[reader], 0
    filters = FILTERS if few and reader != "partner of none" else FILTERS[::3]  # some are enough to try the rest with
    keys: Any = (list(Subscription.objects.values_list("pk", flat=True)), []) if few else None
    for tabs_of, of, restrict in pages_of(actor):
        for tab in tabs_of(actor, None):
            for given in filters:
                form = SubscriptionFilter(given)
                assert form.is_valid(), form.errors
                assert form.is_simple
                plain = form.apply(tab.filter(restrict(actor, of(actor, None), None)), actor)
                values = form.cleaned_data
                shape = PageShape(
                    ListShape.of(actor, keys, values), timezone.now().date(), tabs_of, tab.key, of, restrict
                )
                prepared = Prepared(Subscription, shape, params(actor, keys, values), of_models=True)
                order = ("product", "pk")
                part, expected = read_part(prepared, order, 3), read_part(plain, order, 3)
                assert part.rows == expected.rows, (tab.key, given)
                assert [one.customer.organisation for one in part.rows] == [
                    one.customer.organisation for one in expected.rows
                ]
                assert count_of(prepared) == count_of(plain)
                some = [one.pk for one in list(plain)[::2]]
                only = replace(prepared, shape=replace(shape, only=True), given={**prepared.given, "only": some})
                assert read_part(only, order, 50).rows == list(plain.filter(pk__in=some).order_by(*order))
                if part.next:
                    second = read_part(prepared, order, 3, part.next)
                    assert second.rows == read_part(plain, order, 3, part.next).rows
                    assert read_part(prepared, order, 3, second.previous).rows == part.rows
                shown += len(part.rows)
    assert (shown > 0) == (reader != "partner of none")


def test_a_new_day_has_its_own_shape(readers: dict[str, Actor], monkeypatch: pytest.MonkeyPatch) -> None:
    """The SQL of a tab has the day in it, so it must not be used on the next one."""
    actor = readers["customer"]
    now = timezone.now()

    def renewing() -> int:
        listing = ListShape.of(actor, None, {})
        shape = PageShape(
            listing, timezone.now().date(), customers._tabs, "renewing", queries.subscriptions_for_listing, everything
        )
        return count_of(Prepared(Subscription, shape, params(actor, None, {}), of_models=True))

    before = renewing()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(days=400))
    assert renewing() == 0 < before
    monkeypatch.undo()
    assert renewing() == before


def test_rows_have_the_same_partners_prepared_and_not(readers: dict[str, Actor]) -> None:
    today = timezone.now().date()
    for reader in READERS[:-1]:
        actor = readers[reader]
        visible = list(restrict_to_ids(queries.subscriptions_for_listing(actor), actor).order_by("pk"))
        prepared, plain = (queries.rows(actor, visible, day) for day in (None, today))
        assert [(one.record, one.hidden, one.form) for one in prepared] == [
            (one.record, one.hidden, one.form) for one in plain
        ]


PAGES_OF = {
    "customer": ["/c/subscriptions/", "/c/usage/", "/c/gaps/"],
    "partner": ["/p/subscriptions/", "/p/usage/", "/p/gaps/", "/p/transition/"],
    "staff": ["/a/subscriptions/", "/a/gaps/"],
}


def test_no_page_of_a_list_reads_a_row_again(readers: dict[str, Actor], monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that the query of the list leaves out would be read by a query of its own, in each row."""
    began = {"kind": "osa_form", "began_at": timezone.now() - timedelta(days=90), "source": "estate"}
    for one in Subscription.objects.filter(associations__kind="dpor").select_related("customer").distinct():
        location = partners_of(readers["location"])[0]
        Association.objects.create(partner=location, customer=one.customer, subscription=one, **began)
    Subscription.objects.filter(pk__in=list(Subscription.objects.values_list("pk", flat=True))[::5]).update(
        missing_since=date(2026, 1, 1)
    )
    read_again: list[str] = []
    monkeypatch.setattr(
        Model, "refresh_from_db", lambda one, *_, fields=(), **__: read_again.append(f"{one!r} {fields}")
    )
    yesterday = timezone.now().date() - timedelta(days=1)
    for kind, pages in PAGES_OF.items():
        web = signed_in(readers[kind])
        for page in pages:
            views = [tab.url for tab in web.get(page).context["tabs"]] or [page]
            queried = ["?product=office365", "?search=Almvik", f"?as_of={yesterday}"]
            for address in [*views, *(f"{page}{query}" for query in queried)]:
                answer = web.get(address)
                assert answer.status_code == 200
                assert not read_again, address


def test_a_page_is_read_without_building_queries_anew(readers: dict[str, Actor]) -> None:
    """A list that can be prepared never builds its own rows: the base is only for the file and other counts."""

    def base() -> Any:
        raise AssertionError

    form = SubscriptionFilter({})
    request: Any = RequestFactory().get("/c/subscriptions/")
    request.actor = actor = readers["customer"]

    def build(tab: str, _filtered: bool) -> Prepared:
        of = queries.subscriptions_for_listing
        shape = PageShape(ListShape.of(actor, None, {}), timezone.now().date(), customers._tabs, tab, of, everything)
        return Prepared(Subscription, shape, params(actor, None, {}), of_models=True)

    shown = Listing[Any](
        request,
        base,  # type: ignore[arg-type]
        order=queries.BY_PRODUCT,
        form=form,
        tabs=customers._tabs(actor, None),
        count_text=str,
        prepared=build,
    )
    assert shown.page.rows
    assert [tab.count for tab in shown.context["tabs"]][0] == shown.page.rows[0].customer.subscriptions.count()
