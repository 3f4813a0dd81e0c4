"""What time does to claims, by any clock, and however often it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from associations import tasks
from associations.claims.actions import again, drafting, ending, reviewing, scheduled, submitting
from associations.claims.models import Claim, Conflict
from associations.claims.rules import ClaimStatus, Consent
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from por.history.models import Event
from por.ops.figures import figures
from tests.claims import make_approved, make_submitted, make_under_review
from tests.factories import make_member, make_partner, make_staff, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")
SECOND = timedelta(seconds=1)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


def at(moment: datetime | None) -> Any:
    assert moment is not None
    return mock.patch.object(timezone, "now", return_value=moment)


def run_at(moment: datetime | None) -> int:
    """Return how many things were done at this time; a second run does nothing."""
    with at(moment):
        done = scheduled.run_due()
        assert scheduled.run_due() == 0
    return done


def make_asked(customer: Customer, by: Actor, reviewer: Actor, *of: Any) -> Claim:
    claim = make_under_review(customer, by, *of, reviewer=reviewer)
    return reviewing.ask(claim.pk, ["dates"], by=reviewer)


def events(verb: str) -> int:
    return Event.objects.filter(verb=verb).count()


def test_silence_of_the_customer_is_consent_once_the_term_is_over(customer, claimant):
    claim = make_approved(customer, claimant)
    due_at = claim.consent_due_at
    assert due_at is not None

    assert run_at(due_at - SECOND) == 0
    assert run_at(due_at) == 1
    claim.refresh_from_db()
    assert (claim.status, claim.consent) == (ClaimStatus.APPROVED, Consent.LAPSED)
    assert events("claim.consent_lapsed") == 1
    assert Association.objects.get().is_in_force


def test_declined_claim_has_no_consent_to_lapse(customer, claimant, admin):
    claim = make_approved(customer, claimant)
    ending.decline(claim.pk, by=admin)

    assert run_at(claim.consent_due_at) == 0


def test_answer_that_does_not_come_in_time_rejects_the_claim(customer, claimant, reviewer):
    claim = make_asked(customer, claimant, reviewer, "exo", "spo")
    make_submitted(customer, make_member(make_partner("Rival AB").organisation), "spo")
    due_at = claim.due_at

    with at(due_at), mock.patch.object(scheduled, "remind", return_value=False):
        assert scheduled.run_due() == 1
    claim.refresh_from_db()
    assert (claim.status, claim.steps.latest("at").reasons) == (ClaimStatus.REJECTED, ["no_answer"])
    assert claim.due_at is not None, "it can be disputed"
    assert Conflict.objects.get().status == "closed"
    assert not claim.units.filter(live=True).exists()
    assert run_at(due_at) == 0


def test_partner_that_answers_is_not_rejected(customer, claimant, reviewer):
    claim = make_asked(customer, claimant, reviewer)
    due_at = claim.due_at
    submitting.submit(claim.pk, by=claimant)
    assert run_at(due_at) == 0


def test_rejection_that_nobody_disputes_in_time_is_final(customer, claimant, reviewer):
    claim = make_under_review(customer, claimant, reviewer=reviewer)
    claim = reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
    due_at = claim.due_at
    assert due_at is not None

    assert run_at(due_at - SECOND) == 0
    assert run_at(due_at) == 1
    claim.refresh_from_db()
    assert (claim.status, claim.due_at) == (ClaimStatus.REJECTED_FINAL, None)
    assert events("claim.dispute_lapsed") == 1
    assert again.claim_again(claim.pk, by=claimant).status == ClaimStatus.DRAFT


# --- Reminders ------------------------------------------------------------------------------------------------------


def test_partner_is_reminded_at_half_the_term_and_on_the_last_day(customer, claimant, reviewer):
    claim = make_asked(customer, claimant, reviewer)
    version = claim.version
    half, last = scheduled.reminders_of(claim)
    assert claim.due_at is not None
    assert last == claim.due_at - timedelta(days=1), "the last day begins in the time zone of the customer"

    assert run_at(half - SECOND) == 0
    assert run_at(half) == 1
    assert run_at(last - SECOND) == 0
    assert run_at(last) == 1
    assert run_at(claim.due_at - SECOND) == 0
    reminded = Event.objects.filter(verb="claim.reminded").order_by("pk")
    assert [one.changes["reminder"] for one in reminded] == [1, 2]
    assert {one.chain for one in reminded} == {f"organisation:{claim.partner_id}"}, "the customer never reads it"
    claim.refresh_from_db()
    assert claim.version == version, "a form that the partner has open stays good"


def test_missed_reminder_is_not_made_up_for(customer, claimant, reviewer):
    claim = make_asked(customer, claimant, reviewer)
    _half, last = scheduled.reminders_of(claim)

    assert run_at(last) == 1
    assert events("claim.reminded") == 1


def test_change_of_the_claim_moves_no_reminder(customer, claimant, reviewer):
    claim = make_asked(customer, claimant, reviewer)
    before = scheduled.reminders_of(claim)
    with at(before[0]):
        scheduled.run_due()
        claim = drafting.change(claim.pk, {"name": "Another name"}, by=claimant)

    assert scheduled.reminders_of(claim) == before
    assert run_at(before[0]) == 0
    assert run_at(before[1]) == 1


def test_next_question_has_reminders_of_its_own(customer, claimant, reviewer):
    claim = make_asked(customer, claimant, reviewer)
    with at(scheduled.reminders_of(claim)[1]):
        scheduled.run_due()
        submitting.submit(claim.pk, by=claimant)
        reviewing.start_review(claim.pk, by=reviewer)
        claim = reviewing.ask(claim.pk, ["no_products"], by=reviewer)

    assert run_at(scheduled.reminders_of(claim)[0]) == 1


# --- What is ours ---------------------------------------------------------------------------------------------------


def test_our_own_overdue_is_counted_and_changes_nothing(customer, claimant, reviewer):
    claim = make_submitted(customer, claimant)
    assert "claims_overdue 0.0" in figures().decode()

    assert run_at(claim.due_at) == 0
    with at(claim.due_at):
        assert scheduled.overdue() == 1
        assert "claims_overdue 1.0" in figures().decode()
        reviewing.start_review(claim.pk, by=reviewer)
        assert scheduled.overdue() == 0


def test_claims_are_done_with_all_else_that_is_due(customer, claimant):
    claim = make_approved(customer, claimant)
    with at(claim.consent_due_at):
        assert tasks.run_scheduled() == 1
        assert tasks.run_scheduled() == 0


# --- Renewals -------------------------------------------------------------------------------------------------------


def test_partner_is_told_once_of_each_number_of_days_before_a_claimed_subscription_renews(customer, claimant):
    renews_on = datetime(2027, 6, 1, tzinfo=UTC).date()
    subscription = make_subscription(customer, product="crm_online", sku_string_id="CRMSTANDARD", renews_on=renews_on)
    make_approved(customer, claimant, subscription)
    Claim.objects.update(consent=Consent.LAPSED)

    told = []
    for days in (61, 60, 59, 45, 30, 29, 7, 6, 1, 0):
        with at(datetime(2027, 6, 1, 9, tzinfo=UTC) - timedelta(days=days)):
            if scheduled.run_due():
                told.append(days)
            assert scheduled.run_due() == 0
    assert told == [60, 30, 7]
    event = Event.objects.filter(verb="claim.renewal_due").latest("pk")
    assert (event.changes["renews_on"], event.changes["days"]) == ("2027-06-01", 7)
    Subscription.objects.update(renews_on=renews_on.replace(year=2028))
    assert run_at(datetime(2028, 5, 2, 9, tzinfo=UTC)) == 1


def test_of_several_notices_that_were_missed_the_last_is_given(customer, claimant):
    subscription = make_subscription(
        customer,
        product="crm_online",
        sku_string_id="CRMSTANDARD",
        renews_on=datetime(2027, 6, 1, tzinfo=UTC).date(),
    )
    make_approved(customer, claimant, subscription)
    Claim.objects.update(consent=Consent.LAPSED)

    assert run_at(datetime(2027, 5, 5, 9, tzinfo=UTC)) == 1
    assert Event.objects.get(verb="claim.renewal_due").changes["days"] == 27
