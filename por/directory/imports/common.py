"""What the lines of several files have in common."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from por.directory.rules import normal_mpn_id
from por.imports.reading import Cells, Unfit


def mpn_id(cells: Cells, column: str, text: str) -> str:
    found = normal_mpn_id(text)
    if found is None:
        raise Unfit(column, "mpn_id_malformed", _("An MPN ID has 4 to 10 digits."))
    return found


def unknown(column: str, what: str) -> Unfit:
    """The row refers to something that is neither stored nor in a good row of these files."""
    sentences = {
        "partner": _("No partner has this MPN ID, or the row for that partner failed."),
        "customer": _("No customer has this tenant ID, or the row for that customer failed."),
        "subscription": _("No subscription has this ID, or the row for that subscription failed."),
    }
    return Unfit(column, f"unknown_{what}", sentences[what])


def differs(stored: Any, **wanted: Any) -> bool:
    return any(getattr(stored, name) != value for name, value in wanted.items())
