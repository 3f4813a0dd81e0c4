"""What may follow what: one table for each thing that has a status. docs/life-cycles.md is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from associations.rules import ChangeStatus, InvitationStatus
from por.errors import Refused

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


@dataclass(frozen=True)
class LifeCycle:
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


CHANGE_REQUEST = LifeCycle(
    name="change request",
    begins=ChangeStatus.OPEN,
    steps={
        ChangeStatus.OPEN: {
            "propose another partner": ChangeStatus.OPEN,
            "state": ChangeStatus.OPEN,
            "forward": ChangeStatus.OPEN,
            "answer": ChangeStatus.ANSWERED,
            "[deadline]": ChangeStatus.EXPIRED,
            "[no partner of record any more]": ChangeStatus.CANCELLED,
            "[no other partner left]": ChangeStatus.CANCELLED,
        },
        ChangeStatus.ANSWERED: {"undo": ChangeStatus.OPEN},
    },
    refusals={
        ChangeStatus.OPEN: ("change_request_open", _("This change request is open, so it can be answered.")),
        ChangeStatus.ANSWERED: (
            "change_request_answered",
            _(
                "This change request has been answered. An administrator of the customer can undo the answer "
                "for a limited time."
            ),
        ),
        ChangeStatus.EXPIRED: (
            "change_request_expired",
            _(
                "This change request was not answered in time, so the current partner did not change. The "
                "customer can start another one."
            ),
        ),
        ChangeStatus.CANCELLED: (
            "change_request_cancelled",
            _("This change request has been cancelled, so you can no longer answer it."),
        ),
    },
)

INVITATION = LifeCycle(
    name="invitation",
    begins=InvitationStatus.SENT,
    steps={
        InvitationStatus.SENT: {
            "open": InvitationStatus.SENT,
            "accept": InvitationStatus.ACCEPTED,
            "decline": InvitationStatus.DECLINED,
            "report": InvitationStatus.REPORTED,
            "revoke": InvitationStatus.REVOKED,
            "[expiry]": InvitationStatus.EXPIRED,
            "[nothing left to accept]": InvitationStatus.EXPIRED,
        },
    },
    refusals={
        InvitationStatus.ACCEPTED: (
            "invitation_accepted",
            _("This invitation has been accepted and cannot be used again. The partner can send another one."),
        ),
        InvitationStatus.DECLINED: (
            "invitation_declined",
            _("This invitation has been declined. The partner can send another one."),
        ),
        InvitationStatus.REPORTED: ("invitation_declined", _("This invitation has been declined and reported.")),
        InvitationStatus.REVOKED: ("invitation_revoked", _("The partner has withdrawn this invitation.")),
        InvitationStatus.EXPIRED: (
            "invitation_expired",
            _("This invitation has expired. Ask the partner to send another one."),
        ),
    },
)

ALL = [CHANGE_REQUEST, INVITATION]
