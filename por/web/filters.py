"""What the filters of lists have in common."""

from __future__ import annotations

import re
import uuid
from datetime import date
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class FilterForm(forms.Form):
    """The filters of a list; all may be left out. A list without filters uses it as it is."""

    #: Whether the search goes through the rows of all organisations, so that it may run for a few seconds at most.
    has_time_limit = False

    def apply(self, rows: Any, actor: Any) -> Any:
        """Return those of the rows that match; `actor` is the reader, who may see all of the rows."""
        return rows

    def words(self, actor: Any) -> dict[str, str]:
        """Return the text for filters whose values are codes or IDs, by the name of the filter."""
        return {}


class AsOfForm(FilterForm):
    """The day to look back to, where a page or an endpoint can: the record as it stood at the end of it."""

    as_of = forms.DateField(
        label=_("View record on"),
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        help_text="Shows the record at the end of this UTC day. Seats, status and renewal date are today’s.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def clean_as_of(self) -> date | None:
        day: date | None = self.cleaned_data["as_of"]
        if day is not None and day > timezone.now().date():
            raise forms.ValidationError(_("The date must be today or in the past."), code="as_of_in_future")
        return day

    @property
    def day(self) -> date | None:
        """The day, once it is found valid; None is now."""
        return self.cleaned_data.get("as_of")


SEARCH_FROM = 3  # characters


class SearchField(forms.CharField):
    """Text to search for: none, or enough characters not to find everything."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label=_("Search"), required=False, max_length=100, **kwargs)

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if text and len(text) < SEARCH_FROM:
            sentence = _("Enter at least %(count)s characters to search.") % {"count": SEARCH_FROM}
            raise forms.ValidationError(sentence, code="search_too_short")
        return text


def ids_from(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The first and the last GUID that begin so, if the text is a GUID or at least its first eight digits."""
    digits = text.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{8,32}", digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
