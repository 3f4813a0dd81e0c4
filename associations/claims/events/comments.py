"""The events of comments. Their text is kept with the claim, so that no history repeats it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from por.history.events import EventType, register


class CommentEvent(EventType):
    COMMENTED = "claim.commented"
    NOTED = "claim.noted"


class Commented(ClaimPayload):
    """The key of the comment."""

    comment: int


register(
    CommentEvent.COMMENTED,
    payload=Commented,
    about=("claim",),
    here=_("A comment was added to the claim"),
    elsewhere=_("A comment was added to the claim {object}"),
    icon="info",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    CommentEvent.NOTED,
    payload=Commented,
    about=("claim",),
    here=_("An internal comment was added to the claim"),
    elsewhere=_("An internal comment was added to the claim {object}"),
    icon="info",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
