"""The list of a partner's claims as it was on a day, and what came from files without proof."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from associations.claims.models import Claim
from por.accounts.models import Actor, Organisation
from tests import estates
from tests.claims import add_proof
from tests.factories import make_member
from tests.pages import signed_in

MIGRATED = estates.claim(approved_on="2020-03-02")


@pytest.fixture
def claimant(tmp_path: Path) -> Actor:
    """Return a member of a partner with a migrated claim."""
    given = {"partners": [estates.partner()], "customers": [estates.customer()], "claims": [MIGRATED]}
    estates.load(estates.write(tmp_path, **given))  # type: ignore[arg-type]
    return make_member(Organisation.objects.get(number=estates.PARTNER))


def listed(actor: Actor, **query: str) -> list[str]:
    page = signed_in(actor).get("/p/claims/", query)
    assert page.status_code == 200
    return [row[0].number for row in page.context["rows"]]


def test_migrated_claim_without_proof_has_a_view_until_a_proof_comes(claimant):
    claim = Claim.objects.get()
    assert listed(claimant, view="without_proof") == [claim.number]
    assert "most recent proof" in signed_in(claimant).get(f"/p/claims/{claim.pk}/").content.decode()

    add_proof(claim, claimant)

    assert listed(claimant, view="without_proof") == []
    assert "most recent proof of each side" not in signed_in(claimant).get(f"/p/claims/{claim.pk}/").content.decode()


def test_list_shows_claims_as_of_a_day(claimant):
    claim = Claim.objects.get()
    add_proof(claim, claimant)

    assert listed(claimant, as_of="2020-03-01") == []
    assert listed(claimant, as_of="2020-07-15") == [claim.number]
    assert listed(claimant, as_of="2020-07-15", view="without_proof") == [claim.number], "the proof came later"
    assert listed(claimant, as_of="2020-07-15", status="draft") == []
    page = signed_in(claimant).get("/p/claims/", {"as_of": "2020-07-15"}).content.decode()
    assert "Back to today" in page
    assert "New claim" not in page
    lines = b"".join(signed_in(claimant).get("/p/claims/", {"as_of": "2020-07-15", "format": "csv"}))
    assert claim.number.encode() in lines


def test_day_in_the_future_is_refused(claimant):
    tomorrow = (date.today() + timedelta(days=2)).isoformat()
    assert signed_in(claimant).get("/p/claims/", {"as_of": tomorrow}).status_code == 422
