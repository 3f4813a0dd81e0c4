"""The page on which a partner activates a subscription, and what both sides read about it."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from associations.attaching.actions import activation
from associations.attaching.actions import attach as attaching
from associations.attaching.models import Consent
from associations.record.models import Association
from por.accounts.models import Actor
from por.accounts.zones import day_in
from por.directory.models import Customer, Partner, Subscription
from por.history.models import Event
from tests.factories import make_member, make_partner, make_subscription
from tests.pages import signed_in

ACTIVATE = "/p/activate/"
CONSENT = {"consent_name": "Elin Sandberg", "consent_email": "elin@vasterhamn.example", "consent": "2026-01-15"}


@pytest.fixture
def customer_web(customer: Customer) -> Client:
    return signed_in(make_member(customer.organisation, name="Elin Sandberg"))


@pytest.fixture
def partner_web(partner: Partner) -> Client:
    return signed_in(make_member(partner.organisation, name="Arvid Holm"))


def attach(subscription: Subscription, partner: Partner) -> Association:
    by = Actor(user=None, organisation=subscription.customer.organisation, role="administrator")
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=by).association


def text(response: Any) -> str:
    """Return the text of a page, without tags and with single spaces."""
    main = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(main.split())


def changes() -> tuple[int, int]:
    return Event.objects.count(), Association.objects.count()


@pytest.fixture
def open_one(customer: Customer) -> Subscription:
    return make_subscription(customer, agreement="OPEN")


def test_partner_activates_with_consent_that_both_sides_can_read(partner_web, customer_web, open_one, partner):
    subscription_id = str(open_one.subscription_id)
    page = partner_web.get(ACTIVATE, {"subscription": subscription_id})
    assert f'value="{subscription_id}"' in page.content.decode()
    assert f'<option value="{partner.mpn_id}" selected>' in page.content.decode()
    fields = {"subscription_id": subscription_id, "mpn_id": partner.mpn_id, **CONSENT}
    before = changes()
    assert (partner_web.get(ACTIVATE, fields).status_code, changes()) == (200, before)

    done = partner_web.post(ACTIVATE, fields, follow=True)
    assert done.redirect_chain == [(f"/p/subscriptions/{subscription_id}/", 302)]
    assert "Activated. You are now the partner of record." in text(done)
    for page in (done, customer_web.get(f"/c/subscriptions/{subscription_id}/")):
        assert "Activated by the partner" in text(page)
        assert "Consent given by Elin Sandberg (elin@vasterhamn.example) on 15 Jan 2026" in text(page)
    assert "Nothing has changed." in text(partner_web.post(ACTIVATE, fields, follow=True))
    assert Consent.objects.count() == 1


def test_activating_where_another_partner_is_of_record_opens_a_change_request(partner_web, open_one, partner):
    attach(open_one, make_partner("Halden Konsult AB"))
    fields = {"subscription_id": open_one.subscription_id, "mpn_id": partner.mpn_id, **CONSENT}
    page = partner_web.post(ACTIVATE, fields, follow=True)
    assert page.redirect_chain[0][0].startswith("/p/change-requests/")
    assert "We will ask the customer which of you is doing the work." in text(page)


def test_every_refusal_to_activate_is_shown_at_its_field(partner_web, customer, open_one, subscription, partner):
    expired = make_subscription(customer, agreement="OPEN", status="expired")
    gone = make_subscription(customer, agreement="OPEN", status="expired")
    Association.objects.create(
        kind="osa_form",
        customer=customer,
        subscription=expired,
        partner=partner,
        began_at=timezone.now(),
        source="estate",
    )
    attach(subscription, partner)  # so that it may be seen, and is of another agreement
    good = {"subscription_id": open_one.subscription_id, "mpn_id": partner.mpn_id, **CONSENT}
    tomorrow = (day_in(partner.organisation.time_zone, timezone.now()) + timedelta(days=1)).isoformat()
    for wrong, field, words in [
        ({"subscription_id": "12"}, "subscription_id", "32 characters"),
        ({"subscription_id": uuid.uuid4()}, "subscription_id", "We could not find a subscription from Open licensing"),
        (
            {"subscription_id": subscription.subscription_id},
            "subscription_id",
            "You can only activate a subscription from Open licensing.",
        ),
        ({"subscription_id": expired.subscription_id}, "subscription_id", "has expired"),
        ({"subscription_id": gone.subscription_id}, "subscription_id", "We could not find a subscription from Open"),
        ({"mpn_id": "999999"}, "mpn_id", "Choose one of your own locations."),
        ({"consent_name": " "}, "consent_name", "Enter the name of the person who agreed."),
        ({"consent_email": "x"}, "consent_email", "Enter an email address"),
        ({"consent": tomorrow}, "consent", "cannot be in the future"),
        ({"consent": "1900-01-01"}, "consent", "must be"),
        ({"consent": "yesterday"}, "consent", "year-month-day"),
    ]:
        page = partner_web.post(ACTIVATE, {**good, **wrong})
        assert page.status_code == 422, wrong
        assert words in str(page.context["form"].errors[field]), wrong
    assert not Consent.objects.exists()
    web = signed_in(make_member(make_partner(status="suspended").organisation))
    assert "You have no active locations." in text(web.get(ACTIVATE))


def test_beginning_of_an_id_is_enough_for_a_subscription_that_the_partner_sees(partner_web, customer, partner):
    for beginning, last in (("11111111", 1), ("22222222", 2), ("22222222", 3), ("33333333", 4)):
        key = uuid.UUID(f"{beginning}-0000-4000-8000-00000000000{last}")
        one = make_subscription(customer, subscription_id=key, agreement="OPEN")
        if beginning != "33333333":
            attach(one, partner)
    given = CONSENT | {"mpn_id": partner.mpn_id, "consent": timezone.localdate().isoformat()}

    for beginning, message in (
        ("22222222", "Several IDs begin with “22222222”. Enter the whole ID."),
        ("33333333", "A subscription ID has 32 characters"),  # the partner does not see it
        ("1111111", "A subscription ID has 32 characters"),
    ):
        answer = partner_web.post(ACTIVATE, given | {"subscription_id": beginning})
        assert answer.status_code == 422
        assert message in text(answer)
    assert partner_web.post(ACTIVATE, given | {"subscription_id": "11111111"}).status_code == 302


def test_both_sides_read_that_the_seller_was_attached_automatically(partner_web, customer_web, customer, partner):
    sold = make_subscription(customer, agreement="CSP", started_on=timezone.now().date())
    Association.objects.create(
        kind="csp", customer=customer, subscription=sold, partner=partner, began_at=timezone.now(), source="estate"
    )
    assert activation.attach_sellers() == 1
    for web, side in ((customer_web, "c"), (partner_web, "p")):
        page = web.get(f"/{side}/subscriptions/{sold.subscription_id}/")
        assert "Automatic (sold by the partner, carried over or moved by it)" in text(page)
    assert (
        f"/c/subscriptions/{sold.subscription_id}/remove/"
        in customer_web.get(f"/c/subscriptions/{sold.subscription_id}/").content.decode()
    )
