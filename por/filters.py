"""What the filters of lists have in common."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from por.accounts.models import Actor

SEARCH_FROM = 3  # characters


class FilterForm(forms.Form):
    """The filters of a list; all may be left out. A list without filters uses it as it is."""

    #: Whether the search goes through the rows of all organisations, so that it may run for a few seconds at most.
    has_time_limit = False

    def apply(self, rows: Any, actor: Actor) -> Any:
        """Return those of the rows that match; `actor` is the reader, who may see all of the rows."""
        return rows

    def words(self, actor: Actor) -> dict[str, str]:
        """Return the text for filters whose values are codes or IDs, by the name of the filter."""
        return {}


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
