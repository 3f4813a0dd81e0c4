"""Invitations as one viewer sees them. A partner sees a reported one as declined, without the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from django.db.models import F, Q, QuerySet, TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from associations.invitations.models import Invitation, InvitationQuerySet, Invited, invited_for_listing
from associations.invitations.rules import InvitationStatus
from associations.record.access import Reader
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery, prefetched

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class State(TextChoices):
    """The status of an invitation as it is shown: an open one may have been opened, or may be over by now."""

    SENT = "sent", pgettext_lazy("invitation", "Sent")
    OPENED = "opened", _("Opened")
    ACCEPTED = "accepted", _("Accepted")
    DECLINED = "declined", _("Declined")
    REPORTED = "reported", _("Reported")
    REVOKED = "revoked", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


@dataclass(frozen=True)
class Step:
    """One point on the way of an invitation. `at` is None if it has not happened."""

    label: str | LazyText
    at: datetime | None


@dataclass(frozen=True)
class Seen:
    """An invitation as one viewer sees it."""

    invitation: Invitation
    state: State
    reason: str

    @property
    def is_open(self) -> bool:
        return self.state in {State.SENT, State.OPENED}

    @property
    def steps(self) -> list[Step]:
        """Return the steps: sent, opened, and how it ended or that it waits for an answer."""
        one = self.invitation
        end = Step(_("Answered"), None) if self.is_open else Step(self.state.label, one.closed_at or one.expires_at)
        return [Step(State.SENT.label, one.sent_at), Step(State.OPENED.label, one.opened_at), end]


def invitations_for_listing(actor: Actor) -> InvitationQuerySet:
    """Return the invitations that the actor may see, with all that pages and API show."""
    return Invitation.objects.visible_to(actor).for_listing()


def seen(actor: Actor, invitation: Invitation) -> Seen:
    """Return the invitation as the actor sees it."""
    status = status_for(actor, invitation)
    state = State(status)
    if status == InvitationStatus.SENT:
        if invitation.expires_at <= timezone.now():  # even if no run has closed it yet
            state = State.EXPIRED
        elif invitation.opened_at is not None:
            state = State.OPENED
    return Seen(invitation, state, reason_for(actor, invitation))


def status_for(actor: Actor, invitation: Invitation) -> InvitationStatus:
    """Return the status as the actor sees it."""
    return InvitationStatus.DECLINED if _is_hidden(actor, invitation) else InvitationStatus(invitation.status)


def reason_for(actor: Actor, invitation: Invitation) -> str:
    """Return the reason of the customer as far as the actor may read it."""
    return "" if _is_hidden(actor, invitation) else invitation.reason


def _is_hidden(actor: Actor, invitation: Invitation) -> bool:
    return actor.kind == OrganisationKind.PARTNER and invitation.status == InvitationStatus.REPORTED


def with_status(actor: Actor, invitations: QuerySet[Invitation], status: str) -> QuerySet[Invitation]:
    """Return the invitations that have the status for this viewer."""
    if actor.kind != OrganisationKind.PARTNER:
        return invitations.filter(status=status)
    stored = {"declined": ["declined", "reported"], "reported": []}
    return invitations.filter(status__in=stored.get(status, [status]))


def in_state(actor: Actor, invitations: QuerySet[Invitation], state: str) -> QuerySet[Invitation]:
    """Return the invitations to which `seen` gives this state."""
    over = Q(expires_at__lte=timezone.now())
    waiting = Q(status=InvitationStatus.SENT) & ~over
    match state:
        case State.SENT:
            return invitations.filter(waiting, opened_at=None)
        case State.OPENED:
            return invitations.filter(waiting, opened_at__isnull=False)
        case State.EXPIRED:
            return invitations.filter(Q(status=InvitationStatus.EXPIRED) | Q(status=InvitationStatus.SENT) & over)
    return with_status(actor, invitations, state)


def waiting_for(actor: Actor, count: int) -> list[Invitation]:
    """Return the customer's open invitations that expire first, with what they name."""
    found = _waiting(count).all(organisation=actor.organisation_id, now=timezone.now())
    named: dict[int, list[Invited]] = {one.pk: [] for one in found}
    for one in _INVITED.all(invitations=list(named)) if found else ():
        named[one.invitation_id].append(one)
    for invitation in found:
        prefetched(invitation, "invited", named[invitation.pk])
    return found


@lru_cache(maxsize=16)
def _waiting(count: int) -> PreparedQuery[Invitation]:
    open_ones = invitations_for_listing(Reader(OrganisationKind.CUSTOMER).actor()).open()
    return PreparedQuery(lambda: open_ones.filter(expires_at__gt=Param("now")).order_by("expires_at", "pk")[:count])


_INVITED = PreparedQuery(lambda: invited_for_listing().filter(AnyOf(F("invitation"), Param("invitations"))))
