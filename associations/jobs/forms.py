"""The forms of many rows: those of a customer, and those of a partner."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from associations.jobs.models import Job


class RowsForm(forms.Form):
    """Many rows, as a CSV file or its text. The default is a dry run."""

    LARGEST = 1_000_000  # bytes; a thousand rows are a tenth of it

    file = forms.FileField(
        label=_("CSV file"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    rows = forms.CharField(
        label=_("Or paste rows"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )
    manner = forms.ChoiceField(
        label=_("What to do"),
        choices=[
            ("dry", _("Dry run: check what would happen to each row, without changing anything")),
            ("now", _("Carry out now")),
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
        """Return the rows as CSV."""
        return str(self.cleaned_data["file"] or self.cleaned_data["rows"])

    @property
    def is_dry(self) -> bool:
        return bool(self.cleaned_data["manner"] == "dry")


class BulkForm(RowsForm):
    """What a customer does with many subscriptions."""

    action = forms.ChoiceField(
        label=_("What the rows say"),
        choices=[one for one in Job.Action.choices if one[0] != Job.Action.INVITE],
        initial=Job.Action.ATTACH,
        required=False,
        widget=forms.RadioSelect,
    )
    field_order = ("action",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = _(
            "The first line must contain the column names subscription_id and mpn_id; to remove partners, only the "
            "first. A column reason can stand beside them. An answer can have “neither” instead of an MPN ID. You can "
            "add up to 1,000 rows after it. The MPN ID is also called Partner ID, PartnerOne ID or location ID."
        )

    @property
    def chosen_action(self) -> str:
        return str(self.cleaned_data["action"] or Job.Action.ATTACH)


class InvitationsForm(RowsForm):
    """The subscriptions that a partner invites many customers for."""

    chosen_action = str(Job.Action.INVITE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = _(
            "The first line must contain the column names tenant_id and subscription_id. A column message can stand "
            "beside them. You can add up to 1,000 rows after it. The rows of one customer with the same message become "
            "one invitation."
        )
