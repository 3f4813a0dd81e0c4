"""Fields and checks that forms of several features share."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from por.directory.models import Subscription
from por.web.filters import AsOfForm, ids_from


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
        try:
            return uuid.UUID(text)
        except ValueError:
            message = _("“%(text)s” is not a subscription ID. Check the ID.")
        if ends := ids_from(text):
            begun = [one for one in self.known if ends[0] <= one <= ends[1]]
            if len(begun) == 1:
                return begun[0]
            if begun:
                message = _("Several IDs begin with “%(text)s”. Enter the whole ID.")
        raise forms.ValidationError(message % {"text": text[:40]}, code="invalid") from None


def check_had_started(subscription: Subscription, form: AsOfForm) -> None:
    """Add an error to the form if its day is before the subscription started."""
    if form.is_valid() and form.day and form.day < subscription.here_since:
        form.add_error("as_of", _("The subscription had not started on that date. Choose a later date."))
