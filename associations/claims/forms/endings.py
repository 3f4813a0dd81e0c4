"""The forms that end a claim, and that of a dispute. Each has the version that was shown."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from associations.claims.rules import NOTE_LENGTH


class DeclineForm(forms.Form):
    """The customer declines a claim."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The partner and platform staff can read the reason."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class DisassociateForm(forms.Form):
    """The partner ends its claim."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("Platform staff can read the reason. The customer cannot."),
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Enter a reason.")},
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class DisputeForm(forms.Form):
    """The partner disputes a rejection."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    text = forms.CharField(
        label=_("Why the claim should be approved"),
        help_text=_("The reviewer reads it. Say what the proof shows, and where."),
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Enter why the claim should be approved.")},
        widget=forms.Textarea(attrs={"rows": 5}),
    )


class NumberForm(forms.Form):
    """The number of a claim, for support."""

    number = forms.CharField(
        label=_("Number of the claim"),
        help_text=_("The partner finds it on the page of the claim, and in our mails about it."),
        max_length=40,
        error_messages={"required": _("Enter the number of a claim.")},
    )


class EndByNumberForm(NumberForm):
    """Support ends the claim that it has looked up."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("For example the number of the ticket. Platform staff and the partner can read it."),
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Enter a reason.")},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
