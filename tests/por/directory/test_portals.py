"""The texts of portals on the pages: where a partner is attached, by whom, and the effects."""

from __future__ import annotations

import itertools
import re
from datetime import date
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from por.directory.models import CheckOfId, Subscription, Usage
from por.directory.portals import TEXTS, PortalName, affects, who
from por.directory.rules import Agreement, Product
from tests.factories import make_member, make_partner, make_subscription

ENTERPRISE = {"EA", "EAS", "CASA_EES"}
INTUNE = "Intune account portal › Admin › Manage details › Add"
AZURE = "Azure account centre › Subscriptions › Partner information › Enter partner ID"
ONLINE = "Online portal › Billing › Subscriptions › Add partner of record"
UNDER_ENTERPRISE = {
    "office365": "Office customer portal › Subscription details › Add MPN ID",
    "intune": INTUNE,
    "aadp": INTUNE,
    "ems": INTUNE,
    "crm_online": ONLINE,
    "azure": AZURE,
}
AUTOMATIC = "automatically, through the partner admin centre"
ACTIVATION = "With the customer’s consent, a partner that activates the subscription can also attach itself"
OUR_READING = "We concluded from our sources that it is managed here."
BY_SALE = "under this agreement, competencies and incentives go to the seller"
REPORTS = "Microsoft’s reports about it, such as technical updates"
COUNTS = {
    "office365": "Count it towards Microsoft’s Modern Work designation",
    "intune": "Count it towards Microsoft’s Modern Work designation",
    "ems": "Count the Intune part of it towards Microsoft’s Modern Work designation",
    "aadp": "the Security designation, which replaced the competency, counts only claims and sales",
    "crm_online": "Count it towards Microsoft’s Business Applications designation",
    "azure": "Count it towards Microsoft’s Azure designations",
}
PAYS = {
    "crm_online": "an approved claim has been required since March 2019",
    "azure": "Azure has not paid one since 1 October 2021",
}


def words(html: str) -> str:
    """Return the text of a page, without tags and with single spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def trail(html: str) -> str:
    [found] = re.findall(r'<ol class="trail".*?</ol>', html, re.DOTALL)
    return " › ".join(words(step).strip() for step in re.findall(r"<li>(.*?)</li>", found))


def page(subscription: Subscription, verb: str = "detail") -> str:
    return reverse(f"associations:subscription_{verb}", args=[subscription.subscription_id])


def check(web: Client, subscription: Subscription, mpn_id: str) -> str:
    CheckOfId.objects.all().delete()  # so that the limit for a minute is not reached
    return web.post(page(subscription, "check"), {"mpn_id": mpn_id}, headers={"HX-Request": "true"}).text


def effects(agreement: str, product: str, day: str, **note: bool) -> dict[str, bool]:
    """Return the effects by text, each with whether the partner will or will not."""
    found = affects(agreement, product, date.fromisoformat(day), **note)
    return {str(one.text): one.will for one in found if one.about != "sees"}


def test_every_pair_shows_its_portal_who_may_attach_and_the_effects(web, customer, partner):
    assert set(TEXTS) == set(PortalName)
    for agreement, product in itertools.product(Agreement.values, Product.values):
        html = check(web, make_subscription(customer, agreement=agreement, product=product), partner.mpn_id)
        text, pair = words(html), (agreement, product)

        expected = (
            UNDER_ENTERPRISE[product] if agreement in ENTERPRISE else AZURE if pair == ("MOSA", "azure") else ONLINE
        )
        assert trail(html) == expected, pair
        assert f"1 {expected.split(' › ')[-1]} 2 Confirm partner" in text, pair
        assert (AUTOMATIC in text) == (agreement in ("MOSP", "CSP")), pair
        assert (ACTIVATION in text) == (agreement == "OPEN"), pair
        inferred = product in ("ems", "crm_online") if agreement in ENTERPRISE else agreement == "MOSA"
        assert (OUR_READING in text) == (inferred and pair != ("MOSA", "azure")), pair

        assert "What being the partner of record means" in text
        money = "consumption for every month, in US dollars"
        assert (money in text, "active users for every month" in text) == (product == "azure", product != "azure")
        assert (COUNTS[product] in text) == (agreement != "CSP"), pair
        assert (PAYS.get(product, "since 1 October 2019") in text) == (agreement != "CSP"), pair
        assert (BY_SALE in text) == (agreement == "CSP"), pair
        assert (REPORTS in text) == (agreement == "OPEN" and product in ("office365", "intune", "crm_online")), pair
        assert "your bill stays the same" in text
        assert "Get administrator rights" in text


@pytest.mark.parametrize(
    ("agreement", "product", "day", "expected"),
    [
        ("EA", "office365", "2016-08-10", {"towards Microsoft competencies": True, "for each active user": True}),
        ("EAS", "aadp", "2019-09-30", {"towards Microsoft competencies": True, "for each active user": True}),
        ("EA", "office365", "2019-10-01", {"towards Microsoft competencies": True, "since 1 October 2019": False}),
        (
            "MOSP",
            "office365",
            "2016-08-10",
            {"towards Microsoft competencies": True, "for selling and managing": True},
        ),
        ("MOSP", "office365", "2017-08-10", {"towards Microsoft competencies": True}),  # no source, so no effect
        ("MOSP", "crm_online", "2019-03-01", {"towards Microsoft competencies": True, "since March 2019": False}),
        (
            "OPEN",
            "intune",
            "2016-08-10",
            {"towards Microsoft competencies": True, "Open licences do not qualify": False},
        ),
        ("MOSA", "azure", "2015-07-31", {"towards Microsoft competencies": True}),
        ("MOSA", "azure", "2021-09-30", {"towards Microsoft competencies": True, "for consumption": True}),
        ("MOSA", "office365", "2016-08-10", {"towards Microsoft competencies": True}),
        ("CSP", "azure", "2016-08-10", {"go to the seller": False}),
    ],
)
def test_effects_are_those_of_the_day(agreement, product, day, expected):
    found = effects(agreement, product, day)

    assert len(found) == len(expected)
    for part, will in expected.items():
        assert [found[text] for text in found if part in text] == [will]


def test_trial_counts_for_nothing_and_own_use_never_pays():
    counts, own = (
        "Count it towards Microsoft competencies",
        "Earn an incentive: this is the partner’s own subscription",
    )
    assert effects("EA", "office365", "2016-08-10", own=True) == {counts: True, own: False}
    for pair in itertools.product(Agreement.values, Product.values):
        assert list(effects(*pair, "2026-11-26", trial=True, own=True).values()) == [False]
        assert effects(*pair, "2026-11-26", own=True)[own] is False


@pytest.mark.parametrize(
    ("agreement", "product", "expected"),
    [
        ("EA", "ems", "leads the deployment"),
        ("MOSP", "crm_online", "took part in the purchase"),
        ("OPEN", "office365", "manages the subscription"),
        ("MOSA", "azure", "drives consumption"),
        ("CSP", "office365", "does most to drive use"),
    ],
)
def test_who_should_be_partner_of_record_depends_on_the_pair(agreement, product, expected):
    assert expected in str(who(agreement, product, date(2026, 11, 26)).text)


def test_azure_is_measured_in_consumption_and_others_in_seats(web, customer, admin, partner):
    azure = make_subscription(customer, product="azure", agreement="MOSA", sku_string_id="EMS", seats=None)
    office = make_subscription(customer)
    Usage.objects.create(subscription=azure, month=date(2026, 10, 1), workload="azure", consumed_usd="5210.40")
    spent = "USD 5,210.40"

    assert f"Agreement {spent} consumed in Oct 2026" in words(web.get(page(azure)).text)
    assert f"Consumed in Oct 2026 {spent} Started" in words(web.get(page(azure)).text)
    assert "Enterprise Agreement 420 seats" in words(web.get(page(office)).text)
    new = make_subscription(customer, product="azure", seats=None)
    assert "Consumption – Started" in words(web.get(page(new)).text)

    several = web.get("/c/subscriptions/attach/", {"subscription": [azure.subscription_id, office.subscription_id]})
    assert f"{spent} Will be attached" in words(several.text)
    assert "420 Will be attached" in words(several.text)


def test_page_for_several_shows_common_effects_once_and_then_each_pair(web, customer, partner):
    chosen = [
        make_subscription(customer),
        make_subscription(customer, product="intune"),
        make_subscription(customer, product="azure"),
        make_subscription(customer, status="expired", agreement="CSP"),
    ]
    sent = {"step": "check", "mpn_id": partner.mpn_id, "subscription": [str(one.subscription_id) for one in chosen]}

    text = words(web.post("/c/subscriptions/attach/", sent).text)

    assert "Microsoft Intune, Enterprise Agreement · Office 365, Enterprise Agreement They will See seats" in text
    assert text.count("since 1 October 2019") == text.count("since 1 October 2021") == 1
    assert text.count("Get administrator rights") == 1
    assert BY_SALE not in text  # nothing will be attached there

    own = make_partner("Västerhamn IT AB", own_tenant_id=customer.tenant_id)
    text = words(web.post("/c/subscriptions/attach/", sent | {"mpn_id": own.mpn_id}).text)
    assert text.count("Earn an incentive: this is the partner’s own subscription") == 1
    assert "since 1 October" not in text


def test_both_sides_read_where_it_is_managed_and_the_effects(web, customer, admin):
    own = make_partner("Västerhamn IT AB", own_tenant_id=customer.tenant_id)
    subscription = make_subscription(customer, product="intune", agreement="OPEN")
    attaching.attach(subscription.subscription_id, own.mpn_id, by=admin)
    partner = Client()
    partner.force_login(make_member(own.organisation).user)
    partner_page = partner.get(
        reverse("associations:partner_subscription_detail", args=[subscription.subscription_id])
    ).text
    customer_page = web.get(page(subscription)).text

    assert (trail(partner_page), trail(customer_page)) == (ONLINE, "Online portal › Billing › Subscriptions")
    assert ACTIVATION in words(partner_page)
    assert "You will not Earn an incentive: this is the partner’s own subscription" in words(partner_page)
    assert "They will not: Earn an incentive: this is the partner’s own subscription" in words(customer_page)
