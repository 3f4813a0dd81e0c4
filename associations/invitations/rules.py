"""The statuses of an invitation, and which verb can follow which."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from associations.record.state_machines import StateMachine


class InvitationStatus(TextChoices):
    """The status of a partner's invitation. Only the customer and the staff may know that it was reported."""

    SENT = "sent", _("Sent")
    ACCEPTED = "accepted", _("Accepted")
    DECLINED = "declined", _("Declined")
    REPORTED = "reported", _("Reported")
    REVOKED = "revoked", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


class Administering(TextChoices):
    """What came of the question to be a delegated administrator, once the customer has accepted the invitation."""

    ACCEPTED = "accepted", pgettext_lazy("delegated administrator", "Accepted")
    UNCHANGED = "unchanged", _("Was a delegated administrator already")
    LEFT_OUT = "left_out", _("Not accepted")


INVITATION = StateMachine(
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
