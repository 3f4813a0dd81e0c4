"""Claims on the page of a partner's customer, and beside the partners of a customer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.claims.actions import ending
from associations.claims.actions.drafting import withdraw
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from tests.claims import make_approved, make_draft, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival(customer: Customer, admin: Actor) -> Actor:
    """Return a member of another partner, which is of record for a subscription of the customer."""
    other = make_partner("Rival AB")
    attaching.attach(make_subscription(customer).subscription_id, other.mpn_id, by=admin)
    return make_member(other.organisation)


def of_customer(reader: Actor, customer: Customer, **query: str) -> str:
    """Return the part of the page that lists claims."""
    page = signed_in(reader).get(f"/p/customers/{customer.tenant_id}/", query)
    assert page.status_code == 200
    text: str = page.text
    return text.partition('id="claims-t"')[2].partition("</section>")[0]


def partners(reader: Actor, **query: str) -> str:
    text: str = signed_in(reader).get("/c/partners/", query).text
    return text


def test_page_of_a_customer_names_the_approved_and_open_claims_of_the_partner(customer, claimant, rival):
    approved, waiting = make_approved(customer, claimant, "exo"), make_submitted(customer, claimant, "spo")
    draft = make_draft(customer, claimant, "teams", name="Only a draft")
    elsewhere = make_approved(make_customer("Ekholmen AB"), claimant, "exo")
    theirs = make_submitted(customer, rival, "yammer")

    page = of_customer(claimant, customer)

    for claim in (approved, waiting):
        assert f'href="/p/claims/{claim.pk}/"' in page
        assert claim.number in page
    for claim in (draft, elsewhere, theirs):
        assert f"/p/claims/{claim.pk}/" not in page
    assert f"/p/claims/{theirs.pk}/" in of_customer(rival, customer), "it is its own"


def test_page_of_a_customer_has_the_claims_of_its_day(customer, claimant):
    approved = make_approved(customer, claimant, "exo")
    assert approved.number in of_customer(claimant, customer)
    assert approved.number not in of_customer(claimant, customer, as_of="2020-01-01")


def test_page_of_a_customer_says_which_claims_are_contested(customer, claimant, rival):
    make_approved(customer, claimant, "spo")
    make_submitted(customer, claimant, "exo")
    assert "Contested" not in of_customer(claimant, customer)

    make_submitted(customer, rival, "exo")

    assert "Contested" in of_customer(claimant, customer)
    assert "Contested" in of_customer(rival, customer)


@pytest.mark.usefixtures("any_time")
def test_page_of_a_customer_on_a_past_day_says_which_claims_were_contested_then(customer, claimant, rival):
    with mock.patch.object(timezone, "now", return_value=datetime(2026, 3, 2, 12, tzinfo=UTC)):
        make_approved(customer, claimant, "spo")
        make_submitted(customer, claimant, "exo")
    with mock.patch.object(timezone, "now", return_value=datetime(2026, 3, 4, 12, tzinfo=UTC)):
        theirs = make_submitted(customer, rival, "exo")
    withdraw(theirs.pk, by=rival)

    shown = [
        "Contested" in of_customer(claimant, customer, **query)
        for query in ({"as_of": "2026-03-03"}, {"as_of": "2026-03-04"}, {})
    ]

    assert shown == [False, True, False]


def test_ended_claim_is_not_on_the_page_of_a_customer(customer, claimant, admin):
    make_approved(customer, claimant, "exo")
    ended = make_approved(customer, claimant, "spo")
    ending.decline(ended.pk, by=admin)
    assert f'href="/p/claims/{ended.pk}/"' not in of_customer(claimant, customer)
    assert f"/c/claims/{ended.pk}/decline/" not in partners(admin)


def test_customer_finds_the_approved_claims_beside_their_partner_and_declines_there(customer, claimant, admin, rival):
    approved, waiting = make_approved(customer, claimant, "exo"), make_submitted(customer, claimant, "spo")
    theirs = make_approved(customer, rival, "teams")

    page = partners(admin)

    for claim in (approved, theirs):
        assert f'href="/c/claims/{claim.pk}/"' in page
        assert f'href="/c/claims/{claim.pk}/decline/"' in page
    assert f"/c/claims/{waiting.pk}/" not in page
    assert (
        page.index("Nordvik Cloud AB")
        < page.index(approved.number)
        < page.index("Rival AB")
        < page.index(theirs.number)
    )


def test_viewer_and_past_day_have_no_link_to_decline(customer, claimant, admin):
    approved = make_approved(customer, claimant, "exo")
    viewer = make_member(customer.organisation, "viewer")
    assert approved.number in partners(viewer)
    assert "/decline/" not in partners(viewer)
    assert "/decline/" in partners(admin)
    assert approved.number not in partners(admin, as_of="2020-01-01")


def test_customer_finds_no_claim_of_another_customer(customer, claimant, admin):
    make_approved(customer, claimant, "exo")
    other = make_customer("Ekholmen AB")
    theirs = make_approved(other, claimant, "exo")
    assert theirs.number not in partners(admin)


def test_pages_take_as_many_queries_for_many_claims_as_for_one(customer, claimant, admin):
    reviewer: Any = make_staff()
    make_approved(customer, claimant, "exo", reviewer=reviewer)
    pages = [(signed_in(admin), "/c/partners/"), (signed_in(claimant), f"/p/customers/{customer.tenant_id}/")]

    def counts() -> list[int]:
        return [queries(lambda web=web, path=path: web.get(path)) for web, path in pages]

    counts()
    few = counts()
    for workload in ("spo", "teams", "yammer"):
        make_approved(customer, claimant, workload, reviewer=reviewer)
    assert counts() == few
