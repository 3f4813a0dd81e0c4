"""Each verb of a claim while someone else acts at the worst moment: one of them is done, and the record stays exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from associations.attaching.actions.ending import end_overtaken
from associations.claims.actions import again, drafting, ending, outside, reviewing, scheduled, submitting
from associations.claims.models import Claim, ClaimUnit, Conflict
from associations.claims.rules import LIVE, ClaimStatus
from associations.record import checking
from associations.record.models import Association
from por.directory.models import Subscription
from por.errors import Refused
from tests.at_once import at_once
from tests.claims import add_proof, make_draft, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.rivals import CUSTOMER_LOCK, before_the_lock, before_the_write_without_a_lock, holding_the_lock

pytestmark = pytest.mark.usefixtures("committed")

MOMENTS: dict[str, Any] = {"before": before_the_lock, "holding": holding_the_lock}


class Scene:
    """A claim of one subscription with all who may act on it, and another company that is ready to submit."""

    def __init__(self, status: str) -> None:
        self.customer, partner, self.reviewer = make_customer(), make_partner(), make_staff()
        self.admin, self.claimant = make_member(self.customer.organisation), make_member(partner.organisation)
        self.subscription = make_subscription(self.customer, product="crm_online", sku_string_id="CRMSTANDARD")
        self.claim = make_under_review(self.customer, self.claimant, self.subscription, reviewer=self.reviewer)
        self.rival = make_member(make_partner("Rival AB").organisation)
        self.draft = make_draft(self.customer, self.rival, self.subscription)
        add_proof(self.draft, self.rival)
        if status == "approved":
            self.approve()
        elif status == "rejected":
            self.reject()
        elif status == "action_required":
            reviewing.ask(self.claim.pk, ["dates"], by=self.reviewer)

    def approve(self) -> Any:
        return reviewing.approve(self.claim.pk, by=self.reviewer)

    def reject(self) -> Any:
        return reviewing.reject(self.claim.pk, ["insufficient"], by=self.reviewer)

    def withdraw(self) -> Any:
        return drafting.withdraw(self.claim.pk, by=self.claimant)

    def decline(self) -> Any:
        return ending.decline(self.claim.pk, by=self.admin)

    def disassociate(self) -> Any:
        return ending.disassociate(self.claim.pk, "Our work is done.", by=self.claimant)

    def dispute(self) -> Any:
        return again.dispute(self.claim.pk, "Page 3 shows our work.", by=self.claimant)

    def submit(self) -> Any:
        return submitting.submit(self.claim.pk, by=self.claimant)

    def rival_submits(self) -> Any:
        return submitting.submit(self.draft.pk, by=self.rival)

    def expire(self) -> Any:
        """Let an import end the subscription, with all that follows."""
        Subscription.objects.filter(pk=self.subscription.pk).update(status="expired")
        end_overtaken()
        return outside.follow_files()

    def answer_is_overdue(self) -> Any:
        return scheduled.reject_unanswered(self.claim.pk)

    def consent_lapses(self) -> Any:
        return scheduled.lapse_consent(self.claim.pk)

    def is_exact(self) -> bool:
        """Return whether claims, units and associations agree with each other and with the events."""
        for claim in Claim.objects.filter(customer=self.customer):
            for unit in claim.units.select_related("association"):
                held = unit.association is not None and unit.association.is_in_force
                if unit.live != (claim.status in LIVE) or held != (claim.status == ClaimStatus.APPROVED):
                    return False
        return not [one for one in checking.examine() if one.chain == f"organisation:{self.customer.pk}"]


#: A status, what the caller does in it, what the rival does meanwhile, and what the caller is answered.
CASES = [
    ("under_review", "approve", "reject", "claim_rejected"),
    ("under_review", "approve", "withdraw", "claim_withdrawn"),
    ("under_review", "approve", "expire", "claim_withdrawn"),
    ("under_review", "approve", "rival_submits", "conflict_open"),
    ("under_review", "reject", "approve", "claim_approved"),
    ("under_review", "withdraw", "approve", "claim_approved"),
    ("approved", "decline", "disassociate", "claim_ended"),
    ("approved", "decline", "expire", "claim_ended"),
    ("approved", "decline", "rival_submits", "done"),
    ("approved", "disassociate", "decline", "claim_ended"),
    ("approved", "consent_lapses", "decline", "nothing"),
    ("action_required", "answer_is_overdue", "submit", "nothing"),
    ("action_required", "submit", "answer_is_overdue", "claim_rejected"),
    ("rejected", "dispute", "rival_submits", "done"),
]


def answer_to(act: Callable[[], Any]) -> str:
    try:
        return "done" if act() else "nothing"
    except Refused as refused:
        return refused.code


#: The crawl has the second moment of each.
@pytest.mark.parametrize(
    "moment", [pytest.param(one, marks=[pytest.mark.crawl] if n else []) for n, one in enumerate(MOMENTS)]
)
@pytest.mark.parametrize(("status", "caller", "rival", "answer"), CASES)
def test_one_of_two_at_the_same_moment_is_done_and_the_record_is_exact(moment, status, caller, rival, answer):
    scene = Scene(status)
    if "answer_is_overdue" in (caller, rival):
        Claim.objects.filter(pk=scene.claim.pk).update(due_at=timezone.now())

    with MOMENTS[moment](getattr(scene, rival), CUSTOMER_LOCK):
        answered = answer_to(getattr(scene, caller))

    assert answered == answer
    assert scene.is_exact()


@pytest.mark.parametrize(
    ("status", "caller", "rival"),
    [("under_review", "approve", "withdraw"), ("approved", "decline", "disassociate")],
)
def test_control_without_its_lock_both_are_done(status, caller, rival):
    scene = Scene(status)

    with before_the_write_without_a_lock(getattr(scene, rival)):
        answered = answer_to(getattr(scene, caller))

    assert answered == "done", "both are done, which no order of the two explains"
    assert not scene.is_exact() or scene.claim.steps.filter(after=ClaimStatus.ENDED).count() == 2


def pairs_at_once(count: int) -> None:
    """Let two companies submit a claim on one workload at the same moment, for so many customers."""
    for _pair in range(count):
        customer = make_customer()
        drafts = []
        for _each in range(2):
            by = make_member(make_partner().organisation)
            draft = make_draft(customer, by)
            add_proof(draft, by)
            drafts.append((draft.pk, by))

        calls = [lambda pk=pk, by=by: submitting.submit(pk, by=by) for pk, by in drafts]
        assert at_once(*calls) == ["done", "done"]
        conflict = Conflict.objects.get(customer=customer)
        assert (conflict.status, conflict.sides.count()) == ("open", 2)
        reviewer = make_staff()
        for pk, _by in drafts:
            reviewing.start_review(pk, by=reviewer)
        decisions = [lambda pk=pk, by=reviewer: reviewing.approve(pk, by=by) for pk, _by in drafts]
        assert at_once(*decisions) == ["conflict_open", "conflict_open"]
        drafting.withdraw(drafts[0][0], by=drafts[0][1])
        reviewing.approve(drafts[1][0], by=reviewer)
        assert Association.objects.open().filter(customer=customer).count() == 1
        assert ClaimUnit.objects.filter(customer=customer, live=True).count() == 1


def test_two_submits_of_one_unit_at_once_are_one_conflict_with_two_sides():
    pairs_at_once(3)


@pytest.mark.crawl
def test_twenty_pairs_of_submits_at_once_are_twenty_conflicts_with_two_sides_each():
    before = Conflict.objects.count()
    pairs_at_once(20)
    assert Conflict.objects.count() == before + 20
