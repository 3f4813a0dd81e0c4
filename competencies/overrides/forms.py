"""What the staff enter about an override."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from associations.record.rules import NOTE_LENGTH
from competencies.models import OverrideQuerySet, OverrideStatus
from competencies.words import LEVELS
from por.accounts.models import Actor
from por.directory.forms import MpnIdField
from por.programs.rules import Program
from por.web.filters import DAY, FilterForm

READ_BY = _("The company can read this in its history.")


def _day(**given: Any) -> forms.DateField:
    error = _("Enter a date as year-month-day, for example 2026-03-31.")
    return forms.DateField(
        required=False, input_formats=["%Y-%m-%d"], error_messages={"invalid": error}, widget=DAY, **given
    )


def _reason(label: Any, *, required: bool) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=READ_BY,
        required=required,
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Enter a reason.")},
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class _CardForm(forms.Form):
    """A form of the card of overrides. The page has several of them, so the IDs of its fields begin with its verb."""

    verb: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = f"{self.verb}_%s"


class AskForm(_CardForm):
    """One of the staff asks for an override of a level."""

    verb = "ask"
    level = forms.ChoiceField(label=_("Level"))
    begins_on = _day(
        label=_("First day"), help_text=_("Without a day, it begins on the day on which a second person confirms it.")
    )
    reason = _reason(_("Reason"), required=True)

    def __init__(self, program: Program, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["level"]).choices = [(one, LEVELS[one]) for one in program.levels]


class DecideForm(_CardForm):
    """Another one of the staff confirms or declines it."""

    CONFIRM, DECLINE = "confirm", "decline"

    verb = "decide"
    override = forms.IntegerField(widget=forms.HiddenInput)
    decision = forms.ChoiceField(choices=[(CONFIRM, ""), (DECLINE, "")])
    note = _reason(_("Note"), required=False)


class WithdrawForm(_CardForm):
    """The person who asked for it takes the request back, with a reason that is optional."""

    verb = "withdraw"
    override = forms.IntegerField(widget=forms.HiddenInput)
    note = _reason(_("Reason"), required=False)


class EndForm(_CardForm):
    """One of the staff ends an override early."""

    verb = "end"
    override = forms.IntegerField(widget=forms.HiddenInput)
    ended_on = _day(label=_("First day without it"), help_text=_("Without a day, it ends today."))
    reason = _reason(_("Reason"), required=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = f"{self.verb}_{self['override'].value()}_%s"  # a page may have several of these forms


class OverrideFilter(FilterForm):
    """The filters of the list of the API. All are optional."""

    status = forms.ChoiceField(choices=OverrideStatus.choices, required=False)
    mpn_id = MpnIdField(help_text="The company: a global account, or a location without one.")

    def apply(self, overrides: OverrideQuerySet, actor: Actor) -> OverrideQuerySet:
        names = {"status": "status", "mpn_id": "company__number"}
        given = {names[name]: value for name, value in self.cleaned_data.items() if value}
        return overrides.filter(**given)
