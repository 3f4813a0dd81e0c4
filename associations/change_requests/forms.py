"""The forms of a change request: the answer, forwarding and a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from associations.change_requests.rules import STATEMENT_LENGTH
from associations.record.rules import NOTE_LENGTH
from por.accounts.models import Membership


class AnswerForm(forms.Form):
    """The answer: one of the parties by its MPN ID, or neither. `answers` are the choices as shown."""

    NEITHER = "none"

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    mpn_id = forms.ChoiceField(
        label=_("Which partner is doing the work?"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose an answer, or come back later. Nothing changes until you answer."),
            "invalid_choice": _("Choose one of the partners shown here, or choose neither."),
        },
    )
    statement = forms.CharField(
        label=_("In your own words"),
        help_text=_("All partners in the change request can read it."),
        required=False,
        max_length=STATEMENT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, answers: Sequence[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["mpn_id"]).choices = answers

    @property
    def chosen(self) -> str | None:
        """Return the chosen MPN ID; None for neither."""
        answer: str = self.cleaned_data["mpn_id"]
        return None if answer == self.NEITHER else answer


class ForwardForm(forms.Form):
    """A colleague who should look at a change request."""

    member = forms.TypedChoiceField(
        label=_("Colleague"),
        coerce=int,
        error_messages={
            "required": _("Choose a colleague."),
            "invalid_choice": _("Choose someone in your organisation."),
        },
    )
    note = forms.CharField(
        label=_("Note"), required=False, max_length=NOTE_LENGTH, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, colleagues: Iterable[Membership], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["member"]).choices = [
            ("", _("Choose a colleague")),
            *((one.pk, f"{one.user}, {one.get_role_display()}") for one in colleagues),
        ]


class StatementForm(forms.Form):
    """What a partner does for the customer, in its own words."""

    text = forms.CharField(
        label=_("What you do for the customer"),
        help_text=_(
            "The customer can read it, but the other partners cannot. You can change it until the customer answers."
        ),
        max_length=STATEMENT_LENGTH,
        error_messages={"required": _("Enter what you do for the customer.")},
        widget=forms.Textarea(attrs={"rows": 5}),
    )
