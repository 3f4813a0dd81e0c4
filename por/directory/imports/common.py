"""What the rows of several files have in common."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from por.directory.actions import IS_GUID
from por.directory.rules import is_guid, normal_mpn_id
from por.imports.reading import Cells, Unfit


def mpn_id(cells: Cells, column: str, text: str) -> str:
    """Return the MPN ID in its normal form. Raise Unfit if it is none."""
    found = normal_mpn_id(text)
    if found is None:
        message = IS_GUID if is_guid(text) else _("An MPN ID has 4 to 10 digits.")
        raise Unfit(column, "mpn_id_malformed", message)
    return found


def unknown(column: str, what: str) -> Unfit:
    """Return the refusal of a row that refers to something neither stored nor in a good row of these files."""
    messages = {
        "partner": _("No partner has this MPN ID, or the row for that partner failed."),
        "customer": _("No customer has this tenant ID, or the row for that customer failed."),
        "subscription": _("No subscription has this ID, or the row for that subscription failed."),
    }
    return Unfit(column, f"unknown_{what}", messages[what])


def differs(stored: Any, **wanted: Any) -> bool:
    """Return whether any of these values differs from the stored one."""
    return any(getattr(stored, name) != value for name, value in wanted.items())
