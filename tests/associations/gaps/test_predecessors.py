"""A renewed subscription that no file links to the old one: the likely predecessor and its partner."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.gaps.queries import gaps_of
from associations.record.models import Association
from associations.record.policies import policy_on
from por.directory.models import Partner, Subscription
from tests.associations.gaps.test_queries import ago, associate, today
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in

CUSTOMERS, PARTNERS, STAFF = (reverse(f"associations:{room}_gaps") for room in ("customer", "partner", "staff"))
ENDED = 20  # days ago


@pytest.fixture
def new(customer) -> Subscription:
    day = today() - timedelta(days=ENDED)
    return make_subscription(customer, started_on=day, renews_on=day + timedelta(days=365), seats=400)


def expired(customer, partner: Partner | None, **fields) -> Subscription:
    """Return an old subscription that ended when the new one began, with its last partner of record."""
    day = today() - timedelta(days=ENDED)
    given = {"status": "expired", "started_on": day - timedelta(days=365), "renews_on": day, "seats": 420} | fields
    made = make_subscription(customer, **given)
    if partner is not None:
        associate(made, partner, ended_at=ago(ENDED), end_reason="subscription_expired")
    return made


def likely(reader, subscription: Subscription) -> tuple[list[tuple[Subscription, Partner]], Partner | None]:
    (gap,) = gaps_of(reader, [Subscription.objects.select_related("sku").get(pk=subscription.pk)])
    return [(one.subscription, one.partner) for one in gap.predecessors], gap.suggested


def test_one_likely_predecessor_is_named_with_its_partner(customer, partner, admin, new):
    old = expired(customer, partner)
    assert likely(admin, new) == ([(old, partner)], partner)
    assert likely(make_staff("support"), new) == ([(old, partner)], partner)


def test_of_two_both_are_listed_and_none_is_suggested(customer, partner, admin, new):
    one, other = expired(customer, partner), expired(customer, make_partner("Halden Konsult AB"), seats=390)
    found, suggested = likely(admin, new)
    assert ({old for old, _partner in found}, suggested) == ({one, other}, None)


def test_one_that_two_gaps_may_have_renewed_is_listed_for_both_and_suggested_for_neither(customer, partner, admin, new):
    old = expired(customer, partner)
    other = make_subscription(
        customer, started_on=new.started_on + timedelta(days=5), renews_on=new.renews_on, seats=390
    )
    for gap in (new, other):
        assert likely(admin, gap) == ([(old, partner)], None)
    text = " ".join(signed_in(admin).get(CUSTOMERS).text.split())
    assert text.count("may have renewed it as well") == 2
    assert 'name="mpn_id"' not in text
    # Once one of them has that partner, it has probably renewed it, so it is still no suggestion for the other.
    attaching.attach(other.subscription_id, partner.mpn_id, by=admin)
    assert likely(admin, new) == ([(old, partner)], None)


def with_days(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with a day where they say how many days ago it was."""
    return {
        name: today() - timedelta(days=value) if name.endswith("_on") and value else value
        for name, value in fields.items()
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"seats": 380, "status": "expired"},
        {"seats": 350},
        {"seats": 470},
        {"product": "intune"},
        {"started_on": ENDED - 31},
    ],
    ids=str,
)
def test_one_that_does_not_fit_takes_no_suggestion_away(customer, partner, admin, new, fields):
    old = expired(customer, partner)
    make_subscription(customer, **{"started_on": new.started_on, "seats": 400} | with_days(fields))
    make_subscription(make_customer(), started_on=new.started_on, seats=400)
    held = make_subscription(customer, started_on=new.started_on, seats=400)
    associate(held, make_partner())
    make_subscription(customer, started_on=new.started_on, seats=400, replaces=expired(customer, partner))
    assert likely(admin, new) == ([(old, partner)], partner)


@pytest.mark.parametrize(
    "fields",
    [
        {"product": "intune"},
        {"seats": 445},
        {"seats": 359},
        {"seats": None},
        {"renews_on": ENDED + 31},
        {"renews_on": ENDED - 31},
        {"renews_on": None},
        {"started_on": ENDED},
    ],
    ids=str,
)
def test_another_product_size_or_day_is_no_predecessor(customer, partner, admin, new, fields):
    expired(customer, partner, **with_days(fields))
    assert likely(admin, new) == ([], None)


@pytest.mark.parametrize("fields", [{"seats": 440}, {"seats": 360}], ids=str)
def test_bounds_belong_to_what_is_near(customer, partner, admin, new, fields):
    policy = policy_on(today())
    assert (policy.predecessor_days, policy.predecessor_seats_percent) == (30, 10)
    for days in (-30, 30):
        old = expired(customer, partner, renews_on=new.started_on + timedelta(days=days), **fields)
        assert likely(admin, new)[1] == partner
        Association.objects.filter(subscription=old).delete()
        old.delete()


def test_consumption_without_seats_is_compared_by_the_day_alone(customer, partner, admin):
    day = today() - timedelta(days=ENDED)
    azure = make_subscription(
        customer, product="azure", seats=None, started_on=day, renews_on=day + timedelta(days=365)
    )
    old = expired(customer, partner, product="azure", seats=None)
    assert likely(admin, azure) == ([(old, partner)], partner)


def test_another_customers_a_replaced_one_and_one_without_a_partner_are_no_predecessors(customer, partner, admin, new):
    expired(make_customer(), partner)
    expired(customer, None)
    make_subscription(customer, replaces=expired(customer, partner))
    removed = expired(customer, None)
    associate(removed, partner, ended_at=ago(90), end_reason="removed")
    assert likely(admin, new) == ([], None)


def test_one_that_still_runs_is_a_predecessor_with_its_partner_of_now(customer, partner, admin, new):
    running = expired(customer, None, status="grace")
    associate(running, partner)
    assert likely(admin, new) == ([(running, partner)], partner)


def test_nothing_is_suggested_for_what_a_file_links_or_what_had_a_partner(customer, partner, admin, new):
    expired(customer, partner)
    had = make_subscription(customer, started_on=new.started_on, seats=400)
    associate(had, make_partner(), began_at=ago(ENDED), ended_at=ago(3), end_reason="removed")
    linked = make_subscription(customer, started_on=new.started_on, seats=400, replaces=expired(customer, partner))
    assert likely(admin, had) == likely(admin, linked) == ([], None)


def test_partner_that_cannot_be_attached_is_named_and_not_suggested(customer, partner, admin, new):
    old = expired(customer, partner)
    Partner.objects.filter(pk=partner.pk).update(status="suspended")
    assert likely(admin, new) == ([(old, partner)], None)
    Partner.objects.filter(pk=partner.pk).update(status="active")
    Subscription.objects.filter(pk=new.pk).update(status="grace")
    assert likely(admin, new) == ([(old, partner)], None)


def test_one_click_on_the_customers_gaps_attaches_the_partner(customer, partner, admin, new):
    old = expired(customer, partner)
    web = signed_in(admin)
    text = " ".join(web.get(CUSTOMERS).text.split())
    assert "It has probably renewed this one:" in text
    assert str(old.subscription_id)[:8] in text
    given = {"mpn_id": partner.mpn_id, "version": new.version}
    for _click in range(2):
        assert web.post(f"/c/subscriptions/{new.subscription_id}/attach/", given).status_code == 302
    assert attaching.attach(new.subscription_id, partner.mpn_id, by=admin).outcome == "unchanged"
    assert "probably renewed" not in web.get(CUSTOMERS).text


def test_viewer_and_staff_read_it_without_a_button(customer, partner, new):
    expired(customer, partner)
    for reader, page in ((make_member(customer.organisation, "viewer"), CUSTOMERS), (make_staff("support"), STAFF)):
        text = signed_in(reader).get(page).text
        assert "It has probably renewed this one:" in text
        assert 'name="mpn_id"' not in text


def row_of(web: Client, page: str, subscription: Subscription) -> dict[str, str]:
    """Return the row of a subscription in the file of a list of gaps."""
    text = b"".join(web.get(f"{page}?format=csv")).decode("utf-8-sig")  # type: ignore[arg-type]
    (row,) = [
        one for one in csv.DictReader(io.StringIO(text)) if one["subscription_id"] == str(subscription.subscription_id)
    ]
    return row


def test_partner_learns_of_no_successor(customer, partner, new):
    expired(customer, partner)
    associate(customer, partner, "delegated_admin")
    maja = make_member(partner.organisation)
    assert likely(maja, new) == ([], None)
    web = signed_in(maja)
    assert "probably renewed" not in web.get(PARTNERS).text
    row = row_of(web, PARTNERS, new)
    assert (row["probably_renews"], row["its_partner"]) == ("", "")


def test_file_names_it_for_the_customer(customer, partner, admin, new):
    old = expired(customer, partner)
    row = row_of(signed_in(admin), CUSTOMERS, new)
    assert (row["probably_renews"], row["its_partner"]) == (str(old.subscription_id), partner.mpn_id)


def test_queries_do_not_grow_with_rows(customer, partner, admin, new):
    expired(customer, partner)
    pages = [(signed_in(admin), CUSTOMERS), (signed_in(make_staff("support")), STAFF)]
    before = [queries(lambda web=web, page=page: web.get(page)) for web, page in pages]
    for seats in (10, 60, 100):
        make_subscription(customer, started_on=new.started_on, seats=seats)
        expired(customer, make_partner(), seats=seats)
    assert [queries(lambda web=web, page=page: web.get(page)) for web, page in pages] == before


def test_staff_list_every_customers_subscriptions_without_a_partner(customer, new):
    other = make_subscription(make_customer("Ulvsund Frakt AB"))
    text = signed_in(make_staff("support")).get(STAFF).text
    for subscription in (new, other):
        assert f"/a/subscriptions/{subscription.subscription_id}/" in text
