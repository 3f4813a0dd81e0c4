"""Gates: what must be so before something earns or is paid, from a day to a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from por.programs.codes import Code, GateCode
from por.programs.facts import Facts
from por.programs.quantity import all_of
from por.programs.tests import Test


class Effect(StrEnum):
    NOTHING = "nothing"  #: nothing is earned
    HELD = "held"  #: it is earned, and payment waits


@dataclass(frozen=True, slots=True)
class Gate:
    """A requirement with the code of its failure. `next` names what the partner can do about it."""

    code: GateCode
    require: Test
    begins: date | None = None
    ends: date | None = None
    effect: Effect = Effect.NOTHING
    next: str = ""
    sources: tuple[str, ...] = ()

    def in_force(self, day: date) -> bool:
        return (self.begins is None or self.begins <= day) and (self.ends is None or day <= self.ends)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A gate that does not let through. `certain` is false where that is undetermined."""

    code: GateCode
    effect: Effect
    next: str
    certain: bool
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """What all gates say: whether something is earned, whether it can be paid, and every gate in the way."""

    earns: bool | None
    payable: bool | None
    blocked: tuple[Blocked, ...]


def check(gates: Iterable[Gate], facts: Facts, day: date) -> Passed:
    """Return what the gates of a day say. All reasons are kept, in the order of the gates."""
    answers = [(gate, gate.require.check(facts)) for gate in gates if gate.in_force(day)]
    answers = [(gate, checked) for gate, checked in answers if checked.asked]
    blocked = tuple(
        Blocked(gate.code, gate.effect, gate.next, checked.met is False, checked.codes)
        for gate, checked in answers
        if not checked.met
    )
    earns = all_of(checked.met for gate, checked in answers if gate.effect is Effect.NOTHING)
    return Passed(earns, all_of([earns, *(checked.met for _gate, checked in answers)]), blocked)
