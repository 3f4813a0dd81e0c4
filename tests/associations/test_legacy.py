"""The legacy form: what may be loaded, how it is shown, and the way from it to being of record."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from associations.models import Association
from associations.rules import forms_earn_nothing_since, policy_on
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from tests import estates
from tests.factories import make_customer, make_member, make_partner, make_subscription

OLD = date(2014, 3, 1)


def on(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def associate(subscription: Subscription, partner: Partner, kind: str, began: str, ended: str = "") -> Association:
    """As from a file."""
    return Association.objects.create(
        kind=kind,
        customer=subscription.customer,
        subscription=subscription,
        partner=partner,
        began_at=on(began),
        ended_at=on(ended) if ended else None,
        source="estate",
    )


def signed_in(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


@pytest.fixture
def web(partner: Partner) -> Client:
    return signed_in(make_member(partner.organisation))


# --- What may be loaded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        ({"started_on": "2015-04-30"}, []),
        ({"started_on": "2015-05-01"}, [("2", "kind", "digital_only")]),
        ({"started_on": "2015-05-01", "agreement": "EAS"}, []),
        ({"started_on": "2015-05-01", "agreement": "MOSP"}, []),
    ],
)
def test_a_new_enterprise_deal_takes_no_form_and_every_other_does(tmp_path: Path, cells, codes):
    deal = estates.subscription(renews_on="", **cells)
    form = estates.association(kind="osa_form", began_on="2015-06-01")
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[deal],
            associations=[form, estates.association(began_on="2015-06-01")],
        )
    )
    assert loaded.codes == codes
    assert Association.objects.forms().count() == 1 - len(codes)
    assert Association.objects.of_record().count() == 1


# --- The policies by day --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "deadline", "nothing_since"),
    [
        ("2015-05-20", "2015-09-30", None),
        ("2015-05-31", "2015-09-30", None),
        ("2015-06-01", "2015-12-31", None),
        ("2015-12-31", "2015-12-31", None),
        ("2016-01-01", "2015-12-31", "2016-01-01"),
        ("2026-02-28", "2015-12-31", "2016-01-01"),
        ("1999-01-01", "2015-09-30", None),
    ],
)
def test_the_deadline_was_put_off_once_and_then_forms_earn_nothing(day, deadline, nothing_since):
    given = date.fromisoformat(day)
    assert f"{policy_on(given).legacy_form_deadline}" == deadline
    since = forms_earn_nothing_since(given)
    assert (since and f"{since}") == nothing_since


# --- How it is shown ------------------------------------------------------------------------------------------------


@pytest.fixture
def with_form(customer: Customer, partner: Partner) -> Subscription:
    subscription = make_subscription(customer, started_on=OLD)
    associate(subscription, partner, "osa_form", "2014-06-01")
    return subscription


def test_every_page_that_shows_a_form_says_what_it_is_worth(web, with_form, customer, partner):
    company = signed_in(make_member(customer.organisation))
    tenant, given = customer.tenant_id, [with_form.subscription_id]
    pages = [
        (company, reverse("associations:subscription_detail", args=given), "?"),
        (company, reverse("associations:subscription_list"), "?"),
        (company, reverse("associations:customer_partners"), "?"),
        (web, reverse("associations:partner_subscription_detail", args=given), "?"),
        (web, reverse("associations:partner_subscription_list"), "?view=all&"),
        (web, reverse("associations:partner_customer_detail", args=[tenant]), "?"),
    ]
    for client, address, query in pages:
        assert "Legacy form, earns nothing since 1 Jan 2016" in client.get(address + query).text, address
        then = client.get(f"{address}{query}as_of=2015-11-15").text
        assert "Legacy form, to be moved by 31 Dec 2015" in then, address
        assert "30 Sep 2015" in client.get(f"{address}{query}as_of=2015-05-20").text, address
        before = client.get(f"{address}{query}as_of=2014-05-01").text
        assert "Legacy form, " not in before, address
    customers = web.get(reverse("associations:partner_customer_list")).text
    assert "Legacy form, earns nothing since 1 Jan 2016" in customers
    for client in (company, web):
        assert reverse("associations:what_counts") in client.get(pages[0 if client is company else 3][1]).text


def test_another_partners_form_is_the_customers_to_see(web, with_form, partner, customer):
    halden = make_partner("Halden Konsult AB")
    associate(with_form, halden, "osa_form", "2014-07-01")
    rival = signed_in(make_member(make_partner("Lyngby ApS").organisation))
    address = reverse("associations:partner_subscription_detail", args=[with_form.subscription_id])
    assert "Halden" not in web.get(address).text
    assert "Halden" not in web.get(reverse("associations:partner_subscription_list") + "?view=all").text
    assert rival.get(address).status_code == 404
    company = signed_in(make_member(customer.organisation))
    assert "Halden" in company.get(reverse("associations:subscription_detail", args=[with_form.subscription_id])).text
