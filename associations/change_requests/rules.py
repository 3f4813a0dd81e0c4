"""The statuses of a change request, and which verb can follow which."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from associations.record.state_machines import StateMachine

STATEMENT_LENGTH = 2000


class ChangeStatus(TextChoices):
    """The status of a change request."""

    OPEN = "open", _("Waiting for the customer")
    ANSWERED = "answered", _("Answered")
    EXPIRED = "expired", _("Not answered in time")
    CANCELLED = "cancelled", _("Cancelled")


CHANGE_REQUEST = StateMachine(
    name="change request",
    begins=ChangeStatus.OPEN,
    steps={
        ChangeStatus.OPEN: {
            "propose another partner": ChangeStatus.OPEN,
            "state": ChangeStatus.OPEN,
            "forward": ChangeStatus.OPEN,
            "move the incumbent": ChangeStatus.OPEN,
            "answer": ChangeStatus.ANSWERED,
            "[deadline]": ChangeStatus.EXPIRED,
            "[no partner of record any more]": ChangeStatus.CANCELLED,
            "[no other partner left]": ChangeStatus.CANCELLED,
        },
        ChangeStatus.ANSWERED: {"undo": ChangeStatus.OPEN, "undo the switch": ChangeStatus.CANCELLED},
        ChangeStatus.CANCELLED: {"undo the removal": ChangeStatus.OPEN},
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


class Cancellation(TextChoices):
    """Why a change request became pointless: there is no partner of record any more, or no other partner to choose."""

    REMOVED = "removed", _("The partner of record was removed")
    RESIGNED = "resigned", _("The partner of record resigned")
    SUBSCRIPTION_EXPIRED = "subscription_expired", _("The subscription expired")
    PARTNER_CLOSED = "partner_closed", _("A partner’s account was closed")
    ENDED = "ended", _("The partner of record’s period ended")
    SAME_COMPANY = "same_company", _("The partners now belong to one company")
    SUBSCRIPTION_MOVED = "subscription_moved", _("The subscription moved to another tenant")
    SWITCH_UNDONE = "switch_undone", _("The change of partner was undone")


#: The partner of record stays, but there is no other partner left to choose.
NO_CHOICE = frozenset({Cancellation.PARTNER_CLOSED, Cancellation.SAME_COMPANY})
