"""Comments on a claim: the partner and the reviewer talk about it, and staff among themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.shared import about, facts_of, locked, next_instant, record, told_privately, units_of
from associations.claims.events.comments import CommentEvent
from associations.claims.models import Claim, Comment
from associations.claims.rules import CLAIM, NOTE_LENGTH, ClaimStatus
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.errors import RateLimited, Refused
from por.history.actions import recording as history

#: How many comments an organisation can add to a claim within a day.
MOST_COMMENTS = 50
#: The statuses in which nobody reads comments yet, or any more.
CLOSED = (ClaimStatus.DRAFT, ClaimStatus.WITHDRAWN, ClaimStatus.REJECTED_FINAL, ClaimStatus.ENDED)


def right_to_comment(by: Actor) -> Right:
    """Return the right that the actor needs to comment: partners claim, and staff review."""
    return Right.REVIEW_CLAIMS if by.kind == OrganisationKind.STAFF else Right.WRITE_CLAIMS


@transaction.atomic
def comment(claim_id: int, text: str, *, by: Actor, internal: bool = False) -> Comment:
    """Add a comment to a submitted claim; return it. Only staff write and read internal ones.

    Raises NotFound, Forbidden, Locked, RateLimited, or Refused: with the code of the status, or on `text` or
    `internal`.
    """
    claim = locked(claim_id, right_to_comment(by), by=by)
    text = text.strip()
    if not text:
        raise Refused("comment_empty", _("Enter a comment."), field="text")
    if len(text) > NOTE_LENGTH:
        raise Refused(
            "comment_too_long", _("A comment has at most %(most)s characters.") % {"most": NOTE_LENGTH}, field="text"
        )
    if internal and not by.is_staff:
        raise Refused("internal_is_for_staff", _("Only platform staff write internal comments."), field="internal")
    now = next_instant(claim)
    _require_few(claim, by, now)
    if claim.status in CLOSED:
        raise Refused(*CLAIM.refusals[claim.status])
    of: Any = by.organisation  # who has the right has an organisation
    written = Comment.objects.create(
        claim=claim, by=by.user, by_name=by.name, organisation=of, text=text, at=now, internal=internal
    )
    units, changes = units_of(claim), {"comment": written.pk}
    if internal:
        facts = facts_of(claim, units) | changes
        history.record(CommentEvent.NOTED, about(claim), by=by, at=now, chain=None, changes=facts)
    else:
        record([told_privately(CommentEvent.COMMENTED, claim, units, changes)], by=by, at=now)
    return written


def _require_few(claim: Claim, by: Actor, now: datetime) -> None:
    day = timedelta(days=1)
    today = Comment.objects.filter(claim=claim, organisation=by.organisation_id, at__gt=now - day).order_by("-at")
    if oldest := today[MOST_COMMENTS - 1 : MOST_COMMENTS].first():
        raise RateLimited(
            "too_many_comments",
            _("Your organisation has added %(most)s comments within a day. Write the others later.")
            % {"most": MOST_COMMENTS},
            retry_after=1 + int((oldest.at + day - now).total_seconds()),
        )
