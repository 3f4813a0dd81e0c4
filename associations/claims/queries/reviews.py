"""What staff see: the queue of claims, one claim with all it has, and the interests of reviewers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from associations.claims.actions.interests import marks_for_others
from associations.claims.actions.shared import interests_in
from associations.claims.models import DUE, Claim, Interest
from associations.claims.queries.proofs import newest_proof_at
from associations.claims.rules import PENDING, TO_REVIEW, ClaimStatus
from por.accounts.models import Actor, Organisation
from por.accounts.rules import Right
from por.web.formatting import number_text, start_of_day
from por.web.lists import ListTab

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: The claim that is due first is at the top; `due` is never null.
BY_DUE = ("due", "pk")


def claims_for_queue(actor: Actor) -> QuerySet[Claim]:
    """Return the claims that staff see, with what a row of the queue shows. Takes one more query for the units."""
    found = Claim.objects.visible_to(actor).for_listing().select_related("assigned_to")
    return found.annotate(due=DUE, newest_proof_at=newest_proof_at())


def tabs(actor: Actor) -> list[ListTab]:
    """Return the saved views of the queue."""
    tomorrow = start_of_day(timezone.localdate() + timedelta(days=1))
    pending = Q(status__in=sorted(PENDING))

    def tab(key: str, label: LazyText, which: Q, order: Sequence[str] = BY_DUE) -> ListTab:
        return ListTab(key, label, lambda found: found.filter(which), order=order)

    return [
        tab("", _("To review"), Q(status__in=TO_REVIEW)),
        tab("mine", _("Mine"), pending & Q(assigned_to=actor.user_id)),
        tab("today", _("Due today"), Q(status__in=TO_REVIEW, due_at__lt=tomorrow)),
        tab("partner", _("Waiting for the partner"), Q(status=ClaimStatus.ACTION_REQUIRED)),
        tab("disputed", _("Disputed"), Q(status=ClaimStatus.DISPUTED)),
        tab("all", _("All"), Q(), order=("-pk",)),
    ]


def next_to_review(actor: Actor, *, after: int | None = None) -> Claim | None:
    """Return the claim that this reviewer should open next: the first one due that nobody else has; None if none waits.

    Those in whose parties the reviewer has an interest are left out, and the claim `after` which they ask.
    """
    interested_in = Interest.objects.filter(reviewer=actor.user_id).values("organisation")
    waiting = Claim.objects.visible_to(actor).filter(status__in=TO_REVIEW)
    waiting = waiting.filter(Q(assigned_to=None) | Q(assigned_to=actor.user_id))
    for party in ("customer", "partner", "company"):
        waiting = waiting.exclude(**{f"{party}__in": interested_in})
    if after is not None:
        waiting = waiting.exclude(pk=after)
    return waiting.annotate(due=DUE).order_by(*BY_DUE).first()


def interest_in(actor: Actor, parties: Iterable[int] | QuerySet[Organisation]) -> Interest | None:
    """Return the reader's own interest in one of these organisations; None if there is none."""
    return interests_in(parties, actor.user_id).select_related("organisation").first()


def interests_for_listing(actor: Actor) -> QuerySet[Interest]:
    """Return the reviewer's own interests; all of them for those who mark them for others, and for other staff."""
    found = Interest.objects.select_related("reviewer", "organisation")
    if actor.may(Right.REVIEW_CLAIMS) and not marks_for_others(actor):
        found = found.filter(reviewer=actor.user_id)
    return found


# --- Words about time -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """How long it is until something is due, in words; `tone` says how urgent it is."""

    text: str
    tone: str


def time_left(due_at: datetime | None) -> Left | None:
    """Return how long it is until then: "Overdue by 2 h", "5 h left", "3 days left"; None where nothing is due."""
    if due_at is None:
        return None
    left = due_at - timezone.now()
    hours = int(abs(left).total_seconds() // 3600)
    over = left < timedelta(0)
    if hours < 1:
        return Left(str(_("Overdue by less than 1 h") if over else _("Less than 1 h left")), "bad" if over else "warn")
    if hours < 48:
        short = _("Overdue by %(n)s h") if over else _("%(n)s h left")
        return Left(str(short % {"n": number_text(hours)}), "bad" if over else "warn" if hours < 24 else "")
    days = hours // 24
    if over:
        text = ngettext("Overdue by %(n)s day", "Overdue by %(n)s days", days)
        return Left(text % {"n": number_text(days)}, "bad")
    return Left(ngettext("%(n)s day left", "%(n)s days left", days) % {"n": number_text(days)}, "")


def age_text(since: datetime | None) -> str:
    """Return how long ago it was: "5 h", "3 days"."""
    if since is None:
        return ""
    hours = int((timezone.now() - since).total_seconds() // 3600)
    if hours < 48:
        return str(_("%(n)s h") % {"n": number_text(max(hours, 0))})
    return ngettext("%(n)s day", "%(n)s days", hours // 24) % {"n": number_text(hours // 24)}
