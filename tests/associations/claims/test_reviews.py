"""Who reviews a claim, who may not, and the proof of the public sector."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils import timezone

from associations.claims.actions import assigning, interests, reviewing, submitting
from associations.claims.models import Interest
from associations.claims.policies import policy_on
from associations.claims.rules import ClaimStatus, Reason
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions.notifying import choose
from por.notifications.messages import choosable
from por.notifications.models import Delivery, How, Notification, Topic
from tests.claims import make_approved, make_submitted, make_under_review
from tests.factories import make_member, make_partner, make_staff


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


@pytest.fixture
def public(customer: Customer) -> Customer:
    customer.segment = Customer.Segment.PUBLIC_SECTOR
    customer.save(update_fields=["segment"])
    return customer


def refused(code: str, field: str | None = None) -> object:
    return pytest.raises(Refused, check=lambda one: (one.code, one.field) == (code, field))  # type: ignore[call-overload]


# --- Assigning ------------------------------------------------------------------------------------------------------


def test_assigned_reviewer_is_told_in_the_house_alone(customer, claimant, reviewer):
    claim = make_submitted(customer, claimant)
    other = make_staff()

    assigned = assigning.assign(claim.pk, other.user_id, by=reviewer)

    assert (assigned.assigned_to, assigned.version) == (other.user, claim.version)
    event = Event.objects.get(verb="claim.assigned")
    assert (event.chain, event.parties) == ("house", [])
    relay()
    assert Notification.objects.get(event=event).membership.user == other.user
    assert Delivery.objects.get(event=event).user == other.user


def test_reviewer_who_takes_a_claim_is_not_told_and_taking_it_twice_is_one_event(customer, claimant, reviewer):
    claim = make_submitted(customer, claimant)

    for _each in range(2):
        assigning.assign(claim.pk, reviewer.user_id, by=reviewer)

    relay()
    assert Event.objects.filter(verb="claim.assigned").count() == 1
    assert not Notification.objects.filter(event__verb="claim.assigned").exists()


def test_mail_to_the_assigned_one_can_be_turned_off(customer, claimant, reviewer):
    other = make_staff()
    assert [message.name for _topic, mails in choosable("staff") for message in mails] == [
        "claim_answered",
        "claim_assigned",
    ]
    choose(other.user.memberships.get(), {Topic.CLAIM.key: How.OFF})

    assigning.assign(make_submitted(customer, claimant).pk, other.user_id, by=reviewer)

    relay()
    assert Notification.objects.filter(event__verb="claim.assigned").exists()
    assert not Delivery.objects.filter(event__verb="claim.assigned").exists()


@pytest.mark.parametrize("role", ["support", "auditor", "programme_administrator"])
def test_claim_is_assigned_by_a_reviewer_to_a_reviewer(customer, claimant, reviewer, role):
    claim, other = make_submitted(customer, claimant), make_staff(role)

    with pytest.raises(Forbidden):
        assigning.assign(claim.pk, reviewer.user_id, by=other)
    with refused("reviewer_unknown", "reviewer"):
        assigning.assign(claim.pk, other.user_id, by=reviewer)


def test_decided_claim_is_assigned_to_nobody(customer, claimant, reviewer):
    with refused("claim_approved"):
        assigning.assign(make_approved(customer, claimant).pk, reviewer.user_id, by=reviewer)


def test_start_of_the_review_takes_a_claim_that_nobody_has(customer, claimant, reviewer):
    free, taken = make_submitted(customer, claimant, "exo"), make_submitted(customer, claimant, "spo")
    other = make_staff()
    assigning.assign(taken.pk, other.user_id, by=other)

    assert reviewing.start_review(free.pk, by=reviewer).assigned_to == reviewer.user
    assert reviewing.start_review(taken.pk, by=reviewer).assigned_to == other.user


# --- Interests ------------------------------------------------------------------------------------------------------


def test_reviewer_with_an_interest_decides_nothing_until_it_is_removed(customer, claimant, reviewer, partner):
    claim = make_under_review(customer, claimant)

    interest = interests.mark(partner.mpn_id, by=reviewer, note="My brother works there.")

    for verb in (reviewing.approve, lambda pk, by: reviewing.reject(pk, [Reason.DATES], by=by)):
        with refused("interest"):
            verb(claim.pk, by=reviewer)
    with refused("interest", "reviewer"):
        assigning.assign(claim.pk, reviewer.user_id, by=make_staff())
    interests.remove(interest.pk, by=reviewer)
    assert reviewing.approve(claim.pk, by=reviewer).status == ClaimStatus.APPROVED
    events = Event.objects.filter(object_kind="interest").order_by("pk")
    assert [(one.verb, one.chain) for one in events] == [("interest.marked", "house"), ("interest.removed", "house")]
    assert "brother" not in str([one.changes for one in events])


def test_interest_in_a_company_is_one_in_all_its_locations(customer, reviewer):
    company = make_partner("Nordvik Group", kind="global")
    location = make_member(make_partner(parent=company.organisation).organisation)
    claim = make_under_review(customer, location)
    interests.mark(company.mpn_id, by=reviewer)

    with refused("interest"):
        reviewing.approve(claim.pk, by=reviewer)


def test_customer_is_named_by_its_tenant_and_a_second_mark_changes_the_note(customer, reviewer):
    first = interests.mark(f"{{{customer.tenant_id}}}".upper(), by=reviewer)
    second = interests.mark(str(customer.tenant_id), by=reviewer, note="I own shares.")

    assert (first.pk, second.note, Interest.objects.count()) == (second.pk, "I own shares.", 1)
    assert Event.objects.filter(verb="interest.marked").count() == 1


@pytest.mark.parametrize("number", ["", "4471902", "not a number", "3f2b6a1e-5c6d-4f0e-9a51-6d1c2b7a8e90"])
def test_unknown_organisation_is_refused(reviewer, number):
    with refused("organisation_not_found", "number"):
        interests.mark(number, by=reviewer)


def test_programme_administrator_marks_for_a_reviewer_and_a_reviewer_only_for_themself(reviewer, partner):
    administrator, other = make_staff("programme_administrator"), make_staff()

    by_administrator = interests.mark(partner.mpn_id, by=administrator, reviewer_id=reviewer.user_id)
    by_reviewer = interests.mark(partner.mpn_id, by=other, reviewer_id=reviewer.user_id)

    assert (by_administrator.reviewer, by_reviewer.reviewer) == (reviewer.user, other.user)
    with refused("reviewer_unknown", "reviewer"):
        interests.mark(partner.mpn_id, by=administrator)
    with pytest.raises(NotFound):
        interests.remove(by_administrator.pk, by=other)
    interests.remove(by_administrator.pk, by=administrator)
    for role in ("support", "auditor"):
        with pytest.raises(Forbidden):
            interests.mark(partner.mpn_id, by=make_staff(role))
    with pytest.raises(NotFound):
        interests.remove(by_reviewer.pk, by=make_member(partner.organisation))


# --- The public sector ----------------------------------------------------------------------------------------------


def test_claim_of_the_public_sector_is_not_approved_without_the_disclosure(public, claimant, reviewer):
    claim = make_under_review(public, claimant)

    with refused("disclosure_missing", "disclosed"):
        reviewing.approve(claim.pk, by=reviewer)

    approved = reviewing.approve(claim.pk, by=reviewer, disclosed=True)
    assert approved.units.get().association.began_at == approved.approved_at


def test_complete_proof_of_the_public_sector_is_approved_as_of_the_first_submit(public, claimant, reviewer):
    claim = make_under_review(public, claimant, "exo", "spo")
    held = Association.objects.create(
        kind="cpor", program="osu_m365", role="usage", workload="spo", customer=public, partner=make_partner(),
        began_at=claim.submitted_at - timedelta(days=9), source="claim", claim_number="EARLIER-1",
    )  # fmt: skip
    Association.objects.filter(pk=held.pk).update(
        ended_at=claim.submitted_at + timedelta(microseconds=1), end_reason="disassociated"
    )
    reviewing.ask(claim.pk, [Reason.NO_DISCLOSURE], by=reviewer)
    submitting.submit(claim.pk, by=claimant)
    reviewing.start_review(claim.pk, by=reviewer)

    approved = reviewing.approve(claim.pk, by=reviewer, disclosed=True)

    began = {one.workload: one.association for one in approved.units.select_related("association")}
    assert (began["exo"].began_at, began["exo"].attached_at) == (claim.submitted_at, approved.approved_at)
    assert began["spo"].began_at == approved.approved_at  # another claim held it since the submit


def test_only_the_public_sector_is_asked_for_the_disclosure(customer, claimant, reviewer):
    claim = make_under_review(customer, claimant)

    with refused("reason_unknown", "reasons"):
        reviewing.ask(claim.pk, [Reason.NO_DISCLOSURE], by=reviewer)
    assert Reason.NO_DISCLOSURE not in reviewing.reasons_for(claim)


def test_disclosure_and_the_days_of_a_transaction_are_dated_policies():
    assert policy_on(date(2021, 7, 31)).public_sector_disclosure is False
    assert policy_on(timezone.now().date()).public_sector_disclosure is True
    assert policy_on(date(2019, 3, 1)).transaction_within_days == 90
