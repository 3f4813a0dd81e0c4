"""A claim from its draft to its decision."""

from __future__ import annotations

import uuid

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from associations.claims.actions import drafting, reviewing, submitting
from associations.claims.models import Claim, ClaimStep, Conflict, Interest
from associations.claims.rules import ClaimStatus, Consent, Origin
from associations.record.models import Association
from associations.record.rules import AssociationKind, Source
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Customer, Partner
from por.errors import NotFound, RateLimited, Refused, VersionConflict
from por.history.models import Event
from tests.claims import DOMAIN, add_proof, make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


def refused(code: str, field: str | None = None) -> object:
    return pytest.raises(Refused, check=lambda one: (one.code, one.field) == (code, field))  # type: ignore[call-overload]


def crm(customer: Customer, **fields: object) -> object:
    return make_subscription(customer, **{"product": "crm_online", "sku_string_id": "CRMSTANDARD"} | fields)


# --- Drafts ---------------------------------------------------------------------------------------------------------


def test_unknown_tenant_and_domain_of_another_one_answer_alike_and_count_as_checks(customer, claimant):
    make_draft(customer, claimant)
    answers = []
    for tenant, domain in ((uuid.uuid4(), DOMAIN), (customer.tenant_id, "ekholmen.example")):
        with pytest.raises(Refused) as refusal:
            drafting.draft(str(tenant), domain, {}, by=claimant, origin=Origin.WIZARD)
        answers.append((refusal.value.code, refusal.value.field, str(refusal.value)))

    assert answers[0] == answers[1]
    assert answers[0][:2] == ("customer_not_found", "tenant_id")
    assert CheckOfId.objects.filter(organisation=claimant.organisation).count() == 2
    for _ in range(18):
        with refused("customer_not_found", "tenant_id"):
            drafting.draft(str(uuid.uuid4()), DOMAIN, {}, by=claimant, origin=Origin.WIZARD)
    with pytest.raises(RateLimited):
        drafting.draft(str(uuid.uuid4()), DOMAIN, {}, by=claimant, origin=Origin.WIZARD)


def test_domain_is_found_however_it_is_written(customer, claimant):
    make_draft(customer, claimant)
    for written in (
        "VASTERHAMN.example",
        " vasterhamn.example. ",
        "https://vasterhamn.example/it",
        "karin@vasterhamn.example",
    ):
        assert drafting.find_customer(f"{{{customer.tenant_id}}}", written, by=claimant) == customer


def test_draft_is_seen_by_nobody_else(customer, claimant, rival, admin, reviewer):
    make_draft(customer, claimant)

    assert [Claim.objects.visible_to(one).count() for one in (claimant, rival, admin, reviewer)] == [1, 0, 0, 0]
    assert not Event.objects.filter(object_kind="claim").exists()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"product": "azure"}, "wrong_product"),
        ({"agreement": "CSP"}, "sold_through_csp"),
        ({"status": "suspended"}, "subscription_not_active"),
    ],
)
def test_subscription_that_cannot_be_claimed_is_refused_for_its_reason(customer, claimant, fields, code):
    with refused(code, "subscription_ids"):
        make_draft(customer, claimant, crm(customer, **fields))


def test_subscription_of_another_tenant_is_not_on_this_one(customer, claimant):
    with refused("not_on_tenant", "subscription_ids"):
        make_draft(customer, claimant, crm(make_customer("Ekholmen AB")))


def test_claim_is_for_a_location_of_the_own_company(customer, claimant, rival):
    with refused("not_your_location", "mpn_id"):
        make_draft(customer, claimant, mpn_id=Partner.objects.get(pk=rival.organisation_id).mpn_id)


def test_unit_is_named_once(customer, claimant):
    with refused("unit_twice", "workloads"):
        make_draft(customer, claimant, "exo", "exo")


def test_other_programme_takes_other_units(customer, claimant):
    claim = make_draft(customer, claimant, "exo", "spo")

    drafting.change(claim.pk, {"program": "osu_bizapps", "role": "usage"}, by=claimant)

    assert not claim.units.exists()
    with refused("workload_unknown", "workloads"):
        drafting.change(claim.pk, {"workloads": ["exo"]}, by=claimant)


def test_stale_change_is_refused(customer, claimant):
    claim = make_draft(customer, claimant)
    drafting.change(claim.pk, {"name": "Another name"}, by=claimant, version=1)

    with pytest.raises(VersionConflict):
        drafting.change(claim.pk, {"name": "Yet another"}, by=claimant, version=1)


# --- Submit ---------------------------------------------------------------------------------------------------------


def test_submit_gives_a_number_and_tells_the_customer(customer, claimant, admin):
    claim = make_submitted(customer, claimant, "exo", "spo")

    assert claim.number == f"CPR-{claim.pk:07d}"
    assert (claim.status, claim.turn) == (ClaimStatus.SUBMITTED, "reviewer")
    assert [one.live for one in claim.units.all()] == [True, True]
    event = Event.objects.get(verb="claim.submitted")
    assert event.chain == f"organisation:{customer.pk}"
    assert event.parties == [claim.partner_id]
    assert [one["workload"] for one in event.changes["units"]] == ["exo", "spo"]
    assert Claim.objects.visible_to(admin).get() == claim


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"name": ""}, "field_missing", "name"),
        ({"customer_contact_email": ""}, "field_missing", "customer_contact_email"),
        ({"checked": ["dates"]}, "checklist_incomplete", "checked"),
        ({"program": "osa_sell", "role": "presales", "workloads": []}, "units_missing", "units"),
    ],
)
def test_claim_that_is_not_complete_is_refused(customer, claimant, fields, code, field):
    claim = make_draft(customer, claimant, **fields)
    add_proof(claim, claimant)

    with refused(code, field):
        submitting.submit(claim.pk, by=claimant)
    claim.refresh_from_db()
    assert (claim.status, claim.number) == (ClaimStatus.DRAFT, "")


def test_each_unit_needs_a_proof(customer, claimant):
    claim = make_draft(customer, claimant, "exo")
    add_proof(claim, claimant)
    drafting.change(claim.pk, {"workloads": ["exo", "spo"]}, by=claimant)

    with refused("proof_missing", "proofs"):
        submitting.submit(claim.pk, by=claimant)


def test_infected_file_is_no_proof(customer, claimant):
    claim = make_draft(customer, claimant)
    add_proof(claim, claimant, "infected")

    with refused("proof_missing", "proofs"):
        submitting.submit(claim.pk, by=claimant)


# --- Two companies on one unit -------------------------------------------------------------------------------------


def test_second_claim_of_a_unit_opens_a_conflict(customer, claimant, rival, reviewer):
    held = make_approved(customer, claimant, "exo", "spo")
    claim = make_submitted(customer, rival, "spo", "teams")

    conflict = Conflict.objects.get()
    assert (conflict.workload, conflict.status) == ("spo", "open")
    assert [(one.claim, one.held_before) for one in conflict.sides.order_by("pk")] == [(held, True), (claim, False)]
    event = Event.objects.get(verb="conflict.opened")
    assert event.parties == sorted([held.partner_id, claim.partner_id])
    reviewing.start_review(claim.pk, by=reviewer)
    with refused("conflict_open"):
        reviewing.approve(claim.pk, by=reviewer)


def test_third_claim_joins_the_conflict(customer, claimant, rival):
    make_submitted(customer, claimant)
    make_submitted(customer, rival)
    make_submitted(customer, make_member(make_partner("Third AB").organisation))

    assert Conflict.objects.get().sides.count() == 3
    assert Event.objects.filter(verb="conflict.joined").count() == 1


def test_own_company_cannot_claim_a_unit_twice(customer, claimant):
    make_submitted(customer, claimant)
    claim = make_draft(customer, claimant)
    add_proof(claim, claimant)

    with refused("own_company_holds", "units"):
        submitting.submit(claim.pk, by=claimant)


def test_conflict_closes_when_one_claim_is_left(customer, claimant, rival):
    first = make_submitted(customer, claimant)
    second = make_submitted(customer, rival)
    drafting.withdraw(second.pk, by=rival)

    assert Conflict.objects.get().status == "closed"
    first.refresh_from_db()
    assert first.status == ClaimStatus.SUBMITTED
    assert Event.objects.get(verb="conflict.closed").parties == sorted([first.partner_id, second.partner_id])


# --- The review -----------------------------------------------------------------------------------------------------


def test_approval_associates_the_partner_with_each_unit(customer, claimant, reviewer):
    subscription = crm(customer)
    claim = make_approved(customer, claimant, subscription, reviewer=reviewer)

    made = Association.objects.get()
    assert (made.kind, made.source, made.program, made.role) == (
        AssociationKind.CPOR,
        Source.CLAIM,
        "osu_bizapps",
        "usage",
    )
    assert (made.claim_number, made.subscription, made.partner_id) == (claim.number, subscription, claim.partner_id)
    assert claim.units.get().association == made
    assert (claim.consent, claim.turn) == (Consent.PENDING, "customer")
    assert claim.consent_due_at is not None
    event = Event.objects.get(verb="claim.approved")
    assert list(event.changes["fingerprints"]) == [str(made.pk)]


def test_review_waits_for_the_scan(customer, claimant, reviewer):
    claim = make_draft(customer, claimant)
    add_proof(claim, claimant, "pending")
    submitting.submit(claim.pk, by=claimant)

    with refused("scan_pending"):
        reviewing.start_review(claim.pk, by=reviewer)


def test_reviewer_asks_and_the_partner_submits_again(customer, claimant, reviewer):
    claim = make_under_review(customer, claimant, reviewer=reviewer)

    reviewing.ask(claim.pk, ["dates"], by=reviewer, note="The date is missing.")
    claim.refresh_from_db()
    assert (claim.status, claim.turn) == (ClaimStatus.ACTION_REQUIRED, "partner")
    asked = Event.objects.get(verb="claim.asked")
    assert asked.chain == f"organisation:{claim.partner_id}", "the customer never reads it"
    number = claim.number
    submitting.submit(claim.pk, by=claimant)
    claim.refresh_from_db()
    assert (claim.status, claim.number) == (ClaimStatus.SUBMITTED, number)


def test_rejected_claim_frees_its_units(customer, claimant, rival, reviewer):
    claim = make_under_review(customer, claimant, reviewer=reviewer)
    reviewing.reject(claim.pk, ["insufficient"], by=reviewer, note="It shows no work.")

    claim.refresh_from_db()
    assert (claim.status, claim.turn) == (ClaimStatus.REJECTED, "partner")
    assert claim.due_at is not None, "it can be disputed"
    make_submitted(customer, rival)
    assert not Conflict.objects.exists()


def test_reviewer_with_an_interest_decides_nothing(customer, claimant, reviewer):
    claim = make_submitted(customer, claimant)
    Interest.objects.create(reviewer=reviewer.user, organisation=customer.organisation, at=claim.created_at)

    with refused("interest"):
        reviewing.start_review(claim.pk, by=reviewer)


def test_reasons_are_of_the_list(customer, claimant, reviewer):
    claim = make_under_review(customer, claimant, reviewer=reviewer)
    with refused("reason_missing", "reasons"):
        reviewing.ask(claim.pk, [], by=reviewer)
    with refused("reason_unknown", "reasons"):
        reviewing.reject(claim.pk, ["conflict_lost"], by=reviewer)


def test_only_a_reviewer_reviews(customer, claimant, admin):
    claim = make_submitted(customer, claimant)
    for other in (claimant, admin, make_staff("support"), make_staff("auditor")):
        with refused("no_right"):
            reviewing.start_review(claim.pk, by=other)
    with pytest.raises(NotFound):
        reviewing.start_review(claim.pk, by=make_member(make_partner("Third AB").organisation))


def test_neither_web_server_nor_worker_changes_a_step_or_which_units_a_proof_is_for(customer, claimant):
    make_submitted(customer, claimant)
    statements = [
        "UPDATE claims_claimstep SET at = now()",
        "DELETE FROM claims_claimstep",
        "UPDATE claims_proofunit SET unit_id = unit_id",
    ]
    for role in (settings.WEB_ROLE, settings.WORKER_ROLE):
        for statement in statements:
            with (
                pytest.raises(DatabaseError, match="permission denied"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f'SET LOCAL ROLE "{role}"; {statement}')
    assert ClaimStep.objects.count() == 1
