"""Tests of facts: the one grammar of levels, gates, units and releases. Each is true, false or undetermined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from por.programs.codes import Code, Why
from por.programs.facts import Facts
from por.programs.figures import Figure
from por.programs.quantity import Q, all_of, any_of
from por.programs.values import Derivable


class Operator(StrEnum):
    GTE = "gte"
    GT = "gt"
    LTE = "lte"
    LT = "lt"
    EQ = "eq"


_COMPARED: dict[Operator, Callable[[Q, Q], bool | None]] = {
    Operator.GTE: Q.gte,
    Operator.GT: Q.gt,
    Operator.LTE: Q.lte,
    Operator.LT: Q.lt,
    Operator.EQ: Q.eq,
}
#: The operators that ask for enough of something.
ENOUGH = (Operator.GTE, Operator.GT)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a test came to. `asked` is false if it was left out; then it says nothing."""

    met: bool | None
    codes: tuple[Code, ...] = ()
    asked: bool = True


LEFT_OUT = Checked(None, asked=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """Compares a value with a figure of the rule. `label` names it in codes."""

    label: str
    value: Derivable
    operator: Operator
    figure: Figure

    def check(self, facts: Facts) -> Checked:
        checked = self.compared(self.value.of(facts), facts)
        if facts.given_only and checked.met is None and next(self.value.missing(facts), None) is not None:
            return LEFT_OUT
        return checked

    def compared(self, have: Q, facts: Facts) -> Checked:
        need = self.figure.of(facts.choice)
        met = _COMPARED[self.operator](have, need)
        if not self.figure.blocks:
            return Checked(None, (unpublished(self.label, self.figure.leaf(facts.choice)),), asked=False)
        return Checked(met, (reason(self, met, need, have, facts),))

    def parts(self) -> Iterator[Test]:
        yield self


def reason(test: Compare, met: bool | None, need: Q, have: Q, facts: Facts) -> Code:
    """Return why a comparison is met, missed or undetermined, with what is needed and what there is."""
    figures: dict[str, object] = {"metric": test.label, "need": need.json(), "have": have.json()}
    if (why := facts.reasons.get(test.label)) is not None:
        figures["reason"] = why
    if met:
        return Code(Why.MET, figures)
    if met is False:
        if test.operator not in ENOUGH:
            return Code(Why.NOT_MET, figures | {"operator": str(test.operator)})
        return Code(Why.SHORT_BY, figures | {"short": (need - have).json(), "operator": str(test.operator)})
    leaf = test.figure.leaf(facts.choice)
    if not leaf.published and not leaf.by:
        return unpublished(test.label, leaf)
    if have.high == inf and next(test.value.missing(facts), None) is not None:
        return Code(Why.NO_FACTS, figures)
    if leaf.by:
        return Code(Why.CHOICE_UNKNOWN, figures | {"choice": leaf.by})
    return Code(Why.FACTS_INCOMPLETE, figures)


def unpublished(label: str, figure: Figure) -> Code:
    return Code(Why.FIGURE_NOT_PUBLISHED, {"metric": label, "figure": figure.key, "status": str(figure.status)})


@dataclass(frozen=True, slots=True)
class Is:
    """Asks whether something is so."""

    fact: str

    def check(self, facts: Facts) -> Checked:
        return _of_word(facts, self.fact, True, facts.get(self.fact))

    def parts(self) -> Iterator[Test]:
        yield self


@dataclass(frozen=True, slots=True)
class In:
    """Asks whether a word is one of some."""

    fact: str
    among: tuple[str, ...]

    def check(self, facts: Facts) -> Checked:
        have = facts.get(self.fact)
        return _of_word(facts, self.fact, list(self.among), have, None if have is None else have in self.among)

    def parts(self) -> Iterator[Test]:
        yield self


@dataclass(frozen=True, slots=True)
class Same:
    """Asks whether two words are the same."""

    facts: tuple[str, str]

    def check(self, facts: Facts) -> Checked:
        one, other = (facts.get(name) for name in self.facts)
        missing = one is None or other is None
        return _of_word(facts, self.facts[0], other, one, None if missing else one == other, missing=missing)

    def parts(self) -> Iterator[Test]:
        yield self


def _of_word(
    facts: Facts, name: str, need: object, have: object, met: bool | None = None, missing: bool | None = None
) -> Checked:
    if have is None if missing is None else missing:
        if facts.given_only:
            return LEFT_OUT
        return Checked(None, (Code(Why.NO_FACTS, {"metric": name, "need": need}),))
    met = have is True if met is None else met
    return Checked(met, (Code(Why.MET if met else Why.NOT_MET, {"metric": name, "need": need, "have": have}),))


@dataclass(frozen=True, slots=True)
class Not:
    test: Test

    def check(self, facts: Facts) -> Checked:
        inner = self.test.check(facts)
        return Checked(None if inner.met is None else not inner.met, inner.codes, inner.asked)

    def parts(self) -> Iterator[Test]:
        yield from self.test.parts()


@dataclass(frozen=True, slots=True)
class All:
    tests: tuple[Test, ...]

    def check(self, facts: Facts) -> Checked:
        return together([one.check(facts) for one in self.tests], all_of)

    def parts(self) -> Iterator[Test]:
        for one in self.tests:
            yield from one.parts()


@dataclass(frozen=True, slots=True)
class Any:
    tests: tuple[Test, ...]

    def check(self, facts: Facts) -> Checked:
        return together([one.check(facts) for one in self.tests], any_of)

    def parts(self) -> Iterator[Test]:
        for one in self.tests:
            yield from one.parts()


Test = Compare | Is | In | Same | Not | All | Any


def together(checked: list[Checked], join: Callable[[list[bool | None]], bool | None]) -> Checked:
    """Return what tests say together. Those that were left out say nothing; if all were, so was this."""
    codes = tuple(code for one in checked for code in one.codes)
    asked = [one.met for one in checked if one.asked]
    return Checked(join(asked), codes) if asked else Checked(None, codes, asked=False)
