"""What files change for claims: subscriptions that expire or move, closed accounts, locations of another company."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from associations.attaching.actions.ending import end_overtaken, reopen_taken_back
from associations.claims.actions import again, ending, outside, reviewing
from associations.claims.models import Claim, ClaimUnit, Conflict
from associations.claims.rules import ClaimStatus, Outcome
from associations.record import checking
from associations.record.models import Association
from associations.record.rules import EndReason
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer, Partner, Subscription
from por.history.models import Event
from tests import estates
from tests.claims import make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_member, make_partner, make_staff, make_subscription


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


def crm(customer: Customer, **fields: Any) -> Subscription:
    return make_subscription(customer, **{"product": "crm_online", "sku_string_id": "CRMSTANDARD"} | fields)


def set_status(*subscriptions: Subscription, status: str = "expired") -> None:
    Subscription.objects.filter(pk__in=[one.pk for one in subscriptions]).update(status=status)


def set_parent(partner: Partner, parent: Organisation | None) -> None:
    Organisation.objects.filter(pk=partner.pk).update(parent=parent)


def load() -> int:
    """Do what an import does once its files are in; return how many customers had claims that followed.

    A second time nothing is left to do, and no association differs from its events.
    """
    reopen_taken_back()
    end_overtaken()
    done = outside.follow_files()
    assert outside.follow_files() == 0
    assert list(checking.examine()) == []
    return done


def state(claim: Claim) -> tuple[str, str, list[str]]:
    claim.refresh_from_db()
    return claim.status, claim.end_reason, [one.outcome for one in claim.units.order_by("pk")]


def events(verb: str) -> list[Event]:
    return list(Event.objects.filter(verb=verb).order_by("pk"))


# --- Expired --------------------------------------------------------------------------------------------------------


def test_claim_goes_on_without_a_subscription_that_expires(customer, claimant):
    one, other = crm(customer), crm(customer)
    claim = make_approved(customer, claimant, one, other)
    set_status(one)

    assert load() == 1
    assert state(claim) == (ClaimStatus.APPROVED, "", [Outcome.ENDED, Outcome.HELD])
    (event,) = events("claim.unit_ended")
    assert [unit["subscription"] for unit in event.changes["units"]] == [str(one.subscription_id)]
    set_status(other)
    load()
    assert state(claim) == (ClaimStatus.ENDED, EndReason.SUBSCRIPTION_EXPIRED, [Outcome.ENDED, Outcome.ENDED])
    assert len(events("claim.ended")) == 1
    assert not ClaimUnit.objects.filter(live=True).exists()


def test_claim_that_waits_is_withdrawn_when_all_its_subscriptions_expire(customer, claimant, rival):
    subscription = crm(customer)
    claim, other = make_submitted(customer, claimant, subscription), make_submitted(customer, rival, subscription)
    set_status(subscription)

    load()
    assert state(claim)[0] == state(other)[0] == ClaimStatus.WITHDRAWN
    assert Conflict.objects.get().status == "closed"
    assert [one.parties for one in events("claim.dropped")] == [[claim.partner_id], [other.partner_id]]


def test_workload_never_expires(customer, claimant):
    make_subscription(customer, status="expired")
    claim = make_approved(customer, claimant, "exo")

    assert load() == 0
    assert state(claim)[0] == ClaimStatus.APPROVED


def test_subscription_that_moves_to_another_tenant_ends_its_unit(customer, claimant):
    subscription = crm(customer)
    claim = make_approved(customer, claimant, subscription)
    Subscription.objects.filter(pk=subscription.pk).update(left_at=timezone.now(), status="expired")

    load()
    assert state(claim) == (ClaimStatus.ENDED, EndReason.SUBSCRIPTION_MOVED, [Outcome.ENDED])


def test_draft_and_rejected_claim_are_withdrawn_when_nothing_is_left_to_claim(customer, claimant):
    subscription, reviewer = crm(customer), make_staff()
    rejected = make_under_review(customer, claimant, subscription, reviewer=reviewer)
    reviewing.reject(rejected.pk, ["insufficient"], by=reviewer)
    draft, kept = make_draft(customer, claimant, subscription), make_draft(customer, claimant, "exo")
    set_status(subscription)

    load()
    assert [state(one)[0] for one in (rejected, draft, kept)] == [
        ClaimStatus.WITHDRAWN,
        ClaimStatus.WITHDRAWN,
        ClaimStatus.DRAFT,
    ]
    (event,) = events("claim.dropped")
    assert event.object_id == str(rejected.pk), "nobody knows of a draft"


# --- Closed ---------------------------------------------------------------------------------------------------------


def test_claims_of_a_closed_account_end_or_are_withdrawn(customer, partner, claimant):
    approved, waiting = make_approved(customer, claimant, "exo"), make_submitted(customer, claimant, "spo")
    draft = make_draft(customer, claimant, "teams")
    Partner.objects.filter(pk=partner.pk).update(status="closed")

    load()
    assert state(approved)[:2] == (ClaimStatus.ENDED, EndReason.PARTNER_CLOSED)
    assert state(waiting)[0] == state(draft)[0] == ClaimStatus.WITHDRAWN


# --- Taken back -----------------------------------------------------------------------------------------------------


def test_claim_goes_on_when_the_reason_of_its_end_is_taken_back(customer, claimant, rival):
    one, other = crm(customer), crm(customer)
    claim = make_approved(customer, claimant, one, other)
    set_status(one)
    load()
    set_status(other)
    load()
    set_status(one, status="active")

    assert load() == 1
    assert state(claim) == (ClaimStatus.APPROVED, "", [Outcome.HELD, Outcome.ENDED])
    assert (claim.closed_at, claim.consent) == (None, "pending")
    assert len(events("claim.goes_on")) == 1
    set_status(other, status="active")
    load()
    assert state(claim)[2] == [Outcome.HELD, Outcome.HELD]
    make_submitted(customer, rival, one)
    assert Conflict.objects.count() == 1


def test_claim_that_goes_on_meets_the_one_of_another_company_in_a_conflict(customer, claimant, rival):
    subscription = crm(customer)
    claim = make_approved(customer, claimant, subscription)
    set_status(subscription)
    load()
    set_status(subscription, status="active")
    other = make_submitted(customer, rival, subscription)

    load()
    assert [(one.claim_id, one.held_before) for one in Conflict.objects.get().sides.order_by("pk")] == [
        (other.pk, False),
        (claim.pk, True),
    ]


def test_claim_that_goes_on_takes_its_unit_from_a_newer_claim_of_the_same_company(customer, claimant):
    one, more = crm(customer), crm(customer)
    claim = make_approved(customer, claimant, one)
    set_status(one)
    load()
    set_status(one, status="active")
    newer, whole = make_submitted(customer, claimant, one, more), claim

    load()
    assert state(whole)[0] == ClaimStatus.APPROVED
    assert state(newer)[::2] == (ClaimStatus.SUBMITTED, [Outcome.LOST, ""])
    assert [event.object_id for event in events("claim.unit_lost")] == [str(newer.pk)]


def test_claim_that_goes_on_leaves_nothing_of_a_newer_one_for_the_same(customer, claimant):
    subscription = crm(customer)
    claim = make_approved(customer, claimant, subscription)
    set_status(subscription)
    load()
    set_status(subscription, status="active")
    newer = make_submitted(customer, claimant, subscription)

    load()
    assert state(claim)[0] == ClaimStatus.APPROVED
    assert state(newer)[::2] == (ClaimStatus.REJECTED, [Outcome.LOST])
    assert newer.steps.latest("pk").reasons == ["conflict_lost"]


def test_what_a_person_has_ended_meanwhile_stays_ended(customer, claimant, admin):
    one, other = crm(customer), crm(customer)
    claim = make_approved(customer, claimant, one, other)
    set_status(one)
    load()
    ending.disassociate(claim.pk, "Our work is done.", by=claimant)
    set_status(one, status="active")

    load()
    assert state(claim)[:2] == (ClaimStatus.ENDED, EndReason.DISASSOCIATED)
    assert not Association.objects.open().exists()


# --- Companies ------------------------------------------------------------------------------------------------------


def test_claims_follow_their_location_to_another_company(customer, partner, claimant):
    claim = make_approved(customer, claimant)
    company = make_partner("Nordvik Group", kind="global").organisation
    set_parent(partner, company)

    assert load() == 0, "nothing but the company changes"
    claim.refresh_from_db()
    assert claim.company == company
    assert claim.units.get().company == company


def test_of_two_claims_that_become_one_company_the_later_is_lost_and_both_are_told(customer, partner, claimant, rival):
    first, second = make_submitted(customer, claimant, "exo", "spo"), make_submitted(customer, rival, "exo")
    company = make_partner("Nordvik Group", kind="global").organisation
    set_parent(partner, company)
    set_parent(second.partner, company)

    load()
    assert state(first)[0] == ClaimStatus.SUBMITTED
    assert state(second)[::2] == (ClaimStatus.REJECTED, [Outcome.LOST])
    (event,) = events("conflict.closed")
    assert event.parties == sorted([first.partner_id, second.partner_id])
    assert {one.company_id for one in ClaimUnit.objects.all()} == {company.pk}


def test_who_holds_a_unit_keeps_it_when_the_companies_become_one(customer, partner, claimant, rival):
    reviewer = make_staff()
    claim = make_under_review(customer, claimant, reviewer=reviewer)
    reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
    held = make_approved(customer, rival, reviewer=reviewer)
    again.dispute(claim.pk, "Page 3 shows our work.", by=claimant)
    company = make_partner("Nordvik Group", kind="global").organisation
    set_parent(partner, company)
    set_parent(held.partner, company)

    load()
    assert state(held)[0] == ClaimStatus.APPROVED
    assert state(claim)[0] == ClaimStatus.REJECTED_FINAL


def test_two_companies_can_change_places(customer, partner, claimant, rival):
    one, other = (make_partner(name, kind="global").organisation for name in ("One", "Other"))
    second = Partner.objects.get(pk=rival.organisation_id)
    set_parent(partner, one)
    set_parent(second, other)
    make_submitted(customer, make_member(partner.organisation))
    make_submitted(customer, make_member(second.organisation))
    set_parent(partner, other)
    set_parent(second, one)

    load()
    assert sorted(ClaimUnit.objects.filter(live=True).values_list("company", flat=True)) == sorted([one.pk, other.pk])
    assert Conflict.objects.get().status == "open"


def test_location_with_claims_that_wait_is_still_used(customer, partner, claimant):
    make_submitted(customer, claimant)

    assert list(outside.uses_of([partner.pk])) == [(partner.pk, "claims that wait for a decision: 1")]


# --- A whole import -------------------------------------------------------------------------------------------------


def test_import_ends_the_claim_with_the_subscription_and_takes_that_back(tmp_path):
    """The claims follow in the import itself, once its files are in."""
    subscription = estates.subscription(product="crm_online", sku_string_id="CRMSTANDARD")
    partners, customers = [estates.partner()], [estates.customer()]

    def load(status: str) -> None:
        files = {"partners": partners, "customers": customers, "subscriptions": [subscription | {"status": status}]}
        estates.load(estates.write(tmp_path, **files))

    load("active")
    claimed = Subscription.objects.get()
    claim = make_approved(claimed.customer, make_member(Partner.objects.get().organisation), claimed)
    load("expired")
    assert state(claim) == (ClaimStatus.ENDED, EndReason.SUBSCRIPTION_EXPIRED, [Outcome.ENDED])
    load("active")
    assert state(claim) == (ClaimStatus.APPROVED, "", [Outcome.HELD])
    assert list(checking.examine()) == []
