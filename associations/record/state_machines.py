"""State machines: one table for each thing that has a status. docs/life-cycles.md is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from por.errors import Refused

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


@dataclass(frozen=True)
class StateMachine:
    """The steps of one kind of thing. The names of scheduled steps and of those of an import are in brackets.

    `steps` gives, for each status, the status that each verb leads to; a status without steps is final. `refusals` are
    the code and message for a verb that comes too late, by the status it finds.
    """

    name: str
    begins: str
    steps: Mapping[str, Mapping[str, str]]
    refusals: Mapping[str, tuple[str, LazyText]]

    def after(self, status: str, verb: str) -> str:
        """Return the status a verb leads to. Raises Refused where the table has no such step."""
        try:
            return self.steps[status][verb]
        except KeyError:
            code, message = self.refusals[status]
            raise Refused(code, message) from None

    def allows(self, status: str, verb: str) -> bool:
        """Return whether the verb can follow the status."""
        return verb in self.steps.get(status, {})
