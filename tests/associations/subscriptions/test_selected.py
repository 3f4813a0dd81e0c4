"""A partner selects subscriptions in its list, or on its dashboard, and gets them in one file."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

import pytest
from django.test import Client

from associations.attaching.actions.attach import attach
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from tests.factories import make_customer, make_member, make_partner, make_subscription

FILE = "/p/subscriptions/selected/"


@pytest.fixture
def reader(amira: Actor) -> Actor:
    return amira


@pytest.fixture
def held(customer: Customer, partner: Partner, admin: Actor) -> list[Subscription]:
    found = [make_subscription(customer) for _three in range(3)]
    for one in found:
        attach(one.subscription_id, partner.mpn_id, by=admin)
    return found


def rows(answer: Any) -> set[str]:
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return {row["subscription_id"] for row in csv.DictReader(io.StringIO(text))}


def test_file_has_exactly_what_was_selected(web: Client, held):
    answer = web.get(FILE, {"subscription": [one.subscription_id for one in held[:2]]})
    assert answer.status_code == 200
    assert rows(answer) == {str(one.subscription_id) for one in held[:2]}


def test_list_and_dashboard_offer_each_of_their_rows_with_its_name(web: Client, held):
    for page in ("/p/", "/p/subscriptions/"):
        text = web.get(page).text
        assert text.count('form="selected"') == 3, page
        for one in held:
            assert f'aria-label="Västerhamn Energi AB, Office 365 E3, {str(one.subscription_id)[:8]}"' in text
    assert 'form="selected"' not in web.get("/p/subscriptions/?as_of=2026-01-01").text


def test_subscription_that_the_partner_may_not_see_is_not_in_the_file(web: Client, held):
    stranger = make_customer("Ekholmen AB")
    other = make_subscription(stranger)
    attach(other.subscription_id, make_partner("Halden Konsult AB").mpn_id, by=make_member(stranger.organisation))
    answer = web.get(FILE, {"subscription": [held[0].subscription_id, other.subscription_id, uuid.uuid4()]})
    assert rows(answer) == {str(held[0].subscription_id)}


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([], "Select a subscription."),
        (["x"], "This is not a valid subscription ID."),
        ([uuid.UUID(int=one) for one in range(51)], "Select at most 50 subscriptions at a time."),
    ],
    ids=["nothing", "no ID", "too many"],
)
def test_selection_of_nothing_or_too_much_leads_back_to_the_list_and_says_so(web: Client, ids, says):
    page = web.get(FILE, {"subscription": ids}, follow=True)
    assert page.redirect_chain == [("/p/subscriptions/", 302)]
    assert says in page.text
