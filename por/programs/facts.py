"""What is known of a subject on a day, and which of a programme's choices apply to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from por.programs.codes import Why
from por.programs.quantity import EVERYTHING, Q

#: A number, a yes or no, or a word.
Value = Q | bool | str
#: The name of the choice by which the facts themselves may differ: "seats.smb" is `seats` for the track smb.
TRACK = "track"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts for one verdict. What has no value is unknown: there is no default.

    `choice` names what applies: {"market": "developed", "track": "smb"}. `reasons` says by fact what is not certain of
    it, such as `seats_of_today`; a metric that uses the fact has the code. `given_only` leaves out tests of absent
    facts: only for worked examples, which give a part of the facts.
    """

    values: Mapping[str, Value]
    choice: Mapping[str, str] = field(default_factory=dict)
    day: date | None = None
    subject: str = ""
    reasons: Mapping[str, tuple[Why, ...]] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=dict)
    given_only: bool = False

    def get(self, name: str) -> Value | None:
        """Return the fact for the chosen track if there is one, else the fact; None if it is unknown."""
        track = self.choice.get(TRACK)
        if track is not None and (own := self.values.get(f"{name}.{track}")) is not None:
            return own
        return self.values.get(name)

    def number(self, name: str) -> Q:
        """Return a number, everything it could be if it is unknown. Raises TypeError for a fact that is none."""
        value = self.get(name)
        if value is None:
            return EVERYTHING
        if not isinstance(value, Q):
            raise TypeError(f"the fact {name} is {value!r}, no number")
        return value

    def chosen(self, **choice: str) -> Facts:
        return replace(self, choice={**self.choice, **choice})

    def having(self, **values: Value) -> Facts:
        return replace(self, values={**self.values, **values})
