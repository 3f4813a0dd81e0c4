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


def reason(test: Compare, met: bool | None, need: Q, have: Q, facts: Facts) -> Code:
    """Return why a comparison is met, missed or undetermined, with what is needed and what there is."""
    figures: dict[str, object] = {"metric": test.label, "need": need.json(), "have": have.json()}
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
    if leaf.by and any(_COMPARED[test.operator](have, one.value) is not None for _names, one in leaf.leaves()):
        return Code(Why.CHOICE_UNKNOWN, figures | {"choice": leaf.by})  # with the choice, it may be certain
    return Code(Why.FACTS_INCOMPLETE, figures)


def unpublished(label: str, figure: Figure) -> Code:
    figures = {"metric": label, "figure": figure.key, "status": str(figure.status), "blocks": figure.blocks}
    return Code(Why.FIGURE_NOT_PUBLISHED, figures)


@dataclass(frozen=True, slots=True)
class Is:
    """Asks whether something is so."""

    fact: str

    def check(self, facts: Facts) -> Checked:
        return _of_words(facts, (self.fact,), True, lambda have: have is True)


@dataclass(frozen=True, slots=True)
class In:
    """Asks whether a word is one of some."""

    fact: str
    among: tuple[str, ...]

    def check(self, facts: Facts) -> Checked:
        return _of_words(facts, (self.fact,), list(self.among), lambda have: have in self.among)


@dataclass(frozen=True, slots=True)
class Same:
    """Asks whether two words are the same."""

    facts: tuple[str, str]

    def check(self, facts: Facts) -> Checked:
        return _of_words(facts, self.facts, facts.get(self.facts[1]), lambda one, other: one == other)


def _of_words(facts: Facts, names: tuple[str, ...], need: object, met: Callable[..., bool]) -> Checked:
    """Return what words or a yes and no say. A quantity in their place stands for what is given as unknown."""
    have = [facts.get(name) for name in names]
    if facts.given_only and None in have:
        return LEFT_OUT
    if any(one is None or isinstance(one, Q) for one in have):
        return Checked(None, (Code(Why.NO_FACTS, {"metric": names[0]}),))
    said = met(*have)
    return Checked(said, (Code(Why.MET if said else Why.NOT_MET, {"metric": names[0], "need": need, "have": have[0]}),))


@dataclass(frozen=True, slots=True)
class Not:
    test: Test

    def check(self, facts: Facts) -> Checked:
        inner = self.test.check(facts)
        return Checked(None if inner.met is None else not inner.met, inner.codes, inner.asked)


@dataclass(frozen=True, slots=True)
class All:
    tests: tuple[Test, ...]

    def check(self, facts: Facts) -> Checked:
        return together([one.check(facts) for one in self.tests], all_of)


@dataclass(frozen=True, slots=True)
class Any:
    tests: tuple[Test, ...]

    def check(self, facts: Facts) -> Checked:
        return together([one.check(facts) for one in self.tests], any_of)


Test = Compare | Is | In | Same | Not | All | Any


def parts_of(test: Test) -> Iterator[Compare | Is | In | Same]:
    """Yield the single tests that a test is made of."""
    if isinstance(test, Not):
        yield from parts_of(test.test)
    elif isinstance(test, All | Any):
        for one in test.tests:
            yield from parts_of(one)
    else:
        yield test


def together(checked: list[Checked], join: Callable[[list[bool | None]], bool | None]) -> Checked:
    """Return what tests say together. Those that were left out say nothing; if all were, so was this."""
    codes = tuple(code for one in checked for code in one.codes)
    asked = [one.met for one in checked if one.asked]
    return Checked(join(asked), codes) if asked else Checked(None, codes, asked=False)
