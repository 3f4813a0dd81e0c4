"""The steps of a claim in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from associations.claims.models import Claim, ClaimStep
from associations.claims.rules import Reason
from por.accounts.models import Actor
from por.accounts.rules import Right

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: How each verb reads, with its icon and tone.
WORDS: dict[str, tuple[LazyText, str, str]] = {
    "submit": (_("Submitted"), "send", "info"),
    "change": (_("Changed"), "info", ""),
    "withdraw": (_("Withdrawn"), "x", ""),
    "start review": (_("The review started"), "clock", "info"),
    "ask": (_("The reviewer asked for more"), "help", "info"),
    "approve": (_("Approved"), "check", "ok"),
    "reject": (_("Rejected"), "x", "bad"),
    "dispute": (_("The rejection was disputed"), "help", "info"),
    "decline": (_("The customer declined"), "x", "bad"),
    "disassociate": (_("The partner ended the association"), "x", ""),
    "end by number": (_("Support ended the association"), "x", "bad"),
    "[won]": (_("Approved by the decision about the conflict"), "check", "ok"),
    "[lost]": (_("Another partner’s claim was approved"), "x", "bad"),
    "[no answer]": (_("Rejected, because no answer came in time"), "x", "bad"),
    "[no dispute]": (_("The time to dispute the rejection is over"), "clock", ""),
    "[nothing left]": (_("Nothing is left of the claim"), "x", ""),
    "[goes on]": (_("The claim goes on, as a later file says"), "undo", "ok"),
    "[imported]": (_("Approved elsewhere, and imported from a file"), "check", "ok"),
    "[corrected by a file]": (_("Corrected by a file"), "info", ""),
}


@dataclass(frozen=True)
class Step:
    """A line of the timeline of a claim, as templates/ui/timeline.html shows it."""

    sentence: LazyText | str
    icon: str
    tone: str
    at: datetime
    by: str
    reasons: list[str]
    note: str

    @property
    def reason(self) -> str:
        """Return the reasons and the note in one line."""
        return "; ".join(filter(None, [*self.reasons, self.note]))


def steps_of(actor: Actor, claim: Claim, before: datetime | None = None) -> list[Step]:
    """Return the steps of a claim in words, newest first: all, or those before an instant.

    Their notes are for who may read comments.
    """
    steps = ClaimStep.objects.filter(claim=claim).select_related("organisation").order_by("-at", "-pk")
    if before is not None:
        steps = steps.filter(at__lt=before)
    return [_step(one, with_notes=actor.may(Right.LIST_PROOFS)) for one in steps]


def _step(one: ClaimStep, *, with_notes: bool) -> Step:
    sentence, icon, tone = WORDS.get(one.verb, (one.get_after_display(), "info", ""))
    by = ", ".join(filter(None, (one.by_name, one.organisation.name if one.organisation else "")))
    reasons = [str(Reason(reason).label) for reason in one.reasons]
    return Step(sentence, icon, tone, one.at, by, reasons, one.note if with_notes else "")
