"""What may follow what: one table for each thing that has a status. docs/life-cycles.md is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from por.errors import Refused

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


@dataclass(frozen=True)
class StateMachine:
    """The steps of one kind of thing. What the clock or the estate does stands in brackets.

    `steps` says for each status which verb leads where; a status without steps is its end. `refusals` are the code
    and the sentence of everybody who comes too late, by the status they find.
    """

    name: str
    begins: str
    steps: Mapping[str, Mapping[str, str]]
    refusals: Mapping[str, tuple[str, LazyText]]

    def after(self, status: str, verb: str) -> str:
        """The status a verb leads to; raises Refused where the table has no such step."""
        try:
            return self.steps[status][verb]
        except KeyError:
            code, sentence = self.refusals[status]
            raise Refused(code, sentence) from None

    def allows(self, status: str, verb: str) -> bool:
        return verb in self.steps.get(status, {})
