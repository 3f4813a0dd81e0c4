"""A customer's home: what needs it, in three cards at most, each leading to exactly what it counts."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions.attach import attach
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.invitations.actions import invite
from por.accounts.models import Actor
from por.db import prepared
from por.directory.models import Customer, Partner, Subscription
from por.notifications import queries as notifications
from por.portal import queries
from por.portal.navigation import navigation
from tests.factories import make_member, make_partner, make_subscription
from tests.pages import packed

HOME, LIST = reverse("portal:customer_home"), reverse("associations:subscription_list")


@pytest.fixture
def rival() -> Partner:
    return make_partner("Halden Konsult AB")


def contest(customer: Customer, partner: Partner, rival: Partner, admin: Actor) -> Subscription:
    subscription = make_subscription(customer)
    attach(subscription.subscription_id, partner.mpn_id, by=admin)
    attach(subscription.subscription_id, rival.mpn_id, by=admin)
    return subscription


def cards(web: Client) -> list[str]:
    [section] = re.findall(r'<section class="todo".*?</section>', web.get(HOME).text, re.DOTALL)
    found = re.findall(r"<li .*?</li>", section, re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", one).split()) for one in found]


def test_home_with_all_that_can_happen_has_three_cards(web, customer, partner, rival, admin):
    today = timezone.now().date()
    free = make_subscription(customer, renews_on=today + timedelta(days=20))
    for _more in range(2):
        contest(customer, partner, rival, admin)
        invite(customer.tenant_id, [free.subscription_id], by=make_member(make_partner().organisation))

    shown = cards(web)

    assert len(shown) == 3
    assert shown[0].startswith("2 change requests wait for your answer")
    assert shown[1].startswith("Partners have sent you invitations")
    assert shown[2].startswith("1 subscription has no partner")
    assert "Next renewals" in web.get(HOME).text, "what has no card is still on the page"


def test_one_change_request_and_one_invitation_are_named_on_their_cards(web, customer, partner, rival, admin):
    subscription = contest(customer, partner, rival, admin)
    free = make_subscription(customer)
    invitation = invite(customer.tenant_id, [free.subscription_id], by=make_member(partner.organisation))
    shown = cards(web)
    assert f'href="/c/invitations/{invitation.invitation_id}/"' in web.get(HOME).text
    assert shown[0].startswith(f"Which partner is doing the work for {subscription.name}?")
    assert shown[1].startswith("Nordvik Cloud AB asks to be your partner of record")


def test_renewals_have_a_card_where_there_is_room(web, customer):
    make_subscription(customer, renews_on=timezone.now().date() + timedelta(days=20))
    assert [one.split(" ", 1)[1][:30] for one in cards(web)] == [
        "subscription has no partner A ", "subscription renews within 90 ",
    ]  # fmt: skip


def test_badge_counts_the_open_change_requests_of_the_customer_and_of_each_partner(
    web, customer, partner, rival, admin
):
    third = make_partner("Alunda Data AB")
    contest(customer, partner, rival, admin)
    answered = contest(customer, partner, third, admin)

    def badges(actor: Actor) -> list[int | None]:
        links = [link for group in navigation(actor, "/") for link in group.links]
        return [link.count for link in links if link.url.endswith("/change-requests/")]

    assert badges(admin) == [2]
    for one, count in ((partner, 2), (rival, 1), (third, 1)):
        assert badges(make_member(one.organisation)) == [count]
    [request] = ChangeRequest.objects.filter(subscription=answered)
    change_requests.answer(request.pk, partner.mpn_id, by=admin)
    assert badges(admin) == badges(make_member(partner.organisation)) == [1]
    assert badges(make_member(third.organisation)) == [0]
    assert re.search(r'Change requests</span><span class="cnt"\s*>1<', packed(web.get(HOME).text))


def test_badge_counts_up_to_a_hundred(customer, partner, rival, admin, monkeypatch):
    monkeypatch.setattr(notifications, "MANY", 1)
    monkeypatch.setattr(prepared, "compiled", {})
    queries._waiting.cache_clear()
    for _more in range(3):
        contest(customer, partner, rival, admin)
    assert queries.waiting(admin)["help"] == 2  # one more than is counted
    queries._waiting.cache_clear()
