"""A former partner sees a subscription as it was at the end of its association, wherever it looks."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.change_requests import actions as change_requests
from associations.record.models import KEPT, Association
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

#: What is loaded after the end, and what the partner knew.
LATER: dict[str, Any] = {"seats": 98765, "status": "grace", "renews_on": date(2041, 5, 17)}
KNOWN: dict[str, Any] = {"seats": 420, "status": "active", "renews_on": "2036-06-30"}
NEW = {"seats": 98765, "status": "grace", "renews_on": "2041-05-17"}
UNKNOWN = {"seats": None, "status": None, "renews_on": None}


def load(subscription: Subscription) -> None:
    """Change the subscription as a load of files does."""
    subscription.refresh_from_db()
    Subscription.objects.filter(pk=subscription.pk).update(**LATER, version=subscription.version + 1)


@pytest.fixture
def held(subscription, partner, admin) -> Association:
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin).association


@pytest.fixture
def removed(subscription, held, admin) -> Association:
    attaching.remove(subscription.subscription_id, by=admin)
    held.refresh_from_db()
    return held


def one(actor: Actor, subscription: Subscription, **query: str) -> dict[str, Any]:
    answer = Api(actor).get(f"subscriptions/{subscription.subscription_id}/", query)
    assert answer.status_code == 200
    shape: dict[str, Any] = answer.json()
    assert answer["ETag"].strip('"').endswith(str(shape["version"]))
    return shape


def figures(shape: dict[str, Any]) -> dict[str, Any]:
    return {name: shape[name] for name in KNOWN}


def test_former_partner_reads_nothing_that_is_loaded_after_its_end(subscription, removed, amira, admin):
    before = one(amira, subscription)
    assert figures(before) == KNOWN
    load(subscription)
    assert one(amira, subscription) == before  # the version and so the ETag too
    for reader in (admin, make_staff()):
        assert figures(one(reader, subscription)) == NEW
    today = timezone.now().date().isoformat()
    assert figures(one(amira, subscription, as_of=today)) == KNOWN


def test_lists_files_and_filters_use_what_was_known_at_the_end(subscription, removed, amira, admin):
    load(subscription)

    def found(actor: Actor, **query: str) -> bool:
        return bool(Api(actor).get("subscriptions/", query).json()["results"])

    (row,) = Api(amira).get("subscriptions/").json()["results"]
    assert figures(row) == KNOWN
    today = timezone.now().date().isoformat()
    for more in ({}, {"as_of": today}):
        assert found(amira, status="active", **more)
        assert not found(amira, status="grace", **more)
        assert found(amira, renews_before="2036-07-01", **more)
        assert not found(amira, renews_before="2036-06-30", **more)
        assert not found(admin, status="active", **more)
        assert not found(admin, renews_before="2036-07-01", **more)
    text = b"".join(Api(amira).get("subscriptions/", {"format": "csv"})).decode()
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["seats"], line["status"], line["renews_on"]) == ("420", "active", "2036-06-30")


def test_pages_show_what_was_known_at_the_end(subscription, removed, amira, customer):
    load(subscription)
    web = signed_in(amira)
    pages = [
        reverse("associations:partner_subscription_detail", args=[subscription.subscription_id]),
        reverse("associations:partner_subscription_list") + "?view=former",
        reverse("associations:partner_subscription_list") + "?view=all&format=csv",
        reverse("portal:partner_customer_detail", args=[customer.tenant_id]),
        reverse("associations:invite") + f"?tenant_id={customer.tenant_id}",
        reverse("associations:partner_gaps"),
        reverse("associations:partner_gaps") + "?format=csv",
    ]
    for page in pages:
        text = re.sub("<select.*?</select>|<input[^>]*>", "", b"".join(web.get(page)).decode(), flags=re.DOTALL)
        for seats in ("98765", "98,765", "98\xa0765"):
            assert seats not in text, page
        for day in ("2041-05-17", "17 May 2041"):
            assert day not in text, page
        assert "grace" not in text.lower(), page
    assert "420" in b"".join(web.get(pages[1])).decode()


@pytest.mark.parametrize("kind", ["delegated_admin", "csp"])
def test_another_association_in_force_shows_the_subscription_as_it_is(subscription, removed, partner, amira, kind):
    other = Association.objects.create(
        kind=kind,
        partner=partner,
        customer=subscription.customer,
        subscription=None if kind == "delegated_admin" else subscription,
        began_at=datetime(2025, 1, 1, tzinfo=UTC),
        source="estate",
    )
    load(subscription)
    assert figures(one(amira, subscription)) == NEW
    assert Api(amira).get("subscriptions/", {"status": "grace"}).json()["results"]
    other.ended_at = timezone.now()
    other.save()
    # What that one ended with is not known here, if it was of the subscription and ended later.
    assert figures(one(amira, subscription)) == (UNKNOWN if kind == "csp" else KNOWN)


def test_an_association_of_a_location_shows_it_to_the_company_and_not_to_another_location(subscription, admin):
    company = make_partner("Hela Norden AB", kind=Partner.Kind.GLOBAL)
    left, right = (make_partner(name, parent=company.organisation) for name in ("Norr AB", "Söder AB"))
    for location in (left, right):
        attaching.attach(subscription.subscription_id, location.mpn_id, by=admin)
        if location is left:
            attaching.remove(subscription.subscription_id, by=admin)
    load(subscription)
    assert figures(one(make_member(company.organisation), subscription)) == NEW
    assert figures(one(make_member(right.organisation), subscription)) == NEW
    assert figures(one(make_member(left.organisation), subscription)) == KNOWN


def test_earlier_end_shows_what_is_not_known_as_unknown(subscription, removed, amira):
    Association.objects.filter(pk=removed.pk).update(
        seats_at_end=None, status_at_end="", renews_on_at_end=None, version_at_end=None
    )
    shape = one(amira, subscription)
    assert (figures(shape), shape["version"]) == (UNKNOWN, 0)
    load(subscription)
    assert one(amira, subscription) == shape
    for query in ({"status": "active"}, {"status": "grace"}, {"renews_before": "2040-01-01"}):
        assert not Api(amira).get("subscriptions/", query).json()["results"]
    page = reverse("associations:partner_subscription_detail", args=[subscription.subscription_id])
    assert signed_in(amira).get(page).status_code == 200


def test_undo_and_a_new_attachment_show_the_subscription_as_it_is_again(subscription, removed, partner, amira, admin):
    undo.undo(subscription.subscription_id, by=admin)
    removed.refresh_from_db()
    assert [getattr(removed, name) for name in KEPT] == [None, "", None, None]
    load(subscription)
    assert figures(one(amira, subscription)) == NEW


def test_partner_that_loses_by_an_answer_keeps_what_it_knew(subscription, held, amira, admin):
    rival = make_partner("Halden Konsult AB")
    request = attaching.attach(subscription.subscription_id, rival.mpn_id, by=admin).request
    assert request is not None
    change_requests.answer(request.pk, rival.mpn_id, by=admin)
    load(subscription)
    assert figures(one(amira, subscription)) == KNOWN
    assert figures(one(make_member(rival.organisation), subscription)) == NEW


def test_version_of_a_former_partner_is_the_one_after_its_end(subscription, removed, amira, admin):
    subscription.refresh_from_db()
    assert removed.version_at_end == subscription.version
    assert one(amira, subscription)["version"] == one(admin, subscription)["version"]


def test_subscriptions_of_other_customers_stay_as_they_are(removed, partner, amira):
    other = make_subscription(make_customer("Torsnäs Hamn AB"))
    by = make_member(other.customer.organisation)
    attaching.attach(other.subscription_id, partner.mpn_id, by=by)
    load(other)
    assert figures(one(amira, other)) == NEW
