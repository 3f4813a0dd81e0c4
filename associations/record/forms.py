"""Fields and checks that forms of several features share."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from por.directory.models import Subscription
from por.web.filters import AsOfForm


class PastedIds(forms.CharField):
    """GUIDs as people paste them, separated by blanks, commas or lines. Each is kept once."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"})

    def clean(self, value: Any) -> list[uuid.UUID]:
        found: dict[uuid.UUID, None] = {}
        for text in re.split(r"[\s,;]+", super().clean(value)):
            if not text:
                continue
            try:
                found[uuid.UUID(text)] = None
            except ValueError:
                message = _("“%(text)s” is not a subscription ID. Check the ID.") % {"text": text[:40]}
                raise forms.ValidationError(message, code="invalid") from None
        return list(found)


def check_had_started(subscription: Subscription, form: AsOfForm) -> None:
    """Add an error to the form if its day is before the subscription started."""
    if form.is_valid() and form.day and form.day < subscription.started_on:
        form.add_error("as_of", _("The subscription had not started on that date. Choose a later date."))
