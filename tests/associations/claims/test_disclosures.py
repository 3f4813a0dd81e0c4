"""A conflict in the public sector is decided for a claim only with the disclosure, as a claim is approved."""

from __future__ import annotations

from typing import Any

import pytest

from associations.claims.actions import deciding, reviewing
from associations.claims.models import Claim, Conflict
from associations.claims.rules import ClaimStatus
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from por.errors import Refused
from tests.api import Api
from tests.claims import make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import signed_in


@pytest.fixture
def public() -> Customer:
    return make_customer(segment=Customer.Segment.PUBLIC_SECTOR)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


def refused(code: str, field: str | None = None) -> Any:
    return pytest.raises(Refused, check=lambda one: (one.code, one.field) == (code, field))


def open_on(workload: str) -> Conflict:
    return Conflict.objects.open().get(workload=workload)


def decide(workload: str, winner: Claim | None, reviewer: Actor, **more: Any) -> Conflict:
    given: dict[str, Any] = {"note": "Their proof is the newest.", "by": reviewer} | more
    return deciding.decide(open_on(workload).pk, winner and winner.pk, **given)


def status(claim: Claim) -> str:
    claim.refresh_from_db()
    return claim.status


def holders(customer: Customer) -> dict[str, str]:
    found = Association.objects.open().filter(customer=customer).exclude(program="")
    return dict(found.values_list("workload", "partner__mpn_id"))


def test_decision_for_a_claim_needs_the_disclosure_and_changes_nothing_without_it(public, claimant, rival, reviewer):
    first, second = make_submitted(public, claimant), make_submitted(public, rival)

    with refused("disclosure_missing", "disclosed"):
        decide("exo", second, reviewer)

    assert (status(first), status(second)) == (ClaimStatus.SUBMITTED, ClaimStatus.SUBMITTED)
    assert holders(public) == {}
    decide("exo", second, reviewer, disclosed=True)
    assert status(second) == ClaimStatus.APPROVED


def test_loser_is_not_approved_for_the_rest_without_its_own_disclosure(public, claimant, rival, reviewer):
    first, second = make_submitted(public, claimant, "exo", "spo"), make_submitted(public, rival, "exo")

    decide("exo", second, reviewer, disclosed=True)

    assert status(first) == ClaimStatus.UNDER_REVIEW
    with refused("disclosure_missing", "disclosed"):
        reviewing.approve(first.pk, by=reviewer)
    reviewing.approve(first.pk, by=reviewer, disclosed=True)
    assert holders(public) == {"exo": second.partner.mpn_id, "spo": first.partner.mpn_id}


def test_control_a_loser_of_another_customer_is_approved_for_the_rest(customer, claimant, rival, reviewer):
    first, second = make_submitted(customer, claimant, "exo", "spo"), make_submitted(customer, rival, "exo")
    decide("exo", second, reviewer)
    assert status(first) == ClaimStatus.APPROVED


def test_decision_that_approves_nobody_needs_no_disclosure(public, claimant, rival, reviewer):
    held = make_under_review(public, claimant, "exo", reviewer=reviewer)
    held = reviewing.approve(held.pk, by=reviewer, disclosed=True)
    claim = make_submitted(public, rival, "exo")

    decide("exo", held, reviewer)

    assert (status(held), status(claim)) == (ClaimStatus.APPROVED, ClaimStatus.REJECTED)
    again = make_submitted(public, make_member(make_partner("Fourth AB").organisation), "exo")
    decide("exo", None, reviewer)
    assert status(again) == ClaimStatus.REJECTED


def test_program_confirms_the_disclosure_with_a_field(public, claimant, rival, reviewer):
    make_submitted(public, claimant)
    second = make_submitted(public, rival)
    api, path = Api(reviewer), f"conflicts/{open_on('exo').pk}/decide/"
    body = {"winner": second.pk, "note": "Newer."}

    refusal = api.post(path, body)

    assert (refusal.status_code, refusal.json()["errors"][0]["code"]) == (422, "disclosure_missing")
    assert api.post(path, body | {"disclosed": True}).status_code == 200
    assert status(second) == ClaimStatus.APPROVED


def test_page_asks_for_the_disclosure_in_the_public_sector_alone(public, customer, claimant, rival, reviewer):
    web, label = signed_in(reviewer), "The proof has the disclosure for the public sector"
    make_submitted(customer, claimant)
    make_submitted(customer, rival)
    assert label not in web.get(f"/a/conflicts/{open_on('exo').pk}/").text
    make_submitted(public, claimant, "spo")
    second = make_submitted(public, rival, "spo")
    page = f"/a/conflicts/{open_on('spo').pk}/"
    assert label in web.get(page).text
    given = {"winner": str(second.pk), "note": "Newer."}

    answer = web.post(f"{page}decide/", given)

    assert answer.status_code == 422
    assert "This customer is in the public sector." in answer.text
    assert web.post(f"{page}decide/", given | {"disclosed": "on"}).status_code == 302
    assert status(second) == ClaimStatus.APPROVED
