"""What happens to claims in conflict, chosen at random, and compared after each step with a plain model of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.utils import timezone

from associations.claims.actions import conflicts, deciding, drafting, reviewing, scheduled, submitting
from associations.claims.models import Claim, Conflict
from associations.record import checking
from associations.record.models import Association
from por.errors import Refused
from tests.claims import make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff

UNITS = ("exo", "spo", "teams")
PENDING = {"submitted", "under_review", "action_required"}


class No(Exception):
    """The model refuses it."""


@dataclass(eq=False)
class PlainClaim:
    """A claim of the model: which units it still has, which it has lost, and which it holds."""

    company: str
    live: set[str]
    status: str = "submitted"
    lost: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Decision:
    unit: str
    winner: PlainClaim


@dataclass
class Model:
    """The rules of claims in conflict for one customer, in plain Python."""

    claims: list[PlainClaim] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    waiting: list[Decision] = field(default_factory=list)

    def on(self, unit: str) -> list[PlainClaim]:
        return [one for one in self.claims if unit in one.live]

    def submit(self, company: str, units: set[str]) -> None:
        if any(one.company == company for unit in units for one in self.on(unit)):
            raise No
        self.open |= {unit for unit in units if self.on(unit)}
        self.claims.append(PlainClaim(company, set(units)))

    def step(self, claim: PlainClaim, allowed: set[str], after: str) -> None:
        if claim.status not in allowed:
            raise No
        claim.status = after

    def submit_again(self, claim: PlainClaim) -> None:
        self.step(claim, {"action_required"}, "submitted")

    def start_review(self, claim: PlainClaim) -> None:
        self.step(claim, {"submitted"}, "under_review")

    def withdraw(self, claim: PlainClaim) -> None:
        self.step(claim, PENDING, "withdrawn")
        self.leave(claim)

    def approve(self, claim: PlainClaim) -> None:
        if claim.live & self.open or claim.status != "under_review":
            raise No
        self.hold(claim)

    def reject(self, claim: PlainClaim) -> None:
        if claim.live & self.open:
            raise No
        self.step(claim, {"under_review"}, "rejected")
        self.leave(claim)

    def give_up(self, claim: PlainClaim) -> None:
        self.step(claim, {"action_required"}, "rejected")
        self.leave(claim)

    def ask_proof(self, unit: str, claim: PlainClaim) -> None:
        if unit not in self.open or unit not in claim.live or claim.status == "action_required":
            raise No
        if claim.status != "approved":
            claim.status = "action_required"

    def decide(self, unit: str, winner: PlainClaim | None) -> None:
        sides = self.on(unit)
        if unit not in self.open or (winner is not None and winner not in sides):
            raise No
        self.open.remove(unit)
        pending = [one for one in sides if one.status != "approved"]
        for one in pending:
            one.status = "under_review" if one.status == "submitted" else one.status
            if one is not winner:
                one.live.remove(unit)
                one.lost.add(unit)
                self.lapse(one, unit)
        if winner in pending and winner is not None:
            self.waiting.append(Decision(unit, winner))
        for one in sorted(pending, key=lambda one: one is winner):
            if not one.live:
                one.status = "rejected"
            elif not one.live & self.open:
                self.hold(one)

    def hold(self, claim: PlainClaim) -> None:
        for unit in claim.live:
            for one in self.on(unit):
                if one is not claim:  # it was approved before, and a decision was against it
                    assert any((each.unit, each.winner) == (unit, claim) for each in self.waiting)
                    one.live.remove(unit)
                    one.held.remove(unit)
                    one.lost.add(unit)
                    one.status = one.status if one.live else "ended"
        claim.status, claim.held = "approved", set(claim.live)
        self.waiting = [one for one in self.waiting if one.winner is not claim]

    def lapse(self, claim: PlainClaim, unit: str) -> None:
        self.waiting = [one for one in self.waiting if (one.winner, one.unit) != (claim, unit)]

    def leave(self, claim: PlainClaim) -> None:
        units, claim.live = claim.live, set()
        for unit in units:
            self.lapse(claim, unit)
            left = self.on(unit)
            if any(one.unit == unit and one.winner in left for one in self.waiting):
                left = [one for one in left if one.status != "approved"]
            if len(left) < 2:
                self.open.discard(unit)


class Walk:
    """The product and the model, side by side."""

    def __init__(self, seed: int) -> None:
        self.random, self.model, self.done = random.Random(seed), Model(), list[str]()
        self.customer, self.reviewer = make_customer(), make_staff()
        self.companies = {name: make_member(make_partner(name).organisation) for name in ("A", "B", "C", "D")}
        self.pks: dict[PlainClaim, int] = {}

    def run(self, steps: int) -> None:
        for _each in range(steps):
            self.choose()()
            self.compare()

    def choose(self) -> Callable[[], None]:
        pick, model = self.random, self.model
        claims = [one for one in model.claims if one.status in PENDING]
        if model.open and pick.random() < 0.35:
            unit = pick.choice(sorted(model.open))
            sides = model.on(unit)
            return pick.choice(
                [lambda: self.decide(unit, pick.choice([*sides, None]))] * 3
                + [lambda: self.ask(unit, pick.choice(sides))]
            )
        if not claims or pick.random() < 0.4:
            company = pick.choice(sorted(self.companies))
            return lambda: self.submit(company, set(pick.sample(UNITS, pick.choice([1, 2, 2, 3]))))
        claim = pick.choice(claims)
        verbs = ["withdraw", "start_review", "start_review", "approve", "approve", "reject", "submit_again", "give_up"]
        verb = pick.choice(verbs)
        return lambda: self.verb(verb, claim)

    def both(self, what: str, model: Callable[[], Any], product: Callable[[], Any]) -> Any:
        """Do it in both, which must agree whether it can be done."""
        self.done.append(what)
        try:
            model()
        except No:
            with pytest.raises(Refused):
                product()
            return None
        try:
            return product()
        except Refused as refused:
            raise AssertionError(f"{refused.code} after {self.done}") from refused

    def submit(self, company: str, units: set[str]) -> None:
        by = self.companies[company]
        made = self.both(
            f"{company} submits {sorted(units)}",
            lambda: self.model.submit(company, units),
            lambda: make_submitted(self.customer, by, *sorted(units)),
        )
        if made is not None:
            self.pks[self.model.claims[-1]] = made.pk

    def verb(self, name: str, claim: PlainClaim) -> None:
        pk, by = self.pks[claim], self.companies[claim.company]
        product: dict[str, Callable[[], Any]] = {
            "withdraw": lambda: drafting.withdraw(pk, by=by),
            "start_review": lambda: reviewing.start_review(pk, by=self.reviewer),
            "approve": lambda: reviewing.approve(pk, by=self.reviewer),
            "reject": lambda: reviewing.reject(pk, ["insufficient"], by=self.reviewer),
            "submit_again": lambda: submitting.submit(pk, by=by) if claim_waits(pk) else refuse(),
            "give_up": lambda: give_up(pk),
        }
        self.both(f"{name} {pk}", lambda: getattr(self.model, name)(claim), product[name])

    def decide(self, unit: str, winner: PlainClaim | None) -> None:
        self.both(
            f"decide {unit} for {winner and self.pks[winner]}",
            lambda: self.model.decide(unit, winner),
            lambda: deciding.decide(self.conflict(unit), winner and self.pks[winner], note="Newest.", by=self.reviewer),
        )

    def ask(self, unit: str, claim: PlainClaim) -> None:
        self.both(
            f"ask {self.pks[claim]} for proof of {unit}",
            lambda: self.model.ask_proof(unit, claim),
            lambda: deciding.ask_proof(self.conflict(unit), self.pks[claim], by=self.reviewer),
        )

    def conflict(self, unit: str) -> int:
        return Conflict.objects.open().get(customer=self.customer, workload=unit).pk

    def compare(self) -> None:
        """Check that product and model are in the same state."""
        claims = {one.pk: one for one in Claim.objects.filter(customer=self.customer).prefetch_related("units")}
        product = {
            pk: (
                claims[pk].status,
                {one.workload for one in claims[pk].units.all() if one.live},
                {one.workload for one in claims[pk].units.all() if one.outcome == "lost"},
            )
            for pk in self.pks.values()
        }
        model = {self.pks[one]: (one.status, one.live, one.lost) for one in self.model.claims}
        assert product == model, "\n".join(self.done)
        opened = Conflict.objects.open().filter(customer=self.customer)
        assert sorted(one.workload for one in opened) == sorted(self.model.open), "\n".join(self.done)
        waiting = Conflict.objects.filter(customer=self.customer, status="decided", carried_out_at=None)
        assert sorted((one.workload, one.winner_id) for one in waiting) == sorted(
            (one.unit, self.pks[one.winner]) for one in self.model.waiting
        ), "\n".join(self.done)
        held = Association.objects.open().filter(customer=self.customer).values_list("workload", "claim_number")
        numbers = {(unit, claims[self.pks[one]].number) for one in self.model.claims for unit in one.held & one.live}
        assert set(held) == numbers, "\n".join(self.done)


def claim_waits(pk: int) -> bool:
    return Claim.objects.get(pk=pk).status == "action_required"


def refuse() -> None:
    raise Refused("not_now", "It is no draft, and waits for nothing.")


def give_up(pk: int) -> None:
    """Let the time for the partner's answer end."""
    Claim.objects.filter(pk=pk, status="action_required").update(due_at=timezone.now())
    if not scheduled.reject_unanswered(pk):
        refuse()


@pytest.mark.parametrize("seed", range(2))
def test_product_does_what_the_model_does(seed):
    Walk(seed).run(28)
    assert list(checking.examine()) == [], "an event describes each association"


@pytest.mark.crawl
@pytest.mark.parametrize("seed", range(100, 160))
def test_product_does_what_the_model_does_on_longer_walks(seed):
    Walk(seed).run(60)


def test_control_the_model_notices_that_a_decision_does_not_lapse(monkeypatch):
    monkeypatch.setattr(conflicts, "lapse", lambda *args, **kwargs: [])
    with pytest.raises(AssertionError):
        Walk(22).run(16)
