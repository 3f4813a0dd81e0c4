"""What a partner enters when it uploads proof, and what it has found in it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from associations.claims.actions.proofs import Said, provable, unit_key
from associations.claims.models import Claim
from associations.claims.policies import policy_on
from associations.claims.rules import (
    CHECKLIST,
    DESCRIPTION_LENGTH,
    MOST_BYTES_AT_ONCE,
    MOST_FILES_AT_ONCE,
)
from por.documents.kinds import ENDINGS, LARGEST
from por.web.filters import DAY

#: One digit more than the largest key has for certain.
LONGEST_KEY = 19


class FilesInput(forms.FileInput):
    allow_multiple_selected = True


class FilesForm(forms.Form):
    """Several files, with the day of the customer's acknowledgement."""

    file = forms.Field(
        label=_("Files"),
        widget=FilesInput(attrs={"accept": ",".join(f".{one}" for one in ENDINGS)}),
        error_messages={"required": _("Choose a file.")},
    )
    acknowledged_on = forms.DateField(
        label=_("Date of the customer’s acknowledgement"),
        widget=DAY,
        error_messages={"required": _("Enter the date of the customer’s acknowledgement.")},
    )
    description = forms.CharField(
        label=_("Description"), required=False, max_length=DESCRIPTION_LENGTH, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, is_too_large: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_too_large = is_too_large
        months = policy_on(timezone.localdate()).acknowledged_within_months
        self.fields["acknowledged_on"].help_text = ngettext(
            "The day on which the customer signed. It can be at most %(n)s month ago.",
            "The day on which the customer signed. It can be at most %(n)s months ago.",
            months,
        ) % {"n": months}
        self.fields["file"].required = not is_too_large  # then none of them was kept
        self.fields["file"].help_text = _(
            "PDF, DOCX, XLSX, PNG, JPG or EML. Up to %(files)s files, each up to %(one)s, together up to %(all)s."
        ) % {
            "files": MOST_FILES_AT_ONCE,
            "one": filesizeformat(LARGEST),
            "all": filesizeformat(MOST_BYTES_AT_ONCE),
        }

    def clean_file(self) -> Any:
        if self._is_too_large:
            text = _("The files are too large. Together they can have up to %(most)s.")
            raise forms.ValidationError(text % {"most": filesizeformat(MOST_BYTES_AT_ONCE)}, code="files_too_large")
        return self.cleaned_data["file"]


class ProofForm(FilesForm):
    """The same for some units of a claim."""

    units = forms.MultipleChoiceField(
        label=_("What it is for"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one workload or subscription.")},
    )
    field_order = ["file", "units"]

    def __init__(self, *args: Any, claim: Claim, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units = provable(claim)
        field = self.fields["units"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(unit_key(one), one.label) for one in units]
        self.initial.setdefault("units", [unit_key(one) for one in units])

    @property
    def said(self) -> Said:
        given = self.cleaned_data
        return Said(given["units"], given["acknowledged_on"], given["description"])


class KeysField(forms.Field):
    """Keys of claims, each once, in the order they were sent."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: list[str] | None) -> list[int]:
        sent = list(dict.fromkeys(value or []))
        if not all(one.isascii() and one.isdecimal() and len(one) < LONGEST_KEY for one in sent):
            raise forms.ValidationError(_("This is not the ID of a claim."), code="invalid")
        return [int(one) for one in sent]


class ChosenClaimsForm(forms.Form):
    """The claims that were selected in a list."""

    claim = KeysField(required=False)


class SeveralProofsForm(FilesForm, ChosenClaimsForm):
    """The same files for several claims."""


class ChecklistForm(forms.Form):
    """The five reasons for which claims are refused, each checked if the proof has it."""

    checked = forms.MultipleChoiceField(required=False, choices=[(one.value, one.label) for one in CHECKLIST])
