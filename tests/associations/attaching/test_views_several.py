"""Attaching one partner to several subscriptions, with the outcome of each."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.change_requests.models import ChangeRequest
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Customer, Partner, Subscription
from por.history.models import Event
from tests.factories import make_customer, make_member, make_partner, make_subscription

URL = "/c/subscriptions/attach/"


@pytest.fixture
def estate(customer: Customer, partner: Partner, admin: Actor) -> dict[str, Subscription]:
    found = {name: make_subscription(customer) for name in ("one", "two", "held", "theirs")}
    found["expired"] = make_subscription(customer, status="expired")
    attaching.attach(found["held"].subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)
    attaching.attach(found["theirs"].subscription_id, partner.mpn_id, by=admin)
    return found


def ids(*subscriptions: Subscription) -> list[str]:
    return [str(one.subscription_id) for one in subscriptions]


def send(web: Client, step: str, mpn_id: str, *subscriptions: Subscription) -> Any:
    return web.post(URL, {"step": step, "mpn_id": mpn_id, "subscription": ids(*subscriptions)})


def outcomes(page: Any) -> dict[Subscription, str]:
    return {row.subscription: row.code for row in page.context["rows"]}


def holders() -> dict[int, str]:
    held = Association.objects.open().of_record()
    return dict(held.values_list("subscription_id", "partner__organisation__name"))


def test_list_offers_selection_to_those_who_may_attach(web, estate, customer):
    page = web.get(reverse("associations:subscription_list")).content.decode()
    assert page.count('form="several"') == 5
    viewer = Client()
    viewer.force_login(make_member(customer.organisation, "viewer").user)
    assert 'form="several"' not in viewer.get(reverse("associations:subscription_list")).content.decode()
    assert (
        'form="several"'
        not in web.get(reverse("associations:subscription_list") + "?as_of=2025-01-01").content.decode()
    )


def test_selection_is_shown_and_nothing_is_attached(web, estate):
    before, events = holders(), Event.objects.count()
    page = web.get(URL, {"subscription": ids(estate["one"], estate["held"])})
    assert outcomes(page) == {estate["one"]: "free", estate["held"]: "change_requested"}
    assert "Halden Konsult AB is the partner of record and stays." in page.content.decode()
    assert "We will ask you which partner is doing the work." in page.content.decode()
    assert (holders(), Event.objects.count()) == (before, events)


def test_empty_selection_leads_back_to_the_list(web, estate):
    page = web.get(URL)
    assert page.status_code == 200
    assert "No subscriptions selected" in page.content.decode()


def test_check_id_shows_the_partner_once_and_attaches_nothing(web, estate, partner):
    before = holders()
    page = send(web, "check", f" {partner.mpn_id[:3]} {partner.mpn_id[3:]} ", *estate.values())
    assert page.context["partner"] == partner
    assert outcomes(page) == {
        estate["one"]: "free", estate["two"]: "free", estate["held"]: "change_requested",
        estate["theirs"]: "unchanged", estate["expired"]: "refused",
    }  # fmt: skip
    assert holders() == before
    assert CheckOfId.objects.count() == 1


def test_attach_attaches_each_free_subscription_and_shows_all_outcomes(web, estate, partner):
    page = send(web, "attach", partner.mpn_id, *estate.values())
    assert page.status_code == 200
    assert outcomes(page) == {
        estate["one"]: "attached", estate["two"]: "attached", estate["held"]: "change_requested",
        estate["theirs"]: "unchanged", estate["expired"]: "refused",
    }  # fmt: skip
    assert "Attached to 2 subscriptions." in page.content.decode()
    assert "You have a change request to answer for 1 subscription." in page.content.decode()
    request = ChangeRequest.objects.get(subscription=estate["held"])
    assert reverse("associations:change_request", args=[request.pk]) in page.content.decode()
    name = partner.organisation.name
    assert {holders().get(estate[one].pk) for one in ("one", "two", "theirs")} == {name}
    assert holders()[estate["held"].pk] == "Halden Konsult AB"
    assert Event.objects.filter(verb="partner_of_record.attached").count() == 4


def test_two_clicks_attach_once(web, estate, partner):
    send(web, "attach", partner.mpn_id, estate["one"])
    events = Event.objects.count()
    page = send(web, "attach", partner.mpn_id, estate["one"])
    assert outcomes(page) == {estate["one"]: "unchanged"}
    assert Event.objects.count() == events


def test_subscription_sent_twice_counts_once(web, estate, partner):
    assert len(outcomes(send(web, "attach", partner.mpn_id, estate["one"], estate["one"]))) == 1


@pytest.mark.parametrize("step", ["check", "attach"])
@pytest.mark.parametrize("mpn_id", ["", "12", "999999999"])
def test_wrong_id_shows_an_error_at_its_field_and_keeps_the_selection(web, estate, step, mpn_id):
    page = send(web, step, mpn_id, estate["one"], estate["two"])
    assert page.status_code == 422
    assert page.context["check_form"].errors["mpn_id"]
    assert set(outcomes(page)) == {estate["one"], estate["two"]}
    assert estate["one"].pk not in holders()


def test_unknown_id_counts_once_however_many_are_selected(web, estate):
    send(web, "attach", "999999999", estate["one"], estate["two"])
    assert CheckOfId.objects.count() == 1


def test_selection_with_a_subscription_of_another_customer_is_not_found(web, estate, partner):
    stranger = make_subscription(make_customer("Ekholmen AB"))
    assert web.get(URL, {"subscription": ids(estate["one"], stranger)}).status_code == 404
    assert send(web, "attach", partner.mpn_id, estate["one"], stranger).status_code == 404
    assert estate["one"].pk not in holders()


def test_malformed_ids_and_too_many_subscriptions_are_refused(web, estate, partner, customer):
    assert web.get(URL, {"subscription": "x"}).status_code == 422
    many = [make_subscription(customer) for _more in range(51)]
    page = send(web, "attach", partner.mpn_id, *many)
    assert page.status_code == 422
    assert "Select at most 50 subscriptions at a time." in page.content.decode()
    assert not holders().keys() & {one.pk for one in many}


def test_number_of_queries_does_not_grow_with_the_selection(web, customer):
    def cost(count: int) -> int:
        chosen = ids(*[make_subscription(customer) for _one in range(count)])
        with CaptureQueriesContext(connection) as captured:
            assert web.get(URL, {"subscription": chosen}).status_code == 200
        return len(captured)

    cost(1)
    assert cost(2) == cost(20)
