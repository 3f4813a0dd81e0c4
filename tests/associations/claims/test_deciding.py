"""Conflicts: the decision, what it does to each claim, and what comes before it."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock

import pytest
from django.utils import timezone

from associations.claims.actions import deciding, drafting, reviewing, scheduled
from associations.claims.models import Claim, ClaimStep, Comment, Conflict, CustomerAnswer, Interest
from associations.claims.rules import ClaimStatus
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from por.errors import NotFound, Refused, VersionConflict
from por.history.models import Event
from tests.claims import add_proof, make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_member, make_partner, make_staff, make_subscription


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


@pytest.fixture
def third() -> Actor:
    return make_member(make_partner("Third AB").organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


def refused(code: str, field: str | None = None) -> object:
    return pytest.raises(Refused, check=lambda one: (one.code, one.field) == (code, field))  # type: ignore[call-overload]


def on(workload: str) -> Conflict:
    """Return the open conflict on a workload."""
    return Conflict.objects.open().get(workload=workload)


def decide(workload: str, winner: Claim | None, reviewer: Actor, **more: object) -> Conflict:
    given: dict = {"note": "Their proof is the newest.", "by": reviewer} | more
    return deciding.decide(on(workload).pk, winner and winner.pk, **given)


def state(claim: Claim) -> tuple[str, dict[str, str]]:
    """Return the status of a claim, and of each unit `live` or what has become of it."""
    claim.refresh_from_db()
    units = claim.units.order_by("pk")
    return claim.status, {one.workload: "live" if one.live else one.outcome or "free" for one in units}


def holders(customer: Customer) -> dict[str, str]:
    """Return the partner that is associated with each workload."""
    found = Association.objects.open().filter(customer=customer).exclude(program="")
    return dict(found.values_list("workload", "partner__mpn_id"))


# --- The decision ---------------------------------------------------------------------------------------------------


def test_winner_is_approved_and_the_other_side_rejected(customer, claimant, rival, reviewer):
    first, second = make_submitted(customer, claimant), make_submitted(customer, rival)

    conflict = decide("exo", second, reviewer)

    assert state(first) == (ClaimStatus.REJECTED, {"exo": "lost"})
    assert first.due_at is not None, "it can be disputed"
    assert state(second) == (ClaimStatus.APPROVED, {"exo": "live"})
    assert (conflict.status, conflict.winner) == ("decided", second)
    assert conflict.carried_out_at == conflict.decided_at == conflict.closed_at == second.approved_at
    assert list(first.steps.order_by("pk").values_list("verb", flat=True)) == ["submit", "start review", "[lost]"]
    assert first.steps.get(verb="[lost]").reasons == ["conflict_lost"]
    assert holders(customer) == {"exo": second.partner.mpn_id}


def test_holder_that_loses_ends_as_the_winner_begins(customer, claimant, rival, reviewer):
    held, claim = make_approved(customer, claimant, "exo"), make_under_review(customer, rival, "exo")

    decide("exo", claim, reviewer)

    assert state(held) == (ClaimStatus.ENDED, {"exo": "lost"})
    assert held.end_reason == "conflict_lost"
    ended, begun = Association.objects.order_by("pk")
    assert (ended.ended_at, ended.end_reason) == (begun.began_at, "conflict_lost")
    assert begun.ended_at is None
    event = Event.objects.get(verb="claim.ended")
    assert event.parties == [held.partner_id]
    assert list(event.changes["fingerprints"]) == [str(ended.pk)]


def test_holder_that_wins_keeps_its_association(customer, claimant, rival, reviewer):
    held, claim = make_approved(customer, claimant, "exo"), make_under_review(customer, rival, "exo")

    decide("exo", held, reviewer)

    assert state(held) == (ClaimStatus.APPROVED, {"exo": "live"})
    assert state(claim) == (ClaimStatus.REJECTED, {"exo": "lost"})
    assert Association.objects.get().ended_at is None


def test_where_no_proof_suffices_a_holder_stays_and_pending_sides_lose(customer, claimant, rival, third, reviewer):
    held = make_approved(customer, claimant, "exo")
    claims = [make_submitted(customer, rival, "exo"), make_submitted(customer, third, "exo", "spo")]

    conflict = decide("exo", None, reviewer)

    assert conflict.winner is None
    assert state(held) == (ClaimStatus.APPROVED, {"exo": "live"})
    assert state(claims[0]) == (ClaimStatus.REJECTED, {"exo": "lost"})
    assert state(claims[1]) == (ClaimStatus.APPROVED, {"exo": "lost", "spo": "live"})
    assert holders(customer) == {"exo": held.partner.mpn_id, "spo": claims[1].partner.mpn_id}


def test_claim_that_loses_one_unit_is_approved_with_the_others(customer, claimant, rival, reviewer):
    first, second = make_submitted(customer, claimant, "exo", "spo"), make_submitted(customer, rival, "exo")

    decide("exo", second, reviewer)

    assert state(first) == (ClaimStatus.APPROVED, {"exo": "lost", "spo": "live"})
    lost = Event.objects.get(verb="claim.unit_lost")
    assert (lost.parties, lost.changes["units"]) == ([first.partner_id], [{"workload": "exo"}])
    approved = {one.changes["claim"]: one.changes["units"] for one in Event.objects.filter(verb="claim.approved")}
    assert approved == {first.pk: [{"workload": "spo"}], second.pk: [{"workload": "exo"}]}


def test_decision_waits_until_its_winner_has_no_other_open_conflict(customer, claimant, rival, third, reviewer):
    held = make_approved(customer, claimant, "exo")
    claim = make_submitted(customer, rival, "exo", "spo")
    other = make_submitted(customer, third, "spo")

    decide("exo", claim, reviewer)
    assert state(held) == (ClaimStatus.APPROVED, {"exo": "live"})
    assert state(claim) == (ClaimStatus.UNDER_REVIEW, {"exo": "live", "spo": "live"})
    assert Event.objects.get(verb="conflict.decided").changes["waits"] is True
    assert Conflict.objects.get(workload="exo").carried_out_at is None

    decide("spo", other, reviewer)
    assert state(held) == (ClaimStatus.ENDED, {"exo": "lost"})
    assert state(claim) == (ClaimStatus.APPROVED, {"exo": "live", "spo": "lost"})
    assert holders(customer) == {"exo": claim.partner.mpn_id, "spo": other.partner.mpn_id}
    assert Conflict.objects.get(workload="exo").carried_out_at == claim.approved_at


def test_decision_lapses_if_its_winner_leaves_first(customer, claimant, rival, third, reviewer):
    held = make_approved(customer, claimant, "exo")
    claim = make_submitted(customer, rival, "exo", "spo")
    make_submitted(customer, third, "spo")
    decide("exo", claim, reviewer)

    drafting.withdraw(claim.pk, by=rival)

    assert state(held) == (ClaimStatus.APPROVED, {"exo": "live"})
    conflict = Conflict.objects.get(workload="exo")
    assert (conflict.status, conflict.winner, conflict.carried_out_at) == ("closed", claim, None)
    assert Event.objects.get(verb="conflict.lapsed").parties == sorted([held.partner_id, claim.partner_id])


def test_decision_is_carried_out_by_the_review_after_its_other_conflict_has_closed(
    customer, claimant, rival, third, reviewer
):
    held = make_approved(customer, claimant, "exo")
    claim, other = make_submitted(customer, rival, "exo", "spo"), make_submitted(customer, third, "spo")
    decide("exo", claim, reviewer)
    drafting.withdraw(other.pk, by=third)
    assert state(claim) == (ClaimStatus.UNDER_REVIEW, {"exo": "live", "spo": "live"}), "nobody is approved by that"

    reviewing.approve(claim.pk, by=reviewer)

    assert state(held) == (ClaimStatus.ENDED, {"exo": "lost"})
    assert holders(customer) == dict.fromkeys(("exo", "spo"), claim.partner.mpn_id)


def test_newcomer_after_a_decision_that_waits_opens_another_conflict(customer, claimant, rival, third, reviewer):
    held = make_approved(customer, claimant, "exo")
    claim, other = make_submitted(customer, rival, "exo", "spo"), make_submitted(customer, third, "spo")
    decide("exo", claim, reviewer)
    fourth = make_member(make_partner("Fourth AB").organisation)
    newcomer = make_submitted(customer, fourth, "exo")
    decide("spo", claim, reviewer)
    assert state(claim)[0] == ClaimStatus.UNDER_REVIEW, "it has another open conflict"

    decide("exo", newcomer, reviewer)

    assert state(held) == (ClaimStatus.ENDED, {"exo": "lost"})
    assert state(claim) == (ClaimStatus.APPROVED, {"exo": "lost", "spo": "live"})
    assert state(other) == (ClaimStatus.REJECTED, {"spo": "lost"})
    assert holders(customer) == {"exo": newcomer.partner.mpn_id, "spo": claim.partner.mpn_id}
    assert Event.objects.filter(verb="conflict.lapsed").count() == 1


def test_newcomer_that_leaves_again_leaves_the_decision_as_it_was(customer, claimant, rival, third, reviewer):
    held = make_approved(customer, claimant, "exo")
    claim, other = make_submitted(customer, rival, "exo", "spo"), make_submitted(customer, third, "spo")
    decide("exo", claim, reviewer)
    fourth = make_member(make_partner("Fourth AB").organisation)
    newcomer = make_submitted(customer, fourth, "exo")

    drafting.withdraw(newcomer.pk, by=fourth)

    assert [one.workload for one in Conflict.objects.open()] == ["spo"], "the holder has lost already"
    decide("spo", other, reviewer)
    assert state(held) == (ClaimStatus.ENDED, {"exo": "lost"})
    assert holders(customer) == {"exo": claim.partner.mpn_id, "spo": other.partner.mpn_id}


@pytest.mark.parametrize(("wins", "status"), [(True, ClaimStatus.APPROVED), (False, ClaimStatus.REJECTED_FINAL)])
def test_disputed_side_is_approved_or_rejected_for_good(customer, claimant, rival, reviewer, wins, status):
    disputed = make_submitted(customer, claimant)
    Claim.objects.update(status="disputed", disputes=1)  # as a dispute of its rejection leaves it
    other = make_submitted(customer, rival)

    decide("exo", disputed if wins else other, reviewer)

    assert state(disputed)[0] == status


def test_subscription_gets_a_new_version_and_its_holder_keeps_that_of_its_end(customer, claimant, rival, reviewer):
    crm = make_subscription(customer, product="crm_online", sku_string_id="CRMSTANDARD")
    make_approved(customer, claimant, crm)
    claim = make_under_review(customer, rival, crm)
    crm.refresh_from_db()
    before = crm.version

    deciding.decide(Conflict.objects.get().pk, claim.pk, note="Newest proof.", by=reviewer)

    crm.refresh_from_db()
    assert crm.version == before + 1
    assert Association.objects.order_by("pk")[0].version_at_end == crm.version


def test_company_that_was_suspended_is_not_approved_by_losing(customer, claimant, rival, reviewer):
    first, second = make_submitted(customer, claimant, "exo", "spo"), make_submitted(customer, rival, "exo")
    Partner.objects.filter(pk=first.partner_id).update(status="suspended")

    with refused("partner_suspended"):
        decide("exo", first, reviewer)
    decide("exo", second, reviewer)

    assert state(first) == (ClaimStatus.UNDER_REVIEW, {"exo": "lost", "spo": "live"})


def test_reasons_and_checklists_are_kept(customer, claimant, rival, reviewer):
    first, second = make_submitted(customer, claimant), make_submitted(customer, rival)

    conflict = decide("exo", second, reviewer, note="  Newest.  ", checklists={first.pk: ["dates", "no_proof"]})

    assert (conflict.note, conflict.decided_by) == ("Newest.", reviewer.user)
    assert {one.claim_id: one.missing for one in conflict.sides.all()} == {
        first.pk: ["no_proof", "dates"],
        second.pk: [],
    }
    event = Event.objects.get(verb="conflict.decided")
    assert event.chain == f"organisation:{customer.pk}"
    assert event.parties == sorted([first.partner_id, second.partner_id])
    assert "Newest" not in str(event.changes) + event.reason


def test_decision_is_refused_with_a_code(customer, claimant, rival, admin, reviewer):
    first, second = make_submitted(customer, claimant), make_submitted(customer, rival)
    stranger = make_submitted(customer, claimant, "teams")

    with refused("note_missing", "note"):
        decide("exo", first, reviewer, note="  ")
    with refused("not_a_side", "winner"):
        decide("exo", stranger, reviewer)
    with refused("not_a_side", "checklists"):
        decide("exo", first, reviewer, checklists={stranger.pk: []})
    with refused("reason_unknown", "checklists"):
        decide("exo", first, reviewer, checklists={second.pk: ["insufficient"]})
    with pytest.raises(VersionConflict):
        decide("exo", first, reviewer, version=7)
    for other in (claimant, admin, make_staff("support"), make_staff("auditor")):
        with refused("no_right"):
            decide("exo", first, other)
    with pytest.raises(NotFound):
        decide("exo", first, make_member(make_partner("Stranger AB").organisation))
    pk = on("exo").pk
    Interest.objects.create(reviewer=reviewer.user, organisation_id=first.company_id, at=timezone.now())
    with refused("interest"):
        deciding.decide(pk, second.pk, note="Newest.", by=reviewer)
    other = make_staff()
    deciding.decide(pk, second.pk, note="Newest.", by=other)
    with refused("conflict_decided"):
        deciding.decide(pk, first.pk, note="Newest.", by=other)


def test_closed_conflict_is_not_decided_and_a_side_that_left_does_not_win(customer, claimant, rival, third, reviewer):
    first, second, last = (make_submitted(customer, one) for one in (claimant, rival, third))
    drafting.withdraw(last.pk, by=third)
    with refused("not_a_side", "winner"):
        decide("exo", last, reviewer)
    pk = on("exo").pk
    drafting.withdraw(second.pk, by=rival)
    with refused("conflict_closed"):
        deciding.decide(pk, first.pk, note="Newest.", by=reviewer)


def test_decision_waits_for_the_scan_of_a_side_that_has_no_other_file(customer, claimant, rival, reviewer):
    first = make_submitted(customer, claimant)
    second = make_submitted(customer, rival)
    first.proofs.update(scan="pending")
    with refused("scan_pending"):
        decide("exo", second, reviewer)
    first.proofs.update(scan="infected")
    with refused("scan_pending"):
        decide("exo", first, reviewer)
    decide("exo", second, reviewer)


# --- Before it ------------------------------------------------------------------------------------------------------


def test_pending_side_that_is_asked_for_proof_waits_for_its_partner(customer, claimant, rival, reviewer):
    make_submitted(customer, claimant)
    claim = make_submitted(customer, rival)

    deciding.ask_proof(on("exo").pk, claim.pk, by=reviewer, note="Please sign it.")

    claim.refresh_from_db()
    assert (claim.status, claim.due_at is not None) == (ClaimStatus.ACTION_REQUIRED, True)
    assert Comment.objects.get().text == "Please sign it."
    event = Event.objects.get(verb="conflict.proof_asked")
    assert event.parties == [claim.partner_id]
    assert "sign" not in str(event.changes)
    with refused("claim_action_required"):
        deciding.ask_proof(on("exo").pk, claim.pk, by=reviewer)
    decide("exo", claim, reviewer)
    assert state(claim)[0] == ClaimStatus.APPROVED


def test_approved_side_that_is_asked_for_proof_stays_as_it_is(customer, claimant, rival, reviewer):
    held = make_approved(customer, claimant)
    make_submitted(customer, rival)
    steps = ClaimStep.objects.filter(claim=held).count()

    deciding.ask_proof(on("exo").pk, held.pk, by=reviewer)

    assert state(held)[0] == ClaimStatus.APPROVED
    assert ClaimStep.objects.filter(claim=held).count() == steps
    assert Event.objects.get(verb="conflict.proof_asked").changes["due_at"] is None
    with refused("not_a_side", "claim"):
        deciding.ask_proof(on("exo").pk, held.pk + 100, by=reviewer)


def test_side_that_does_not_answer_loses_its_units_and_its_conflicts_close(customer, claimant, rival, reviewer):
    first, second = make_submitted(customer, claimant, "exo", "spo"), make_submitted(customer, rival)
    deciding.ask_proof(on("exo").pk, first.pk, by=reviewer)
    Claim.objects.filter(pk=first.pk).update(due_at=timezone.now())

    assert scheduled.reject_unanswered(first.pk)

    assert state(first) == (ClaimStatus.REJECTED, {"exo": "free", "spo": "free"})
    assert state(second)[0] == ClaimStatus.SUBMITTED
    assert Event.objects.get(verb="conflict.closed").changes["partner"]["mpn_id"] == first.partner.mpn_id


def test_customer_answers_and_changes_its_answer_until_the_decision(customer, claimant, rival, admin, reviewer):
    first, second = make_submitted(customer, claimant), make_submitted(customer, rival)
    pk = on("exo").pk
    deciding.ask_customer(pk, by=reviewer)
    deciding.answer(pk, f" {second.partner.mpn_id} ", by=admin, text="They moved our mail.")
    deciding.answer(pk, None, by=admin, text="Neither.")

    answer = CustomerAnswer.objects.get()
    assert (answer.partner, answer.text, answer.by) == (None, "Neither.", admin.user)
    assert [one.changes["partner"] and one.changes["partner"]["mpn_id"] for one in answers()] == [
        second.partner.mpn_id,
        None,
    ]
    assert "Neither" not in str([one.changes for one in answers()])
    with refused("not_a_side", "mpn_id"):
        deciding.answer(pk, make_partner().mpn_id, by=admin)
    for other in (claimant, reviewer, make_member(customer.organisation, "viewer")):
        with refused("no_right"):
            deciding.answer(pk, None, by=other)
    decide("exo", first, reviewer)
    with refused("conflict_decided"):
        deciding.answer(pk, None, by=admin)


def answers() -> list[Event]:
    return list(Event.objects.filter(verb="conflict.answered").order_by("pk"))


def test_instants_of_a_conflict_follow_each_other_whatever_the_clock_says(customer, claimant, rival, admin, reviewer):
    make_submitted(customer, claimant)
    second = make_submitted(customer, rival)
    pk = on("exo").pk
    deciding.ask_customer(pk, by=reviewer)
    with mock.patch.object(timezone, "now", return_value=datetime(2021, 1, 4, tzinfo=UTC)):
        deciding.answer(pk, None, by=admin)
        conflict = deciding.decide(pk, second.pk, note="Newest.", by=reviewer)

    assert conflict.opened_at < conflict.asked_at < conflict.answer.answered_at < conflict.decided_at


def test_draft_that_names_a_contested_unit_is_no_side(customer, claimant, rival, third, reviewer):
    make_submitted(customer, claimant)
    make_submitted(customer, rival)
    draft = make_draft(customer, third)
    add_proof(draft, third)

    with refused("not_a_side", "winner"):
        decide("exo", draft, reviewer)
