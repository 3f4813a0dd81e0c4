"""What becomes of a claim after its decision: declined, disputed, ended, claimed again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from associations.claims.actions import again, drafting, ending, reviewing
from associations.claims.models import Claim, ClaimStep, Conflict
from associations.claims.rules import ClaimStatus, Consent, Origin
from associations.record import checking
from associations.record.models import Association
from associations.record.rules import EndReason
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from por.errors import NotFound, Refused, VersionConflict
from por.history.models import Event
from tests.claims import make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


@pytest.fixture
def support() -> Actor:
    return make_staff("support")


def refused(code: str, field: str | None = None) -> Any:
    return pytest.raises(Refused, check=lambda one: (one.code, one.field) == (code, field))  # type: ignore[call-overload]


def crm(customer: Customer, **fields: Any) -> Subscription:
    return make_subscription(customer, **{"product": "crm_online", "sku_string_id": "CRMSTANDARD"} | fields)


def make_rejected(customer: Customer, by: Actor, reviewer: Actor, *of: Any, **fields: Any) -> Claim:
    claim = make_under_review(customer, by, *of, reviewer=reviewer, **fields)
    return reviewing.reject(claim.pk, ["insufficient"], by=reviewer)


def at(moment: datetime) -> Any:
    return mock.patch.object(timezone, "now", return_value=moment)


def nothing_unexplained() -> bool:
    return list(checking.examine()) == []


# --- The customer declines ------------------------------------------------------------------------------------------


def test_claim_declined_in_time_counts_for_nothing(customer, claimant, admin, rival):
    subscription = crm(customer)
    claim = make_approved(customer, claimant, subscription)
    version = Subscription.objects.get(pk=subscription.pk).version

    ending.decline(claim.pk, by=admin, note="We do not know them.", version=claim.version)

    claim.refresh_from_db()
    assert (claim.status, claim.consent, claim.end_reason) == (
        ClaimStatus.ENDED,
        Consent.DECLINED,
        EndReason.CUSTOMER_DECLINED,
    )
    association = Association.objects.get()
    assert association.undone_at is not None
    assert association.ended_at is None
    assert not claim.units.get().live
    assert Subscription.objects.get(pk=subscription.pk).version == version + 1
    event = Event.objects.get(verb="claim.declined")
    assert (event.changes["struck"], event.reason) == (True, "")
    assert nothing_unexplained()
    make_submitted(customer, rival, subscription)
    assert not Conflict.objects.exists()


def test_claim_declined_after_the_term_ends_from_then_on(customer, claimant, admin):
    claim = make_approved(customer, claimant)
    assert claim.consent_due_at is not None
    with at(claim.consent_due_at):
        assert ending.can_decline(claim, timezone.now())
        ending.decline(claim.pk, by=admin)

    association = Association.objects.get()
    assert association.undone_at is None
    assert (association.ended_at, association.end_reason) == (claim.consent_due_at, EndReason.CUSTOMER_DECLINED)


def test_claim_of_before_2023_is_declined_only_in_the_term(customer, claimant, admin):
    claim = make_approved(customer, claimant)
    day = datetime(2020, 7, 1, 9, tzinfo=UTC)
    Claim.objects.filter(pk=claim.pk).update(approved_at=day, consent_due_at=day + timedelta(days=7))

    with refused("decline_too_late"):
        ending.decline(claim.pk, by=admin)
    claim.refresh_from_db()
    assert not ending.can_decline(claim, timezone.now())
    assert ending.can_decline(claim, day)
    assert Association.objects.get().is_in_force


def test_only_the_administrator_of_its_customer_declines(customer, claimant, admin, reviewer):
    claim = make_approved(customer, claimant, reviewer=reviewer)

    for other in (make_member(customer.organisation, "viewer"), claimant, reviewer):
        with refused("no_right"):
            ending.decline(claim.pk, by=other)
    with pytest.raises(NotFound):
        ending.decline(claim.pk, by=make_member(make_customer("Ekholmen AB").organisation))
    with pytest.raises(VersionConflict):
        ending.decline(claim.pk, by=admin, version=claim.version - 1)


def test_claim_that_is_not_approved_has_no_end(customer, claimant, admin, support):
    claim = make_submitted(customer, claimant)

    with refused("claim_submitted"):
        ending.decline(claim.pk, by=admin)
    with refused("claim_submitted"):
        ending.disassociate(claim.pk, "Over.", by=claimant)
    with refused("claim_submitted"):
        ending.find_by_number(claim.number, by=support)


def test_conflict_about_a_declined_claim_closes(customer, claimant, admin, rival):
    claim = make_approved(customer, claimant, "exo", "spo")
    make_submitted(customer, rival, "spo")

    ending.decline(claim.pk, by=admin)

    assert Conflict.objects.get().status == "closed"


# --- The partner, or support, ends it -------------------------------------------------------------------------------


def test_partner_disassociates_with_a_reason_that_events_do_not_say(customer, claimant):
    claim = make_approved(customer, claimant, "exo", "spo")
    with refused("reason_missing", "reason"):
        ending.disassociate(claim.pk, "  ", by=claimant)

    ending.disassociate(claim.pk, "Our work is done.", by=claimant)

    claim.refresh_from_db()
    assert (claim.status, claim.end_reason) == (ClaimStatus.ENDED, EndReason.DISASSOCIATED)
    assert {one.end_reason for one in Association.objects.all()} == {EndReason.DISASSOCIATED}
    assert claim.steps.latest("at").note == "Our work is done."
    event = Event.objects.get(verb="claim.ended")
    assert event.parties == [claim.partner_id]
    assert "Our work" not in str(event.changes) + event.reason
    assert nothing_unexplained()
    with refused("claim_ended"):
        ending.disassociate(claim.pk, "Again.", by=claimant)


def test_support_sees_what_will_end_and_ends_it(customer, claimant, support, reviewer):
    claim = make_approved(customer, claimant, reviewer=reviewer)

    found = ending.find_by_number(f" {claim.number.lower()} ", by=support)
    assert (found, found.version) == (claim, claim.version)
    with refused("claim_unknown", "number"):
        ending.find_by_number("CPR-9999999", by=support)
    with refused("claim_unknown", "number"):
        ending.find_by_number("", by=support)
    for other in (reviewer, make_staff("auditor"), claimant):
        with refused("no_right"):
            ending.find_by_number(claim.number, by=other)
    with refused("reason_missing", "reason"):
        ending.end_by_number(claim.number, "", found.version, by=support)
    with pytest.raises(VersionConflict):
        ending.end_by_number(claim.number, "Ticket 12.", found.version - 1, by=support)
    ending.end_by_number(claim.number, "Ticket 12.", found.version, by=support)

    assert Association.objects.get().end_reason == EndReason.DISASSOCIATED
    assert ClaimStep.objects.latest("at").verb == "end by number"


def test_viewer_of_the_partner_ends_and_disputes_nothing(customer, partner, claimant, reviewer):
    approved = make_approved(customer, claimant, reviewer=reviewer)
    rejected = make_rejected(customer, claimant, reviewer, "spo")
    viewer = make_member(partner.organisation, "viewer")

    with refused("no_right"):
        ending.disassociate(approved.pk, "Over.", by=viewer)
    with refused("no_right"):
        again.dispute(rejected.pk, "It does show it.", by=viewer)
    with refused("no_right"):
        again.claim_again(rejected.pk, by=viewer)


# --- A dispute ------------------------------------------------------------------------------------------------------


def test_partner_disputes_a_rejection_once(customer, claimant, reviewer):
    claim = make_rejected(customer, claimant, reviewer)
    with refused("text_missing", "text"):
        again.dispute(claim.pk, "", by=claimant)

    again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)

    claim.refresh_from_db()
    assert (claim.status, claim.disputes, claim.closed_at) == (ClaimStatus.DISPUTED, 1, None)
    assert claim.units.get().live
    assert claim.steps.latest("at").note == "Page 3 shows our work."
    with refused("claim_disputed_already"):
        again.dispute(claim.pk, "Page 4 too.", by=claimant)
    reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
    claim.refresh_from_db()
    assert claim.status == ClaimStatus.REJECTED_FINAL
    with refused("claim_disputed_already"):
        again.dispute(claim.pk, "Page 4 too.", by=claimant)


def test_disputed_claim_can_be_approved(customer, claimant, reviewer):
    claim = make_rejected(customer, claimant, reviewer)
    again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)
    reviewing.approve(claim.pk, by=reviewer)

    assert Association.objects.get().is_in_force


def test_dispute_ends_with_its_days_whether_or_not_the_clock_has_run(customer, claimant, reviewer):
    claim = make_rejected(customer, claimant, reviewer)
    assert claim.due_at is not None

    with at(claim.due_at), refused("dispute_too_late"):
        again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)
    Claim.objects.filter(pk=claim.pk).update(status=ClaimStatus.REJECTED_FINAL)
    with refused("dispute_too_late"):
        again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)


def test_dispute_of_what_another_company_has_by_now_opens_a_conflict(customer, claimant, rival, reviewer):
    claim = make_rejected(customer, claimant, reviewer)
    make_approved(customer, rival, reviewer=reviewer)

    again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)

    assert [one.claim.partner_id for one in Conflict.objects.get().sides.order_by("pk")] == [
        rival.organisation_id,
        claimant.organisation_id,
    ]


def test_dispute_of_what_the_own_company_has_claimed_since_is_refused(customer, claimant, reviewer):
    claim = make_rejected(customer, claimant, reviewer)
    make_submitted(customer, claimant)

    with refused("own_company_holds"):
        again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)
    claim.refresh_from_db()
    assert (claim.status, claim.disputes) == (ClaimStatus.REJECTED, 0)


def test_dispute_leaves_out_a_subscription_that_has_expired(customer, claimant, reviewer):
    kept, expired = crm(customer), crm(customer)
    claim = make_rejected(customer, claimant, reviewer, kept, expired)
    Subscription.objects.filter(pk=expired.pk).update(status="expired")

    again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)
    assert [one.subscription for one in claim.units.filter(live=True)] == [kept]


def test_nothing_is_left_to_dispute_once_all_subscriptions_have_expired(customer, claimant, reviewer):
    subscription = crm(customer)
    claim = make_rejected(customer, claimant, reviewer, subscription)
    Subscription.objects.filter(pk=subscription.pk).update(status="expired")

    with refused("nothing_to_claim"):
        again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)


# --- Claim again ----------------------------------------------------------------------------------------------------


def test_claim_that_is_over_is_claimed_again_with_what_it_said(customer, claimant, reviewer):
    claim = make_rejected(customer, claimant, reviewer, "exo", "spo")

    draft = again.claim_again(claim.pk, by=claimant)

    assert (draft.status, draft.origin, draft.number) == (ClaimStatus.DRAFT, Origin.AGAIN, "")
    assert (draft.name, draft.program, draft.role, draft.partner_id) == (
        claim.name,
        claim.program,
        claim.role,
        claim.partner_id,
    )
    assert [one.workload for one in draft.units.order_by("pk")] == ["exo", "spo"]
    assert (draft.checked, draft.proofs.count()) == ([], 0)


def test_claim_again_names_the_replacement_only_to_a_partner_that_may_know_it(customer, claimant, admin):
    old = crm(customer)
    claim = make_approved(customer, claimant, old)
    new = crm(customer, replaces=old)
    ending.disassociate(claim.pk, "Replaced.", by=claimant)

    draft = again.claim_again(claim.pk, by=claimant)
    assert [one.subscription for one in draft.units.all()] == [old]
    make_approved(customer, claimant, new, name="Seen")
    draft = again.claim_again(claim.pk, by=claimant)
    assert [one.subscription for one in draft.units.all()] == [new]


def test_claim_again_leaves_out_what_cannot_be_claimed_any_more(customer, claimant):
    subscription = crm(customer)
    claim = make_approved(customer, claimant, subscription)
    ending.disassociate(claim.pk, "Over.", by=claimant)
    Subscription.objects.filter(pk=subscription.pk).update(status="expired")

    assert not again.claim_again(claim.pk, by=claimant).units.exists()


def test_claim_in_force_or_waiting_is_not_claimed_again(customer, claimant, rival, reviewer):
    claim = make_approved(customer, claimant, reviewer=reviewer)

    with refused("claim_approved"):
        again.claim_again(claim.pk, by=claimant)
    with pytest.raises(NotFound):
        again.claim_again(claim.pk, by=rival)
    draft = make_draft(customer, claimant, "spo")
    with refused("claim_is_draft"):
        again.claim_again(draft.pk, by=claimant)
    drafting.withdraw(draft.pk, by=claimant)
    assert again.claim_again(draft.pk, by=claimant).status == ClaimStatus.DRAFT
