"""The rows that somebody sends to attach partners to many subscriptions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class BulkForm(forms.Form):
    """Pairs of subscription and partner: a CSV file, or its text; tried first unless somebody says otherwise."""

    LARGEST = 1_000_000  # bytes; a thousand rows are a tenth of it

    file = forms.FileField(
        label=_("CSV file"),
        required=False,
        help_text=_(
            "The first line must contain the column names subscription_id and mpn_id. You can add up "
            "to 1,000 rows after it."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    rows = forms.CharField(
        label=_("Or paste rows"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "placeholder": "subscription_id,mpn_id"}),
    )
    manner = forms.ChoiceField(
        label=_("What to do"),
        choices=[
            ("dry", _("Dry run: check what would happen to each row, without changing anything")),
            ("attach", _("Attach now")),
        ],
        initial="dry",
        widget=forms.RadioSelect,
    )

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file is None:
            return ""
        if file.size > self.LARGEST:
            raise forms.ValidationError(_("The file is too large. It can contain up to 1,000 rows."), code="too_large")
        try:
            text: str = file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise forms.ValidationError(
                _("The file is not UTF-8 text. Save the file as UTF-8 and choose it again."), code="malformed_csv"
            ) from None
        return text

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and not given.get("file") and not given.get("rows", "").strip():
            self.add_error("file", _("Choose a file, or paste rows."))
        return given

    def text(self) -> str:
        return str(self.cleaned_data["file"] or self.cleaned_data["rows"])

    @property
    def is_dry(self) -> bool:
        return bool(self.cleaned_data["manner"] == "dry")
