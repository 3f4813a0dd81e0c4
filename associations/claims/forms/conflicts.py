"""The forms of a conflict: the reviewer's decision and questions, and the customer's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from associations.claims.queries.conflicts import VisibleSide
from associations.claims.rules import CHECKLIST, NOTE_LENGTH


class DecideForm(forms.Form):
    """The decision: one of the claims or none, the note, and what is missing in the proof of each side."""

    NONE = "none"
    ID = "decide"

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    winner = forms.ChoiceField(
        label=_("Whose proof shows the work?"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose a partner, or that no proof is enough."),
            "invalid_choice": _("Choose one of the partners shown here, or that no proof is enough."),
        },
    )
    note = forms.CharField(
        label=_("Reason"),
        help_text=_("All sides and the customer read it."),
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Say why you decide so. All sides read it.")},
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    disclosed = forms.BooleanField(label=_("The proof has the disclosure for the public sector"), required=False)

    def __init__(
        self, answers: Sequence[tuple[str, str]], sides: Sequence[VisibleSide], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["winner"]).choices = answers
        self.sides = [one.claim.pk for one in sides]
        for side in sides:
            name = side.claim.partner.organisation.name
            self.fields[f"missing_{side.claim.pk}"] = forms.MultipleChoiceField(
                label=_("What is missing in the proof of %(name)s?") % {"name": name},
                choices=[(one.value, one.label) for one in CHECKLIST],
                required=False,
                widget=forms.CheckboxSelectMultiple(attrs={"form": self.ID}),  # they stand beside the proof
            )

    def missing(self, side: VisibleSide) -> forms.BoundField | None:
        """Return the field for what is missing in the proof of a side; None for one that is no longer there."""
        return self[f"missing_{side.claim.pk}"] if side.claim.pk in self.sides else None

    @property
    def chosen(self) -> int | None:
        """Return the claim that was chosen; None where no proof is enough."""
        answer: str = self.cleaned_data["winner"]
        return None if answer == self.NONE else int(answer)

    @property
    def checklists(self) -> dict[int, list[str]]:
        """Return what is missing, by the claim."""
        return {claim: self.cleaned_data[f"missing_{claim}"] for claim in self.sides}


class AskProofForm(forms.Form):
    """The side that needs more proof, and what is needed."""

    claim = forms.TypedChoiceField(
        label=_("Partner"),
        coerce=int,
        error_messages={
            "required": _("Choose a partner."),
            "invalid_choice": _("Choose one of the partners in this conflict."),
        },
    )
    note = forms.CharField(
        label=_("What is needed"),
        help_text=_("Only this partner reads it."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, sides: Sequence[VisibleSide], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["claim"]).choices = [
            ("", _("Choose a partner")),
            *((one.claim.pk, one.claim.partner.organisation.name) for one in sides),
        ]


class AnswerConflictForm(forms.Form):
    """The customer's answer: one of the partners by its MPN ID, or none of them."""

    NONE = "none"

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    mpn_id = forms.ChoiceField(
        label=_("Which partner is doing the work?"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose an answer."),
            "invalid_choice": _("Choose one of the partners shown here, or none of them."),
        },
    )
    text = forms.CharField(
        label=_("In your own words"),
        help_text=_("Only the reviewer reads it, not the partners."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, answers: Sequence[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["mpn_id"]).choices = answers

    @property
    def chosen(self) -> str | None:
        """Return the chosen MPN ID; None for none of them."""
        answer: str = self.cleaned_data["mpn_id"]
        return None if answer == self.NONE else answer
