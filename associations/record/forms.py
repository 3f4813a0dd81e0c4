"""Fields and checks that forms of several features share."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from por.directory.models import Subscription
from por.web.filters import AsOfForm, guids_for, several_begin


class PastedIds(forms.CharField):
    """GUIDs as people paste them, separated by blanks, commas or lines. Each is kept once.

    The beginning of a GUID, as tables show it, stands for the one in `known` that begins so, if it is the only one.
    """

    known: Collection[uuid.UUID] = ()
    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"})

    def clean(self, value: Any) -> list[uuid.UUID]:
        found: dict[uuid.UUID, None] = {}
        for text in re.split(r"[\s,;]+", super().clean(value)):
            if not text:
                continue
            found[self._id(text)] = None
        return list(found)

    def _id(self, text: str) -> uuid.UUID:
        found = guids_for(text, lambda: sorted(self.known))
        if len(found) == 1:
            return found[0]
        wrong = _("“%(text)s” is not a subscription ID. Check the ID.") % {"text": text[:40]}
        raise forms.ValidationError(several_begin(text) if found else wrong, code="invalid")


class OneId(forms.CharField):
    """The GUID of something: whole, or its beginning as tables show it, if only one of the known ones begins so.

    `known` returns these in their order. The message for what is no GUID is `error_messages["invalid"]`.
    """

    widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)
        self.error_messages["max_length"] = self.error_messages["invalid"]
        self.known: Callable[[], Sequence[uuid.UUID]] = list

    def clean(self, value: Any) -> uuid.UUID | None:
        text: str = super().clean(value)
        if text in self.empty_values:
            return None
        found = guids_for(text, self.known)
        if len(found) == 1:
            return found[0]
        raise forms.ValidationError(several_begin(text) if found else self.error_messages["invalid"], code="invalid")


def check_had_started(subscription: Subscription, form: AsOfForm) -> None:
    """Add an error to the form if its day is before the subscription started."""
    if form.is_valid() and form.day and form.day < subscription.here_since:
        form.add_error("as_of", _("The subscription had not started on that date. Choose a later date."))
