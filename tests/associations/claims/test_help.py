"""The page that explains claims says what follows from the policy of the day."""

from __future__ import annotations

from datetime import date

import pytest

from associations.claims.policies import policy_on
from associations.claims.queries.help import help_on, term_text
from associations.claims.rules import CHECKLIST
from por.accounts.models import Actor
from por.programs.policies import Term
from tests.claims import make_draft
from tests.factories import make_member, make_staff
from tests.pages import signed_in

ADDRESS = "/how-claims-work/"


@pytest.mark.parametrize(
    ("day", "review", "consent"),
    [
        (date(2019, 10, 1), "5 business days", "5 business days"),
        (date(2021, 4, 30), "5 business days", "5 business days"),
        (date(2021, 5, 1), "5 business days", "7 days"),
        (date(2023, 9, 30), "5 business days", "7 days"),
        (date(2023, 10, 1), "14 business days", "5 business days"),
    ],
)
def test_terms_are_those_of_the_day(day, review, consent):
    steps = dict(help_on(day).steps)
    assert review in steps["Review"]
    assert review in steps["Answer of the partner"]
    assert consent in steps["Consent of the customer"]
    assert ("Later it can still decline" in steps["Consent of the customer"]) == policy_on(day).decline_after_consent


def test_rules_of_proof_begin_on_their_days():
    newest = "most recent proof"
    assert not any(newest in one for one in help_on(date(2020, 6, 30)).conflicts)
    assert any(newest in one for one in help_on(date(2020, 7, 1)).conflicts)
    assert not any("approved claim" in one for one in help_on(date(2020, 3, 31)).proof)
    assert any("approved claim" in one for one in help_on(date(2020, 4, 1)).proof)
    assert not any("public sector" in one for one in help_on(date(2021, 7, 31)).proof)
    assert any("public sector" in one for one in help_on(date(2021, 8, 1)).proof)


def test_day_before_claims_has_nothing_to_explain():
    assert help_on(date(2019, 2, 28)) == ([], [], [], [])
    assert "Review" not in dict(help_on(date(2019, 3, 1)).steps), "no term was published"


def test_term_in_words():
    assert [term_text(one) for one in (Term(1), Term(7), Term(1, True), Term(14, True))] == [
        "1 day",
        "7 days",
        "1 business day",
        "14 business days",
    ]


@pytest.mark.parametrize("language", ["en", "sv"])
def test_everyone_reads_the_page_and_finds_the_five_reasons(customer, partner, admin, language):
    readers: list[Actor] = [admin, make_member(partner.organisation, "viewer"), make_staff("support")]
    for reader in readers:
        page = signed_in(reader, language=language).get(ADDRESS)
        assert page.status_code == 200
        assert len(page.context["reasons"]) == len(CHECKLIST) == 5
        for reason in page.context["reasons"]:
            assert reason in page.text


def test_page_as_of_a_day_is_that_of_the_day(admin):
    web = signed_in(admin)
    assert "7 days" in web.get(ADDRESS, {"as_of": "2021-06-01"}).text
    assert "There were no claims on that day." in web.get(ADDRESS, {"as_of": "2018-01-01"}).text
    assert web.get(ADDRESS, {"as_of": "2999-01-01"}).status_code == 422


def test_pages_of_claims_lead_to_it(customer, partner, admin):
    claimant = make_member(partner.organisation)
    claim = make_draft(customer, claimant)
    pages = {
        claimant: [
            "/p/claims/",
            f"/p/claims/{claim.pk}/edit/units/",
            f"/p/claims/{claim.pk}/proofs/",
            "/p/claims/proofs/",
        ],
        admin: ["/c/claims/"],
    }
    for reader, paths in pages.items():
        for path in paths:
            assert f'href="{ADDRESS}"' in signed_in(reader).get(path).text, path


def test_form_for_proof_names_the_months_of_the_policy(customer, partner):
    claimant = make_member(partner.organisation)
    page = signed_in(claimant).get(f"/p/claims/{make_draft(customer, claimant).pk}/proofs/").text
    assert f"at most {policy_on(date.today()).acknowledged_within_months} months ago" in page
