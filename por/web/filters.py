"""Forms and fields that the filters of lists share."""

from __future__ import annotations

import re
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

from django import forms
from django.forms.renderers import get_default_renderer
from django.forms.utils import flatatt
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from por.errors import Refused


class Choices(forms.Select):
    """A select of a filter. It is written once for each value and language, as its options are always the same."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        options = tuple((str(key), str(label)) for key, label in self.choices)
        chosen = "" if value is None else str(value)
        if chosen not in dict(options):
            chosen = "\0"  # no option: what people enter is not remembered
        return _select(options, name, chosen, tuple((self.attrs | (attrs or {})).items()))


@lru_cache(512)
def _select(
    options: tuple[tuple[str, str], ...], name: str, chosen: str, attrs: tuple[tuple[str, Any], ...]
) -> SafeString:
    return forms.Select(choices=options).render(name, chosen, dict(attrs), get_default_renderer())


class DayInput(forms.DateInput):
    """A day, written without a template."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        text = self.format_value(value)
        given = {"type": self.input_type, "name": name} | ({"value": text} if text else {}) | self.attrs
        return format_html("<input{}>", flatatt(given | (attrs or {})))


DAY = DayInput(attrs={"type": "date"}, format="%Y-%m-%d")
#: The least number of characters to search for: in the rows of one organisation, and in those of all.
SEARCH_WITHIN, SEARCH_FROM = 2, 3


class Lines(forms.Textarea):
    """A text area with a line for each value. A query may also have its parameter several times."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        return "\n".join(data.getlist(name))


class _Shared(dict[str, forms.Field]):
    """Fields that all forms of a class share. Django copies the fields of a class for each form."""

    def __deepcopy__(self, _memo: Any) -> dict[str, forms.Field]:
        return dict(self)


Filters = TypeVar("Filters", bound="type[FilterForm]")


def shares_fields(form: Filters) -> Filters:
    """Let the forms of a class share its fields. None of them may change a field."""
    form.base_fields = _Shared(form.base_fields)
    return form


class FilterForm(forms.Form):
    """The filters of a list; all may be left out. A list without filters uses it as it is."""

    #: Whether the search reads the rows of all organisations, so that its time is limited to a few seconds.
    has_time_limit = False

    def apply(self, rows: Any, actor: Any) -> Any:
        """Return those of the rows that match; `actor` is the reader, who may see all of the rows."""
        return rows

    def words(self, actor: Any) -> dict[str, str]:
        """Return the text for filters whose values are codes or IDs, by the name of the filter."""
        return {}


def check_not_in_future(day: date | None, code: str) -> None:
    """Raise ValidationError with this code for a day after the reader's today."""
    if day is not None and day > timezone.localdate():
        raise forms.ValidationError(_("The date must be today or in the past."), code=code)


class AsOfForm(FilterForm):
    """The day of a page or an endpoint that can show the record as of the end of an earlier day."""

    as_of = forms.DateField(
        label=_("View record on"),
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        help_text="Shows the record at the end of this UTC day. Seats, status and renewal date are today’s.",
        widget=DAY,
    )

    def clean_as_of(self) -> date | None:
        day: date | None = self.cleaned_data["as_of"]
        check_not_in_future(day, "as_of_in_future")
        return None if day == timezone.localdate() else day  # the reader's today is now, whichever UTC day that is

    @property
    def day(self) -> date | None:
        """Return the day of a valid form; None means now."""
        return self.cleaned_data.get("as_of")


class SearchField(forms.CharField):
    """Text to search for: empty, or long enough not to match everything."""

    def __init__(self, *, least: int = SEARCH_FROM, **kwargs: Any) -> None:
        super().__init__(label=_("Search"), required=False, max_length=100, **kwargs)
        self.least = least

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if text and len(text) < self.least:
            raise forms.ValidationError(_too_short(self.least), code="search_too_short")
        return text


def check_length(text: str, *, of_all: bool) -> None:
    """Raise Refused if the text is too short for the rows of all organisations: no index finds two characters."""
    if of_all and len(text) < SEARCH_FROM:
        raise Refused("search_too_short", _too_short(SEARCH_FROM), field="search")


def _too_short(least: int) -> str:
    return gettext("Enter at least %(count)s characters to search.") % {"count": least}


def ids_from(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the first and the last GUID that begin with the text, if it is a GUID or at least eight digits of one."""
    digits = text.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{8,32}", digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def guids_for(text: str, known: Callable[[], Sequence[uuid.UUID]]) -> list[uuid.UUID]:
    """Return the GUID that the text is, however it is written, or the known ones that begin with it.

    `known` returns them in their order. It is only called for the beginning of a GUID, as tables show it.
    """
    with suppress(ValueError):
        return [uuid.UUID(text)]
    if (ends := ids_from(text)) is None:
        return []
    ids = known()
    return list(ids[bisect_left(ids, ends[0]) : bisect_right(ids, ends[1])])


def several_begin(text: str) -> str:
    """Return the message for the beginning of an ID that several have."""
    return gettext("Several IDs begin with “%(text)s”. Enter the whole ID.") % {"text": text[:40]}
