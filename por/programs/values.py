"""How a value follows from facts: a closed list of derivations. There is no expression language."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from por.programs.facts import Facts
from por.programs.figures import Figure
from por.programs.quantity import Number, Q, greatest, point, total


class Derivation(StrEnum):
    DIFFERENCE = "difference"  #: the first less the second
    GROWTH = "growth"  #: from the second to the first, as a share of the second
    SHARE = "share"  #: the first as a share of the second
    SUM = "sum"
    MAX = "max"
    SCALED = "scaled"  #: times a figure of the rule


#: How many parts a derivation has; the others have any number.
PARTS = {Derivation.DIFFERENCE: 2, Derivation.GROWTH: 2, Derivation.SHARE: 2, Derivation.SCALED: 1}


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact by its name. What is counted is not below `least`, even if it is unknown."""

    name: str
    least: Number = -inf

    def of(self, facts: Facts) -> Q:
        value = facts.number(self.name)
        return value if value.low >= self.least else Q(self.least, max(value.high, self.least))

    def missing(self, facts: Facts) -> Iterator[str]:
        """Yield the facts that are absent."""
        if facts.get(self.name) is None:
            yield self.name

    def names(self) -> Iterator[str]:
        yield self.name


@dataclass(frozen=True, slots=True)
class Derived:
    """A value that follows from others. Only `scaled` has `by`."""

    how: Derivation
    parts: tuple[Derivable, ...]
    by: Figure | None = None

    def of(self, facts: Facts) -> Q:
        if self.by is not None:
            return self.parts[0].of(facts) * self.by.of(facts.choice)
        return _DERIVED[self.how]([part.of(facts) for part in self.parts])

    def missing(self, facts: Facts) -> Iterator[str]:
        for part in self.parts:
            yield from part.missing(facts)

    def names(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.names()


@dataclass(frozen=True, slots=True)
class Named:
    """The value of a metric: the fact with the metric's name where there is one, else what follows from others."""

    name: str
    otherwise: Derivable

    def of(self, facts: Facts) -> Q:
        return self.otherwise.of(facts) if facts.get(self.name) is None else facts.number(self.name)

    def missing(self, facts: Facts) -> Iterator[str]:
        if facts.get(self.name) is None:
            yield from self.otherwise.missing(facts)

    def names(self) -> Iterator[str]:
        yield from self.otherwise.names()


Derivable = Fact | Derived | Named

_DERIVED: dict[Derivation, Callable[[list[Q]], Q]] = {
    Derivation.DIFFERENCE: lambda parts: parts[0] - parts[1],
    Derivation.GROWTH: lambda parts: parts[0] / parts[1] - point(1),
    Derivation.SHARE: lambda parts: parts[0] / parts[1],
    Derivation.SUM: total,
    Derivation.MAX: greatest,
}
