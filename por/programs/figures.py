"""Figures of rules: each with its source and how sure it is, and perhaps different for each choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from por.programs.quantity import Q, hull


class Status(StrEnum):
    """How sure a figure is."""

    OFFICIAL = "official"
    SECONDARY = "secondary"
    INFERRED = "inferred"
    GATED = "gated"  #: it exists, but only behind the sign-in of partners
    UNKNOWN = "unknown"
    SYNTHETIC = "synthetic"
    OURS = "ours"


#: A figure with one of these statuses has no value.
UNPUBLISHED = frozenset({Status.GATED, Status.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a rule. `value` is None if nobody published it, or if it depends on the choice named by `by`.

    A figure that is not published makes what depends on it undetermined, unless `blocks` is false: then it is only
    shown as unpublished.
    """

    value: Q
    status: Status
    sources: tuple[str, ...]
    key: str = ""
    published: bool = True
    blocks: bool = True
    by: str = ""
    each: Mapping[str, Figure] = field(default_factory=dict)

    def of(self, choice: Mapping[str, str]) -> Q:
        """Return the value for these choices: everything it can be where a choice is not made."""
        return self.value if not self.by else self._by_choice(choice)

    def _by_choice(self, choice: Mapping[str, str]) -> Q:
        own = self.each.get(choice.get(self.by, ""))
        return own.of(choice) if own is not None else hull(one.of(choice) for one in self.each.values())

    def leaf(self, choice: Mapping[str, str]) -> Figure:
        """Return the figure that these choices lead to: itself as far as they are not made."""
        own = self.each.get(choice.get(self.by, ""))
        return self if own is None else own.leaf(choice)

    def leaves(self) -> Iterator[tuple[tuple[str, ...], Figure]]:
        """Yield every plain figure in it, with the values of the choices that lead to it."""
        if not self.by:
            yield (), self
        for name, one in self.each.items():
            for names, figure in one.leaves():
                yield (name, *names), figure
