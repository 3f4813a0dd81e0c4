"""The pages on which a claim is declined, ended, disputed or made again."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from associations.claims.actions import ending, reviewing
from associations.claims.models import Claim
from associations.claims.rules import ClaimStatus, Consent
from tests.claims import make_approved, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import signed_in


@pytest.fixture(scope="module")
def approved(shared: None) -> Claim:
    """Return an approved claim of a partner."""
    customer, partner = make_customer("Västerhamn Energi AB"), make_partner("Nordvik Cloud AB")
    return make_approved(customer, make_member(partner.organisation), "exo", "spo")


@pytest.fixture
def customers(approved: Claim) -> Client:
    return signed_in(make_member(approved.customer.organisation))


@pytest.fixture
def partners(approved: Claim) -> Client:
    return signed_in(make_member(approved.partner.organisation))


@pytest.fixture
def support(shared: None) -> Client:
    return signed_in(make_staff("support"))


def page(name: str, claim: Claim) -> str:
    return reverse(f"claims:{name}", args=[claim.pk])


def sent(client: Client, name: str, claim: Claim, **fields: Any) -> Any:
    return client.post(page(name, claim), {"version": claim.version, **fields})


def test_customer_reads_what_declining_means_and_declines(approved, customers):
    text = customers.get(page("claim_decline", approved)).text
    assert "Nordvik Cloud AB" in text
    assert "Exchange Online, SharePoint" in text
    assert "counts for nothing, as if it had never been" in text

    response = sent(customers, "claim_decline", approved, reason="Not ours.")

    assert response["Location"] == page("customer_claim", approved)
    assert Claim.objects.get().status == ClaimStatus.ENDED


def test_page_of_a_claim_that_cannot_be_declined_says_why(approved, customers):
    Claim.objects.update(consent=Consent.LAPSED, approved_at="2020-07-01T09:00Z")

    shown = customers.get(page("claim_decline", approved))
    response = sent(customers, "claim_decline", approved)
    assert (shown.status_code, response.status_code) == (200, 409)
    for answer in (shown, response):
        assert "The time to decline this claim is over." in answer.text
        assert "<textarea" not in answer.text


def test_later_decline_says_that_the_association_ends(approved, customers):
    Claim.objects.update(consent=Consent.LAPSED)

    assert "What was counted until now stays." in customers.get(page("claim_decline", approved)).text


def test_partner_ends_its_claim_with_a_reason(approved, partners):
    assert "This cannot be undone." in partners.get(page("claim_disassociate", approved)).text
    refused = sent(partners, "claim_disassociate", approved, reason=" ")
    assert (refused.status_code, "Enter a reason." in refused.text) == (422, True)

    assert sent(partners, "claim_disassociate", approved, reason="Over.")["Location"] == page("claim", approved)
    ended = partners.get(page("claim_disassociate", approved))
    assert "This claim has ended." in ended.text


def test_partner_disputes_a_rejection_and_keeps_what_it_wrote_when_it_is_stale(approved, partners):
    reviewer = make_staff()
    claim = make_under_review(approved.customer, make_member(approved.partner.organisation), "teams", reviewer=reviewer)
    claim = reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
    assert "You can dispute it until" in partners.get(page("claim_dispute", claim)).text

    stale = partners.post(page("claim_dispute", claim), {"version": claim.version - 1, "text": "Page 3 shows it."})
    assert (stale.status_code, "Page 3 shows it." in stale.text) == (409, True)
    assert sent(partners, "claim_dispute", claim, text="Page 3 shows it.").status_code == 302
    assert Claim.objects.get(pk=claim.pk).status == ClaimStatus.DISPUTED


def test_dispute_of_what_the_own_company_has_claimed_since_says_so(approved, partners):
    reviewer, claimant = make_staff(), make_member(approved.partner.organisation)
    claim = make_under_review(approved.customer, claimant, "teams", reviewer=reviewer)
    claim = reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
    make_submitted(approved.customer, claimant, "teams")

    response = sent(partners, "claim_dispute", claim, text="Page 3 shows it.")
    assert response.status_code == 409
    assert "Your company has already claimed Teams." in response.text


def test_claim_again_leads_to_a_new_draft(approved, partners):
    ending.disassociate(approved.pk, "Over.", by=make_member(approved.partner.organisation))
    assert "Make a new draft" in partners.get(page("claim_again", approved)).text

    response = partners.post(page("claim_again", approved))
    draft = Claim.objects.latest("pk")
    assert (draft.status, response["Location"]) == (ClaimStatus.DRAFT, page("claim", draft))


def test_claim_in_force_is_not_made_again(approved, partners):
    for response in (partners.get(page("claim_again", approved)), partners.post(page("claim_again", approved))):
        assert "This claim has been approved." in response.text
    assert Claim.objects.count() == 1


@pytest.mark.parametrize("name", ["claim_disassociate", "claim_dispute", "claim_again"])
def test_another_partner_finds_no_such_claim(approved, name):
    stranger = signed_in(make_member(make_partner("Rival AB").organisation))

    assert {stranger.get(page(name, approved)).status_code, sent(stranger, name, approved).status_code} == {404}


def test_another_customer_finds_no_such_claim(approved):
    stranger = signed_in(make_member(make_customer("Ekholmen AB").organisation))

    assert stranger.get(page("claim_decline", approved)).status_code == 404


def test_support_finds_a_claim_by_its_number_and_ends_it(approved, support):
    url = reverse("claims:claim_end")
    assert support.get(url).status_code == 200
    wrong = support.get(url, {"number": "CPR-1"})
    assert (wrong.status_code, "No claim has this number." in wrong.text) == (422, True)
    assert "Enter the number of a claim." in support.get(url, {"number": " "}).text

    found = support.get(url, {"number": approved.number})
    assert "Exchange Online, SharePoint" in found.text
    assert "This cannot be undone." in found.text
    given = {"number": approved.number, "version": approved.version}
    missing = support.post(url, given)
    assert (missing.status_code, "Enter a reason." in missing.text) == (422, True)
    assert Claim.objects.get().status == ClaimStatus.APPROVED
    assert support.post(url, given | {"reason": "Ticket 12."}).status_code == 302
    ended = support.get(url, {"number": approved.number})
    assert (ended.status_code, "This claim has ended." in ended.text) == (422, True)


@pytest.mark.parametrize("role", ["reviewer", "programme_administrator", "auditor"])
def test_only_support_ends_by_number(approved, role):
    staff = signed_in(make_staff(role))

    assert staff.get(reverse("claims:claim_end")).status_code == 403
    assert staff.post(reverse("claims:claim_end"), {"number": approved.number}).status_code == 403
