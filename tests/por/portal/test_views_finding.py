"""The staff finds customers, partners and subscriptions, and reads who is the partner of record and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in

FIND, CUSTOMERS, SUBSCRIPTIONS, REQUESTS = "/a/find/", "/a/customers/", "/a/subscriptions/", "/a/change-requests/"


@pytest.fixture
def reader() -> Actor:
    return make_staff("auditor")


@pytest.fixture
def customer() -> Customer:
    return make_customer("Almviks kommun", domain="almvik.example")


def attach(subscription: Subscription, partner: Partner, by: Actor | None = None, **given: Any) -> Any:
    by = by or make_member(subscription.customer.organisation)
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=by, **given)


def page_of(subscription: Subscription) -> str:
    return f"{SUBSCRIPTIONS}{subscription.subscription_id}/"


# --- One search for all ---------------------------------------------------------------------------------------------


def test_search_finds_customers_partners_and_subscriptions(web, customer, partner):
    subscription = make_subscription(customer)
    attach(subscription, partner)

    def found(text: str) -> tuple[list[str], list[str], list[str]]:
        context = web.get(FIND, {"search": text}).context
        return (
            [row.customer.organisation.name for row in context["customers"]],
            [row.partner.mpn_id for row in context["partners"]],
            [str(row.subscription.subscription_id) for row in context["rows"]],
        )

    number = str(subscription.subscription_id)
    assert found("almvik") == ([customer.organisation.name], [], [number])
    assert found("almvik.example") == ([customer.organisation.name], [], [number])
    assert found(str(customer.tenant_id)) == ([customer.organisation.name], [], [number])
    assert found(str(customer.tenant_id)[:8])[0] == [customer.organisation.name]
    assert found(partner.mpn_id) == ([], [partner.mpn_id], [number])
    assert found("Nordvik") == ([], [partner.mpn_id], [number])
    assert found(number[:8]) == ([], [], [number])


def test_search_says_that_nothing_matches_and_that_a_text_is_too_short(web):
    assert "Nothing matches" in web.get(FIND, {"search": "nobody"}).text
    short = web.get(FIND, {"search": "ab"})
    assert short.status_code == 422
    assert "Enter at least 3 characters" in short.text
    empty = web.get(FIND)
    assert (empty.status_code, "Nothing matches" in empty.text) == (200, False)


def test_search_links_to_the_whole_list_where_there_are_more_than_it_shows(web):
    for number in range(6):
        make_customer(f"Almvik {number}")
    page = web.get(FIND, {"search": "almvik"})
    assert len(page.context["customers"]) == 5
    assert page.context["more"] == {"customers"}
    assert f"{CUSTOMERS}?search=almvik" in page.text
    assert len(web.get(f"{CUSTOMERS}?search=almvik").context["rows"]) == 6


def test_number_of_queries_of_a_search_does_not_grow_with_what_it_finds(web):
    def search() -> Any:
        return web.get(FIND, {"search": "almvik"})

    make_subscription(make_customer("Almvik one"))
    search()
    few = queries(search)
    for number in range(4):
        make_subscription(make_customer(f"Almvik {number}"))
    assert queries(search) == few


# --- Customers ------------------------------------------------------------------------------------------------------


def test_customer_has_its_subscriptions_and_how_many_have_no_partner(web, customer, partner):
    attach(make_subscription(customer), partner)
    make_subscription(customer)
    make_subscription(customer, status="expired")
    make_customer("Without any")

    rows = {row.customer.organisation.name: row for row in web.get(CUSTOMERS).context["rows"]}
    assert (rows["Almviks kommun"].subscriptions, rows["Almviks kommun"].without_partner) == (3, 1)
    assert (rows["Without any"].subscriptions, rows["Without any"].without_partner) == (0, 0)

    detail = web.get(f"{CUSTOMERS}{customer.tenant_id}/")
    assert len(detail.context["rows"]) == 3
    assert partner.organisation.name in detail.text
    behind = web.get(f"{SUBSCRIPTIONS}?view=no_partner&tenant_id={customer.tenant_id}")
    assert len(behind.context["rows"]) == rows["Almviks kommun"].without_partner


def test_customer_shows_who_has_an_association_with_its_tenant(web, customer, partner):
    Association.objects.create(
        kind="delegated_admin", customer=customer, partner=partner, began_at=timezone.now(), source="estate"
    )
    text = web.get(f"{CUSTOMERS}{customer.tenant_id}/").text
    assert "Delegated administrator" in text
    assert f"/a/partners/{partner.mpn_id}/" in text


def test_unknown_customer_and_unknown_subscription_are_404(web):
    nothing = "00000000-0000-0000-0000-000000000000"
    assert web.get(f"{CUSTOMERS}{nothing}/").status_code == 404
    assert web.get(f"{SUBSCRIPTIONS}{nothing}/").status_code == 404
    assert web.get(f"{REQUESTS}99999999/").status_code == 404


# --- Subscriptions --------------------------------------------------------------------------------------------------


def test_subscription_says_who_is_the_partner_of_record_since_when_and_who_attached_it(web, customer, partner):
    subscription = make_subscription(customer)
    admin = make_member(customer.organisation, name="Elin Sandberg")
    attach(subscription, partner, by=admin, note="They moved our mail.")

    text = web.get(page_of(subscription)).text

    assert partner.organisation.name in text
    assert partner.mpn_id in text
    assert "Attached" in text
    assert "Elin Sandberg" in text
    assert f"/a/history/?object=subscription:{subscription.subscription_id}" in text
    history = web.get(f"/a/history/?object=subscription:{subscription.subscription_id}")
    assert len(history.context["rows"]) == 1


def test_subscription_says_that_it_never_had_a_partner_or_has_none_now(web, customer, partner):
    subscription = make_subscription(customer)
    assert "has never had a partner of record" in web.get(page_of(subscription)).text
    admin = make_member(customer.organisation)
    attach(subscription, partner, by=admin)
    attaching.remove(subscription.subscription_id, by=admin, reason="Project done.")
    text = web.get(page_of(subscription)).text
    assert "has no partner of record now" in text
    assert partner.organisation.name in text


def test_subscription_can_be_read_as_of_an_earlier_day(web, customer, partner):
    day = timezone.now().date() - timedelta(days=40)
    subscription = make_subscription(customer, started_on=day)
    attach(subscription, partner)
    before = web.get(f"{page_of(subscription)}?as_of={day.isoformat()}")
    assert "no partner of record at the end of that day" in before.text
    assert before.context["events"] == []


def test_list_of_subscriptions_finds_by_partner_and_keeps_to_its_views(web, customer, partner):
    held, free = make_subscription(customer), make_subscription(customer)
    attach(held, partner)

    def listed(query: str) -> list[Subscription]:
        return [row.subscription for row in web.get(f"{SUBSCRIPTIONS}{query}").context["rows"]]

    assert listed(f"?partner_of_record={partner.mpn_id}") == [held]
    assert listed("?view=no_partner") == [free]
    assert listed("?view=requests") == []
    attach(held, make_partner("Halden Konsult AB"))
    assert listed("?view=requests") == [held]


# --- Change requests ------------------------------------------------------------------------------------------------


def test_staff_reads_the_statements_of_all_parties_and_cannot_answer(web, customer, partner):
    subscription, rival = make_subscription(customer), make_partner("Halden Konsult AB")
    attach(subscription, partner)
    opened = attach(subscription, rival).request
    for one, text in ((partner, "We run their mail."), (rival, "We moved their phones.")):
        change_requests.submit_statement(opened.pk, text, by=make_member(one.organisation))

    assert [one.request.pk for one, _url in web.get(REQUESTS).context["rows"]] == [opened.pk]
    page = web.get(f"{REQUESTS}{opened.pk}/")
    assert "We run their mail." in page.text
    assert "We moved their phones." in page.text
    assert "Send answer" not in page.text
    assert f"{REQUESTS}{opened.pk}/" in web.get(page_of(subscription)).text


# --- From the home --------------------------------------------------------------------------------------------------


def test_home_and_the_header_lead_to_the_search(web):
    text = web.get("/a/").text
    assert text.count('action="/a/find/"') == 2
    assert signed_in(make_staff("support")).get(FIND).status_code == 200
