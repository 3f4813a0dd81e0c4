"""The gap finder: what is a gap, why, since when, and what a partner must not learn from it."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from associations.gaps.queries import all_gaps, at_risk, count_of_gaps, counts, held_at_risk, lost, without
from associations.record import access
from associations.record.models import Association
from associations.record.queries import without_partner
from por.accounts import zones
from por.directory.models import Customer, Partner, Subscription
from por.web import lists
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import queries, signed_in

CUSTOMERS, PARTNERS = reverse("associations:customer_gaps"), reverse("associations:partner_gaps")
HALDEN = "Halden Konsult AB"


def today() -> date:
    """Return the day it is for the readers here, which begins before the UTC day."""
    return zones.day_in(zones.DEFAULT, timezone.now())


def ago(days: int) -> datetime:
    return datetime.combine(today() - timedelta(days=days), datetime.min.time(), UTC)


def associate(where: Subscription | Customer, partner: Partner, kind: str = "dpor", **fields: Any) -> Association:
    """Create an association as an import would."""
    subscription = where if isinstance(where, Subscription) else None
    customer = where.customer if isinstance(where, Subscription) else where
    given = {"began_at": ago(400), "source": "estate"} | fields
    return Association.objects.create(kind=kind, customer=customer, subscription=subscription, partner=partner, **given)


@pytest.fixture
def halden() -> Partner:
    return make_partner(HALDEN)


@pytest.fixture
def estate(customer: Customer, partner: Partner, halden: Partner) -> dict[str, Subscription]:
    """One subscription of each sort. Nordvik administers the tenant, so it sees them all."""
    far, started = today() + timedelta(days=300), today() - timedelta(days=500)

    def make(**fields: Any) -> Subscription:
        return make_subscription(customer, **({"renews_on": far, "started_on": started} | fields))

    found = {
        "well": make(),
        "free": make(),
        "removed": make(),
        "paused and free": make(status="grace"),
        "suspended and free": make(status="suspended"),
        "renewing": make(renews_on=today() + timedelta(days=90)),
        "not so soon": make(renews_on=today() + timedelta(days=91)),
        "in grace": make(status="grace", renews_on=today() - timedelta(days=9)),
        "expired": make(status="expired", renews_on=today() - timedelta(days=60)),
        "halden's": make(),
        "halden's, renewing": make(renews_on=today() + timedelta(days=10)),
        "halden's, expired": make(status="expired", renews_on=today() - timedelta(days=30)),
    }
    found["replacing"] = make(replaces=found["expired"], started_on=today() - timedelta(days=60))
    found["replacing halden's"] = make(replaces=found["halden's, expired"], started_on=today() - timedelta(days=30))
    for name in ("well", "renewing", "not so soon", "in grace"):
        associate(found[name], partner)
    for name in ("halden's", "halden's, renewing"):
        associate(found[name], halden)
    associate(found["removed"], partner, ended_at=ago(20), end_reason="removed")
    associate(found["expired"], partner, ended_at=ago(60), end_reason="subscription_expired")
    associate(found["halden's, expired"], halden, ended_at=ago(30), end_reason="subscription_expired")
    associate(customer, partner, "delegated_admin")
    return found


@pytest.fixture
def elin(customer: Customer) -> Client:
    return signed_in(make_member(customer.organisation))


@pytest.fixture
def maja(partner: Partner) -> Client:
    return signed_in(make_member(partner.organisation))


def shown(web: Client, address: str, estate: dict[str, Subscription]) -> dict[str, tuple[str, date | None]]:
    """Return the listed gaps by name, each with why and since when."""
    page = web.get(address)
    assert page.status_code == 200
    names = {subscription.pk: name for name, subscription in estate.items()}
    return {names[gap.subscription.pk]: (gap.why.value, gap.since) for gap in page.context["gaps"]}


def day(back: int) -> date:
    return today() - timedelta(days=back)


def test_customer_sees_every_gap_with_its_reason_and_day(elin, estate):
    without = {
        "free": ("none", day(500)),
        "removed": ("no_more", day(20)),
        "paused and free": ("none", day(500)),
    }
    risk = {"renewing": ("renews", None), "halden's, renewing": ("renews", None), "in grace": ("grace", day(9))}
    lost = {"replacing": ("replaced", day(60)), "replacing halden's": ("replaced", day(30))}
    # What replaces another one has no partner either, so it is in both tabs.
    assert shown(elin, f"{CUSTOMERS}?view=none", estate) == without | lost
    assert shown(elin, f"{CUSTOMERS}?view=risk", estate) == risk
    assert shown(elin, f"{CUSTOMERS}?view=lost", estate) == lost
    assert shown(elin, CUSTOMERS, estate) == without | risk | lost
    page = elin.get(CUSTOMERS)
    assert [tab.count for tab in page.context["tabs"]] == [8, 5, 3, 2]
    assert HALDEN in page.text, "the customer may see which partner it had"
    assert "Renew the subscription first. You cannot attach a partner until it is active." in page.text
    assert page.text.count("Attach partner<span") == 4


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "Pacific/Honolulu"])
def test_gaps_are_the_same_in_every_time_zone(partner, customer, zone):
    """An association that ended an hour before the UTC day of the renewal did not end with the subscription."""
    actor = make_member(partner.organisation)
    expired = {
        hours: make_subscription(customer, status="expired", renews_on=today() - timedelta(days=30)).pk
        for hours in (-1, 0, 23)
    }
    for hours, pk in expired.items():
        associate(Subscription.objects.get(pk=pk), partner, ended_at=ago(30) + timedelta(hours=hours))
    with timezone.override(zone):
        found = set(Subscription.objects.filter(lost(actor)).values_list("pk", flat=True))
    assert found == {expired[0], expired[23]}


def test_partner_sees_only_the_gaps_it_may_see(maja, estate):
    without = {
        "free": ("none", None),
        "removed": ("no_more", day(20)),
        "paused and free": ("none", None),
        "replacing halden's": ("none", None),
    }
    risk = {"renewing": ("renews", None), "in grace": ("grace", day(9))}
    lost = {"replacing": ("replaced", day(60))}
    assert shown(maja, f"{PARTNERS}?view=none", estate) == without | lost
    assert shown(maja, f"{PARTNERS}?view=risk", estate) == risk
    assert shown(maja, f"{PARTNERS}?view=lost", estate) == lost
    assert shown(maja, PARTNERS, estate) == without | risk | lost
    assert [tab.count for tab in maja.get(PARTNERS).context["tabs"]] == [7, 5, 2, 1]
    assert "Halden" not in maja.get(PARTNERS).text + b"".join(maja.get(f"{PARTNERS}?format=csv")).decode()


def test_partner_learns_nothing_of_a_replacement_that_it_may_not_see(partner, maja, estate):
    Association.objects.filter(kind="delegated_admin").delete()
    assert shown(maja, f"{PARTNERS}?view=lost", estate) == {"expired": ("ended", day(60))}
    page = maja.get(PARTNERS)
    assert "ask the customer to attach you to the new one" in page.text
    assert str(estate["replacing"].subscription_id)[:8] not in page.text
    assert set(shown(maja, PARTNERS, estate)) == {"expired", "removed", "renewing", "in grace"}
    associate(estate["replacing"], partner, began_at=ago(10))
    assert shown(maja, f"{PARTNERS}?view=lost", estate) == {}, "it was attached to what followed"


def test_gap_is_over_if_a_new_association_cannot_be_dated_back(customer, partner, maja):
    old = make_subscription(customer, status="expired", renews_on=day(400), started_on=day(900))
    one = associate(old, partner, began_at=ago(800), ended_at=ago(400))
    assert shown(maja, PARTNERS, {"old": old}) == {}
    one.ended_at = ago(300)  # imported with an end after the renewal date
    one.save()
    assert shown(maja, PARTNERS, {"old": old}) == {"old": ("ended", day(300))}


def test_former_partner_does_not_see_free_subscriptions_as_gaps(customer, partner, maja, elin):
    lost = make_subscription(customer)
    associate(lost, partner, ended_at=ago(5), end_reason="removed")
    assert shown(maja, PARTNERS, {"lost": lost}) == {}
    assert shown(elin, CUSTOMERS, {"lost": lost}) == {"lost": ("no_more", day(5))}


def test_suspended_partners_record_is_at_risk(estate, partner, elin, maja):
    partner.status = "suspended"
    partner.save()
    assert shown(elin, f"{CUSTOMERS}?view=risk", estate)["well"] == ("partner_suspended", None)
    assert shown(maja, f"{PARTNERS}?view=risk", estate)["well"] == ("partner_suspended", None)


def test_replacement_that_had_its_own_partner_is_not_lost_when_replaced(estate, halden, elin):
    associate(estate["replacing"], halden, began_at=ago(50), ended_at=ago(40), end_reason="removed")
    assert shown(elin, f"{CUSTOMERS}?view=lost", estate).keys() == {"replacing halden's"}
    assert shown(elin, f"{CUSTOMERS}?view=none", estate)["replacing"] == ("no_more", day(40))


def test_gaps_are_filtered_and_exported(elin, maja, estate):
    assert shown(elin, f"{CUSTOMERS}?status=grace", estate).keys() == {"in grace", "paused and free"}
    assert shown(maja, f"{PARTNERS}?search=vasterhamn", estate) == {}
    assert "No subscriptions match" in maja.get(f"{PARTNERS}?search=vasterhamn").text
    assert maja.get(f"{PARTNERS}?search=x").status_code == 422
    assert "id_as_of" not in elin.get(CUSTOMERS).text
    file = b"".join(elin.get(f"{CUSTOMERS}?view=lost&format=csv")).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(file)))
    assert {(row["gap"], row["partner"]) for row in rows} == {("replaced", HALDEN), ("replaced", "Nordvik Cloud AB")}
    assert {row["what_to_do"] for row in rows} == {"If the partner still works for you, attach them here too."}


def test_empty_page_shows_no_gaps_and_the_other_kind_is_refused(elin, maja):
    assert "No gaps" in elin.get(CUSTOMERS).text
    assert "No gaps" in maja.get(PARTNERS).text
    assert (elin.get(PARTNERS).status_code, maja.get(CUSTOMERS).status_code) == (403, 403)


def test_dashboard_counts_what_the_list_has(maja, estate):
    page = maja.get(reverse("portal:partner_home"))
    assert page.context["counts"]["gaps"] == 7
    assert f'href="{PARTNERS}"' in page.text


def test_queries_do_not_grow_with_rows(elin, maja, estate, customer):
    before = queries(lambda: elin.get(CUSTOMERS)), queries(lambda: maja.get(PARTNERS))
    for _ in range(7):
        make_subscription(customer)
    make_subscription(make_customer())
    assert (queries(lambda: elin.get(CUSTOMERS)), queries(lambda: maja.get(PARTNERS))) == before
    assert max(before) <= 16


@pytest.mark.parametrize("seed", range(4))
def test_each_gap_of_a_random_estate_is_of_one_kind_and_counted_once(
    customer: Customer, partner: Partner, halden: Partner, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FEW", 0)  # so the partner's keys are not listed, as for a large one
    chance = random.Random(seed)
    halden.status = "suspended"
    halden.save()
    every: list[Subscription] = []
    for where in (customer, make_customer("Brandby kommun")):
        every += (some := _random_subscriptions(chance, where))
        for subscription in some:
            _random_record(chance, subscription, [partner, halden])
    for where in {subscription.customer for subscription in every}:
        if chance.random() < 0.5:
            undone_at = chance.choice([None, ago(1)])
            associate(where, chance.choice([partner, halden]), "delegated_admin", undone_at=undone_at)
    kinds_seen = set()
    for actor in [make_member(one.organisation) for one in (customer, partner, halden)]:
        visible = access.subscriptions_visible_to(actor)
        kinds = {
            key: set(visible.filter(condition(actor)).values_list("pk", flat=True))
            for key, condition in {"none": without, "risk": at_risk, "lost": lost, "": all_gaps}.items()
        }
        assert counts(actor, access.restrict_to_ids(visible, actor)) == {
            key: len(found) for key, found in kinds.items()
        }
        assert not kinds["risk"] & (kinds["none"] | kinds["lost"]), "none at risk is lost already"
        if actor.kind == "customer":
            assert kinds["none"] == set(without_partner(visible).values_list("pk", flat=True))
            assert kinds["lost"] <= kinds["none"]
        assert kinds["none"] | kinds["risk"] | kinds["lost"] == kinds[""]
        assert set(held_at_risk(actor).values_list("subscription", flat=True)) == kinds["risk"]
        if actor.kind == "partner":
            assert count_of_gaps(actor) == len(kinds[""])
        kinds_seen |= {key for key, found in kinds.items() if found}
    assert kinds_seen == {"none", "risk", "lost", ""}


def _random_subscriptions(chance: random.Random, customer: Customer) -> list[Subscription]:
    """Return subscriptions of every status, some of which replace another one."""
    found: list[Subscription] = []
    for _number in range(25):
        status = chance.choice(["active", "active", "grace", "suspended", "expired"])
        replaces = chance.choice(found) if found and chance.random() < 0.5 else None
        renews_on = today() + timedelta(days=chance.choice([-400, -40, 0, 10, 90, 91, 300]))
        started_on = today() - timedelta(days=500)
        fields = {"status": status, "replaces": replaces, "renews_on": renews_on, "started_on": started_on}
        found.append(make_subscription(customer, **fields))
    return found


def _random_record(chance: random.Random, subscription: Subscription, partners: list[Partner]) -> None:
    """Give a subscription at most one period after another, some of them undone, and forms besides."""
    if chance.random() < 0.6:
        reason = chance.choice(["", "removed", "subscription_expired", "subscription_replaced"])
        undone_at = chance.choice([None, None, ago(1)])
        ended_at = ago(chance.choice([30, 40, 380]))
        associate(
            subscription, chance.choice(partners), ended_at=ended_at, end_reason=reason, undone_at=undone_at
        )  # fmt: skip
    if chance.random() < 0.6:
        undone_at = chance.choice([None, None, None, ago(1)])
        associate(subscription, chance.choice(partners), began_at=ago(20), undone_at=undone_at)
    if chance.random() < 0.2:
        associate(subscription, chance.choice(partners), "osa_form", ended_at=chance.choice([None, ago(5)]))


def test_page_of_gaps_counts_all_tabs_in_one_query(maja, estate):
    with CaptureQueriesContext(connection) as asked:
        maja.get(PARTNERS)
    assert sum("COUNT(" in one["sql"] and "directory_subscription" in one["sql"] for one in asked) == 1
    page = maja.get(f"{PARTNERS}?status=grace&view=risk")
    assert [tab.count for tab in page.context["tabs"]] == [7, 5, 2, 1]
    assert page.context["count_text"] == "1 subscription"


def test_long_list_of_gaps_shows_the_limit_of_counts(elin, maja, estate, monkeypatch):
    monkeypatch.setattr(lists, "COUNT_TO", 5)
    for page in (elin.get(CUSTOMERS), maja.get(PARTNERS)):
        assert page.context["tabs"][0].count == 6
        assert page.context["count_text"] == "5+ subscriptions"
    assert maja.get(reverse("portal:partner_home")).context["counts"]["gaps"] == 6


@pytest.mark.parametrize(("count_to", "shown"), [(2, 3), (3, 4), (4, 5), (6, 7), (10, 7)])
def test_gaps_of_a_large_partner_are_counted_up_to_the_limit(maja, estate, monkeypatch, count_to, shown):
    monkeypatch.setattr(access, "FEW", 0)
    monkeypatch.setattr(lists, "COUNT_TO", count_to)

    assert maja.get(reverse("portal:partner_home")).context["counts"]["gaps"] == shown
