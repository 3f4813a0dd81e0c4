"""What a customer sees of claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from associations.claims.actions import reviewing
from associations.claims.actions.ending import can_decline
from associations.claims.models import Claim, Comment
from associations.claims.queries.customers import deadline_of
from associations.claims.rules import Consent, Reason
from por.accounts.models import Actor, Organisation
from por.directory.models import Partner
from tests.claims import add_proof, make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in

LIST = "/c/claims/"


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


def page_of(claim: Claim) -> str:
    return f"{LIST}{claim.pk}/"


def test_customer_sees_who_claims_what_from_the_first_submit_and_no_papers(customer, claimant, web, admin):
    draft = make_draft(customer, claimant, "teams")
    reviewer = make_staff()
    claim = make_under_review(customer, claimant, "exo", "spo", reviewer=reviewer)
    proof = add_proof(claim, claimant, description="Statement of work")
    Comment.objects.create(
        claim=claim, organisation=claimant.organisation, text="We moved their mail.", by_name="A", at=timezone.now()
    )
    reviewing.ask(claim.pk, [Reason.DATES], by=reviewer, note="See page 2.")

    listed, page = web.get(LIST).text, web.get(page_of(claim)).text

    for text in ("Nordvik Cloud AB", claim.number, "Karin Lund", "Action required"):
        assert text in listed, text
    for text in ("Exchange Online", "SharePoint Online", "karin.lund@vasterhamn.example", "Newest proof of execution"):
        assert text in page, text
    assert "submitted the claim" in page
    for text in (proof.filename, "Statement of work", "We moved their mail.", "See page 2.", "Dates are missing",
                 claim.name, "asked for more"):  # fmt: skip
        assert text not in listed + page, text
    assert web.get(page_of(draft)).status_code == 404
    assert signed_in(make_member(make_customer("Ekholmen AB").organisation)).get(page_of(claim)).status_code == 404


def test_approved_claim_says_what_it_means_and_until_when_it_can_be_declined(customer, claimant, web):
    claim = make_approved(customer, claimant)

    page = web.get(page_of(claim)).text

    assert "What this claim means" in page
    assert "You can decline until the end of" in page
    assert "If you do not decline in time, the claim is accepted." in page
    assert "A claim of Nordvik Cloud AB was approved" in web.get("/c/").text
    assert "You can decline until" in web.get(LIST, {"view": "decline"}).text


def test_last_day_to_decline_is_one_of_the_customer(customer, claimant, web):
    Organisation.objects.filter(pk=customer.pk).update(time_zone="America/New_York")
    claim = make_approved(customer, claimant)
    claim.customer.organisation.refresh_from_db()
    claim.consent_due_at = datetime(2026, 12, 5, 5, tzinfo=UTC)

    assert deadline_of(claim).day == datetime(2026, 12, 4).date()
    claim.consent_due_at = datetime(2026, 12, 5, 5, 30, tzinfo=UTC)  # seven times 24 hours end within a day
    assert deadline_of(claim) is None


@pytest.mark.parametrize(("approved_at", "later"), [("2021-06-01", False), ("2023-11-01", True)])
def test_accepted_claim_can_be_declined_where_the_policy_of_its_approval_allows_it(
    customer, claimant, web, approved_at, later
):
    claim = make_approved(customer, claimant)
    at = datetime.fromisoformat(f"{approved_at}T12:00:00+00:00")
    Claim.objects.filter(pk=claim.pk).update(
        approved_at=at, consent=Consent.LAPSED, consent_due_at=at + timedelta(days=7)
    )
    claim.refresh_from_db()

    assert can_decline(claim, timezone.now()) is later
    assert ("You can still decline it" in web.get(page_of(claim)).text) is later
    assert "A claim of Nordvik" not in web.get("/c/").text


def test_viewer_is_told_that_an_administrator_can_decline(customer, claimant):
    claim = make_approved(customer, claimant)
    viewer = signed_in(make_member(customer.organisation, "viewer"))

    assert "An administrator of your organisation can decline this claim here." in viewer.get(page_of(claim)).text


def test_contested_claim_says_that_another_partner_claims_it_too(customer, claimant, web):
    claim = make_submitted(customer, claimant, "exo")
    make_submitted(customer, make_member(make_partner("Rival AB").organisation), "exo")

    assert "Another partner has claimed Exchange Online too." in web.get(page_of(claim)).text


def test_subscription_names_the_claims_on_it_and_on_its_workloads(customer, claimant, web):
    subscription = make_subscription(customer)
    other = make_subscription(customer, product="intune", sku_string_id="INTUNE_A")
    claim = make_approved(customer, claimant, "exo")

    on = f"/c/subscriptions/{subscription.subscription_id}/"

    assert claim.number in web.get(on).text
    assert claim.number not in web.get(f"/c/subscriptions/{other.subscription_id}/").text
    yesterday = (timezone.now() - timedelta(days=1)).date().isoformat()
    assert claim.number not in web.get(on, {"as_of": yesterday}).text
    assert claim.number in signed_in(make_staff()).get(f"/a/subscriptions/{subscription.subscription_id}/").text


def test_list_takes_no_more_queries_for_more_claims(customer, claimant, web):
    make_submitted(customer, claimant, "exo")
    few = queries(lambda: web.get(LIST))
    for workload in ("spo", "teams"):
        make_approved(customer, claimant, workload)

    assert queries(lambda: web.get(LIST)) == few <= 10
