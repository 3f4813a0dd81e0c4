"""The statuses of an override, and which verb can follow which."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from associations.record.state_machines import StateMachine


class OverrideStatus(TextChoices):
    """The status of an override."""

    ASKED = "asked", _("Waiting for a second person")
    GIVEN = "given", pgettext_lazy("override", "Given")
    DECLINED = "declined", pgettext_lazy("override", "Declined")
    ENDED = "ended", _("Ended early")


OVERRIDE = StateMachine(
    name="override",
    begins=OverrideStatus.ASKED,
    steps={
        OverrideStatus.ASKED: {"confirm": OverrideStatus.GIVEN, "decline": OverrideStatus.DECLINED},
        OverrideStatus.GIVEN: {"end": OverrideStatus.ENDED},
    },
    refusals={
        OverrideStatus.ASKED: (
            "override_asked",
            _("This override waits for a second person. Confirm or decline it first."),
        ),
        OverrideStatus.GIVEN: ("override_given", _("This override has been given. You can end it early.")),
        OverrideStatus.DECLINED: ("override_declined", _("This override has been declined. You can ask for another.")),
        OverrideStatus.ENDED: ("override_ended", _("This override has been ended. You can ask for another.")),
    },
)
