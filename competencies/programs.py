"""The programmes that give competencies and designations, and their levels."""

from __future__ import annotations

import re

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

_ID = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")
LONGEST_ID = 60


class Level(TextChoices):
    SILVER = "silver", _("Silver")
    GOLD = "gold", _("Gold")
    QUALIFIED = "qualified", pgettext_lazy("level", "Qualified")


def is_program(text: str) -> bool:
    """Return whether the text is the ID of a programme, such as competency.smcs.

    Only its form is checked. This is the one place that is asked, whichever programmes are known.
    """
    return len(text) <= LONGEST_ID and _ID.fullmatch(text) is not None
