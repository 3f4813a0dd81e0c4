"""What a customer enters to end a delegated administrator."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from associations.record.rules import NOTE_LENGTH


class EndForm(forms.Form):
    """The reason, which is optional."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The partner can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
