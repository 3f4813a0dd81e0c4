"""Which verb can follow which status of an override."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from associations.record.state_machines import StateMachine
from competencies.models import OverrideStatus

OVERRIDE = StateMachine(
    name="override",
    begins=OverrideStatus.ASKED,
    steps={
        OverrideStatus.ASKED: {
            "confirm": OverrideStatus.GIVEN,
            "decline": OverrideStatus.DECLINED,
            "withdraw": OverrideStatus.WITHDRAWN,
        },
        OverrideStatus.GIVEN: {"end": OverrideStatus.ENDED},
    },
    refusals={
        OverrideStatus.ASKED: (
            "override_asked",
            _("This override waits for a second person. Confirm, decline or withdraw it first."),
        ),
        OverrideStatus.GIVEN: ("override_given", _("This override has been given. You can end it early.")),
        OverrideStatus.DECLINED: ("override_declined", _("This override has been declined. You can ask for another.")),
        OverrideStatus.WITHDRAWN: (
            "override_withdrawn",
            _("The request for this override has been withdrawn. You can ask for another."),
        ),
        OverrideStatus.ENDED: ("override_ended", _("This override has been ended. You can ask for another.")),
    },
)
