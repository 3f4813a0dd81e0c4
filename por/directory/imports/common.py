"""What the rows of several files have in common."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from por.directory.actions import IS_GUID
from por.directory.rules import is_guid, normal_mpn_id
from por.imports import values
from por.imports.reading import Cells, Unfit

#: What people write before an MPN ID, and the decimals that a spreadsheet writes after it.
_LABEL = re.compile(r"(?:(?:MPN|PGA|Microsoft|Partner|PartnerOne|Location|Global|ID|No\.?)[\s_:#.-]*)+", re.IGNORECASE)
_DECIMALS = re.compile(r"(?<=\d)[.,]0+$", re.ASCII)
#: The first year of what people have passed and companies have paid. Spreadsheets write 1899 or 1900 for an empty cell.
FIRST_YEAR = 1990


def mpn_id(cells: Cells, column: str) -> str:
    """Return the MPN ID in its normal form, "" if the cell names none. Refuse anything else."""
    text = cells.given(column)
    if not text or values.is_zero(text):
        return ""
    label = _LABEL.match(text)
    found = normal_mpn_id(_DECIMALS.sub("", text[label.end() :] if label else text))
    message = str(IS_GUID) if is_guid(text) else _("An MPN ID has 4 to 10 digits.")
    return found or cells.refuse(column, "mpn_id_malformed", message)


def required_mpn_id(cells: Cells, column: str) -> str:
    return mpn_id(cells, column) or cells.refuse(column, "missing_value", _("Enter a value."))


def check_first_year(column: str, day: date | None) -> None:
    """Raise Unfit for a day that is long before anything that a file can tell."""
    if day is not None and day.year < FIRST_YEAR:
        text = _("The day is before %(year)s. Correct it.")
        raise Unfit(column, "day_too_early", text % {"year": FIRST_YEAR})


def unknown(column: str, what: str, value: str = "") -> Unfit:
    """Return the refusal of a row that refers to something neither stored nor in a good row of these files."""
    messages = {
        "partner": _("No partner has this MPN ID, or the row for that partner failed."),
        "customer": _("No customer has this tenant ID, or the row for that customer failed."),
        "subscription": _("No subscription has this ID, or the row for that subscription failed."),
    }
    return Unfit(column, f"unknown_{what}", messages[what], value)


def differs(stored: Any, **wanted: Any) -> bool:
    """Return whether any of these values differs from the stored one."""
    return any(getattr(stored, name) != value for name, value in wanted.items())
