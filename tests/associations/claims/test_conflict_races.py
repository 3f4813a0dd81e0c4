"""Decisions and others that act on the same claims at the same moment: one of them is first, the other finds that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from associations.claims.actions import deciding, drafting, submitting
from associations.claims.models import Claim, Conflict
from associations.record import checking
from associations.record.models import Association
from por.accounts.models import Actor
from por.errors import Locked, Refused
from tests.claims import add_proof, make_approved, make_draft, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.rivals import CUSTOMER_LOCK, before_the_lock, before_the_write_without_a_lock, holding_the_lock

pytestmark = pytest.mark.usefixtures("committed")

each_moment = pytest.mark.parametrize(
    "moment", [before_the_lock, pytest.param(holding_the_lock, marks=pytest.mark.crawl)]
)


class Contest:
    """A holder and a challenger of one workload, and a third company whose draft is ready to be submitted."""

    def __init__(self) -> None:
        self.customer, self.reviewer = make_customer(), make_staff()
        self.people = [make_member(make_partner().organisation) for _each in range(3)]
        self.held = make_approved(self.customer, self.people[0], reviewer=self.reviewer)
        self.claim = make_submitted(self.customer, self.people[1])
        self.draft = make_draft(self.customer, self.people[2])
        add_proof(self.draft, self.people[2])
        self.conflict = Conflict.objects.get(customer=self.customer).pk

    def decide(self, winner: Claim | None, **more: Any) -> Conflict:
        pk = winner and winner.pk
        return deciding.decide(self.conflict, pk, note="Newest.", by=self.reviewer, **more)

    def withdraw(self) -> Claim:
        return drafting.withdraw(self.claim.pk, by=self.people[1])

    def submit(self) -> Claim:
        return submitting.submit(self.draft.pk, by=self.people[2])

    def status(self, claim: Claim) -> str:
        return Claim.objects.get(pk=claim.pk).status

    def holders(self) -> list[str]:
        found = Association.objects.open().filter(customer=self.customer)
        return list(found.values_list("claim_number", flat=True))


def refused(code: str) -> Any:
    return pytest.raises(Refused, check=lambda one: one.code == code)


@each_moment
def test_decision_finds_that_its_winner_has_left(moment):
    contest = Contest()

    with moment(contest.withdraw, CUSTOMER_LOCK), refused("conflict_closed"):
        contest.decide(contest.claim)

    assert (contest.status(contest.held), contest.status(contest.claim)) == ("approved", "withdrawn")


@each_moment
def test_withdrawal_finds_that_its_claim_has_won(moment):
    contest = Contest()

    with moment(lambda: contest.decide(contest.claim), CUSTOMER_LOCK), refused("claim_approved"):
        contest.withdraw()

    assert (contest.status(contest.held), contest.holders()) == ("ended", [contest.claim.number])


@each_moment
def test_second_decision_finds_the_first(moment):
    contest = Contest()

    with moment(lambda: contest.decide(contest.held), CUSTOMER_LOCK), refused("conflict_decided"):
        contest.decide(contest.claim)

    assert (contest.status(contest.held), contest.status(contest.claim)) == ("approved", "rejected")


@each_moment
def test_decision_that_was_read_with_two_sides_is_not_one_of_three(moment):
    contest = Contest()

    with moment(contest.submit, CUSTOMER_LOCK), refused("stale"):
        contest.decide(contest.claim, version=1)

    assert contest.status(contest.draft) == "submitted"
    contest.decide(contest.claim)
    assert contest.status(contest.draft) == "rejected", "it is a side as the others"


@each_moment
def test_claim_that_comes_after_the_decision_opens_a_new_conflict(moment):
    contest = Contest()

    with moment(lambda: contest.decide(contest.claim), CUSTOMER_LOCK):
        contest.submit()

    opened = Conflict.objects.open().get(customer=contest.customer)
    assert [one.claim_id for one in opened.sides.order_by("pk")] == [contest.claim.pk, contest.draft.pk]
    assert contest.holders() == [contest.claim.number]


def test_control_without_the_lock_a_claim_is_withdrawn_and_goes_on():
    contest = Contest()

    with before_the_write_without_a_lock(contest.withdraw):
        contest.decide(contest.claim)

    assert list(contest.claim.steps.order_by("pk").values_list("verb", flat=True))[-3:] == [
        "withdraw",
        "start review",
        "[lost]",
    ]


def test_all_at_once_are_one_after_the_other():
    """However they meet, one company holds the workload, each claim is in one state, and events describe the record."""
    outcomes: Counter[str] = Counter()
    for _round in range(2):
        contest, start = Contest(), Barrier(5)
        acts: list[Callable[[], Any]] = [
            lambda contest=contest: contest.decide(contest.claim),
            lambda contest=contest: contest.decide(contest.held),
            contest.withdraw,
            contest.submit,
            lambda contest=contest: deciding.answer(contest.conflict, None, by=admin_of(contest)),
        ]

        def run(act: Callable[[], Any], start: Barrier = start) -> str:
            try:
                start.wait(20)
                act()
                return "done"
            except (Refused, Locked) as refusal:
                return refusal.code
            finally:
                connection.close()

        with ThreadPoolExecutor(len(acts)) as threads:
            outcomes.update(threads.map(run, acts))
        assert len(contest.holders()) == 1
        claims = Claim.objects.filter(customer=contest.customer)
        assert {one.number for one in claims if one.status == "approved"} == set(contest.holders())
        live = [one for one in claims if one.units.filter(live=True).exists()]
        assert all(one.is_live for one in live)
        assert Conflict.objects.open().filter(customer=contest.customer).exists() == (len(live) > 1)
    assert outcomes["done"] >= 4, outcomes
    assert list(checking.examine()) == []


def admin_of(contest: Contest) -> Actor:
    return make_member(contest.customer.organisation)
