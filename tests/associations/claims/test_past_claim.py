"""The page of one claim as it was at the end of a day, for each of its readers, and the same over the API."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from associations.claims.actions import deciding, drafting, ending, reviewing, submitting
from associations.claims.models import Claim, Conflict
from associations.claims.queries.as_of import as_then, claims_then
from por.accounts.models import Actor
from por.directory.models import Partner
from tests.api import Api
from tests.claims import add_proof, make_draft, make_submitted, make_under_review
from tests.factories import make_member, make_partner, make_staff
from tests.pages import queries, signed_in

pytestmark = pytest.mark.usefixtures("any_time")

MARCH = 2026, 3


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


def on(day: int) -> Any:
    """Set the clock to noon of a day in March."""
    return mock.patch.object(timezone, "now", return_value=datetime(*MARCH, day, 12, tzinfo=UTC))


@pytest.fixture
def claim(customer: Any, claimant: Actor, admin: Actor, reviewer: Actor) -> Claim:
    """Return a claim that did something on every second day of March, and was declined at last."""
    with on(2):
        one = make_draft(customer, claimant, "exo", "spo")
        add_proof(one, claimant, filename="first.pdf")
    with on(4):
        submitting.submit(one.pk, by=claimant)
    with on(6):
        reviewing.start_review(one.pk, by=reviewer)
        reviewing.ask(one.pk, ["dates"], by=reviewer, note="Secret note")
    with on(8):
        add_proof(one, claimant, filename="second.pdf")
        submitting.submit(one.pk, by=claimant)
        reviewing.start_review(one.pk, by=reviewer)
    with on(10):
        one = reviewing.approve(one.pk, by=reviewer)
    with on(12):
        ending.decline(one.pk, by=admin)
    one.refresh_from_db()
    return one


def page(reader: Actor, claim: Claim, day: int | str) -> Any:
    place = {"customer": "c", "partner": "p", "staff": "a"}[reader.kind]
    asked = day if isinstance(day, str) else f"2026-03-{day:02}"
    return signed_in(reader).get(f"/{place}/claims/{claim.pk}/", {"as_of": asked})


def seen(reader: Actor, claim: Claim, day: int) -> tuple[str, str, list[str]]:
    """Return status, whose turn it is, and the outcomes of the units on that day, as the page shows them."""
    context = page(reader, claim, day).context
    return context["claim"].status, context["claim"].turn.value, [str(one) for _unit, one in context["units"]]


@pytest.mark.parametrize(
    ("day", "status", "turn", "outcome"),
    [
        (3, "draft", "partner", ""),
        (4, "submitted", "reviewer", ""),
        (6, "action_required", "partner", ""),
        (8, "under_review", "reviewer", ""),
        (10, "approved", "customer", "Held"),
        (11, "approved", "customer", "Held"),
        (12, "ended", "nobody", "Ended"),
        (20, "ended", "nobody", "Ended"),
    ],
)
def test_page_and_api_show_status_turn_and_units_at_the_end_of_the_day(
    claim, claimant, admin, reviewer, day, status, turn, outcome
):
    readers = [claimant] if status == "draft" else [claimant, admin, reviewer]
    for reader in readers:
        assert seen(reader, claim, day) == (status, turn, [outcome, outcome])
        answer = Api(reader).get(f"claims/{claim.pk}/", {"as_of": f"2026-03-{day:02}"}).json()
        assert (answer["status"], answer["whose_turn"]) == (status, turn)


def test_list_has_status_and_consent_of_each_day(claim, claimant, admin, reviewer):
    def states(actor: Actor) -> list[tuple[str, str]]:
        found = []
        for day in (1, 3, 4, 6, 8, 10, 12):
            rows = [as_then(row) for row in claims_then(actor, date(*MARCH, day)).filter(pk=claim.pk)]
            found.append((rows[0].status, rows[0].consent) if rows else ("", ""))
        return found

    wanted = [
        ("submitted", ""), ("action_required", ""), ("under_review", ""), ("approved", "pending"),
        ("ended", "declined"),
    ]  # fmt: skip
    assert states(claimant) == [("", ""), ("draft", ""), *wanted]
    assert states(reviewer) == states(admin) == [("", ""), ("", ""), *wanted]
    asked = as_then(claims_then(claimant, date(*MARCH, 6)).get(pk=claim.pk))
    assert (asked.turn, asked.due_at) == ("partner", claim.steps.get(verb="ask").due_at)
    assert as_then(claims_then(claimant, date(*MARCH, 11)).get(pk=claim.pk)).end_reason == ""


def test_files_are_those_that_were_uploaded_by_then(claim, claimant, admin, reviewer):
    for reader in (claimant, reviewer):
        early, late = (page(reader, claim, day).content.decode() for day in (7, 8))
        assert ("first.pdf" in early, "second.pdf" in early) == (True, False)
        assert ("first.pdf" in late, "second.pdf" in late) == (True, True)
    found = page(admin, claim, 9).content.decode()
    assert ".pdf" not in found, "a customer learns no name of a file"
    assert "The newest proof was uploaded on" in found


def test_steps_are_those_of_then_and_the_customer_reads_no_note(claim, claimant, admin, reviewer):
    for reader in (claimant, reviewer):
        early, late = page(reader, claim, 5).content.decode(), page(reader, claim, 6).content.decode()
        assert "The reviewer asked for more" not in early
        assert "The reviewer asked for more" in late
        assert "Secret note" in late
    found = page(admin, claim, 12).content.decode()
    assert "Secret note" not in found
    assert len(page(admin, claim, 5).context["items"]) < len(page(admin, claim, 12).context["items"])


def test_page_is_read_only_and_leads_back_to_today(claim, claimant, admin, reviewer, customer):
    with on(11):
        for reader in (claimant, admin, reviewer):
            shown = page(reader, claim, 10).content.decode()
            main = shown.partition('id="main"')[2]
            assert 'method="post"' not in main
            assert "As of" in shown
            assert "Back to today" in shown
            today = page(reader, claim, 11)
            assert "Back to today" not in today.content.decode(), "today is now"


def test_customer_and_staff_find_no_claim_before_its_submit_and_nobody_before_its_draft(
    claim, claimant, admin, reviewer
):
    for reader in (admin, reviewer):
        assert page(reader, claim, 3).status_code == 404
        assert Api(reader).get(f"claims/{claim.pk}/", {"as_of": "2026-03-03"}).status_code == 404
    assert page(claimant, claim, 3).status_code == 200
    assert page(claimant, claim, 1).status_code == 404


def test_others_find_nothing_on_any_day(claim, rival):
    for day in (3, 10, 20):
        assert page(rival, claim, day).status_code == 404
        assert Api(rival).get(f"claims/{claim.pk}/", {"as_of": f"2026-03-{day:02}"}).status_code == 404


def test_viewer_of_the_partner_reads_no_file_and_no_note(claim, claimant):
    viewer = make_member(claimant.organisation, "viewer")
    found = page(viewer, claim, 8).content.decode()
    assert ".pdf" not in found
    assert "Secret note" not in found
    assert "The newest proof was uploaded on" in found


def test_due_day_of_the_review_is_not_for_the_customer_and_the_term_to_decline_is(claim, claimant, admin):
    assert page(claimant, claim, 6).context["due"] is not None
    assert page(admin, claim, 6).context["due"] is None
    assert page(admin, claim, 10).context["due"].at == claim.consent_due_at


@pytest.mark.parametrize("wrong", ["2999-01-01", "yesterday", "2026-02-30", "1\x00"])
def test_day_in_the_future_or_no_day_is_said_on_the_page_of_today(claim, claimant, admin, reviewer, wrong):
    for reader in (claimant, admin, reviewer):
        answer = page(reader, claim, wrong)
        assert answer.status_code == 422
        assert "There is a problem" in answer.content.decode()
        assert Api(reader).get(f"claims/{claim.pk}/", {"as_of": wrong}).status_code == 422


def test_unit_that_was_lost_is_not_lost_before_the_decision(customer, claimant, rival, reviewer):
    with on(2):
        first = make_submitted(customer, claimant, "exo", "spo")
        make_under_review(customer, rival, "exo", reviewer=reviewer)
        conflict = Conflict.objects.get()
    with on(6):
        winner = Claim.objects.get(partner=rival.organisation_id)
        deciding.decide(conflict.pk, winner.pk, note="Newer.", by=reviewer)

    assert seen(claimant, first, 4)[2] == ["", ""]
    assert "Contested" in page(claimant, first, 4).content.decode()
    assert seen(claimant, first, 6)[2] == ["Another claim was approved", "Held"]
    assert "Contested" not in page(claimant, first, 6).content.decode()


def test_page_takes_as_many_queries_for_many_units_and_files(customer, claimant):
    with on(2):
        few = make_submitted(customer, claimant, "exo")
        many = make_submitted(customer, claimant, "spo", "teams", "yammer")
        for _each in range(3):
            add_proof(many, claimant)
    web = signed_in(claimant)

    def count(claim: Claim) -> int:
        return queries(lambda: web.get(f"/p/claims/{claim.pk}/", {"as_of": "2026-03-02"}))

    count(few)
    assert count(few) == count(many)


def test_draft_of_a_withdrawn_claim_is_seen_by_its_partner(customer, claimant, admin):
    with on(2):
        one = make_draft(customer, claimant, "exo")
    with on(4):
        drafting.withdraw(one.pk, by=claimant)
    assert seen(claimant, one, 3)[:2] == ("draft", "partner")
    assert seen(claimant, one, 4)[:2] == ("withdrawn", "nobody")
    assert page(admin, one, 4).status_code == 404


def test_term_that_ran_out_is_no_deadline_of_a_later_day(customer, claimant, admin, reviewer):
    with on(2):
        one = make_under_review(customer, claimant, "exo", reviewer=reviewer)
        one = reviewing.approve(one.pk, by=reviewer)
    assert one.consent_due_at is not None
    later = (one.consent_due_at + timedelta(days=2)).date().isoformat()
    shown = page(admin, one, later)
    assert shown.context["claim"].consent == "lapsed"
    assert shown.context["due"] is None
