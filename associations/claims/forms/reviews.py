"""What a reviewer enters: the filters of the queue, the decision, who gets a claim, and an interest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from associations.claims.models import Claim
from associations.claims.queries.claims import search
from associations.claims.rules import NOTE_LENGTH, ClaimStatus, Program, Reason
from por.accounts.models import Actor, Membership
from por.web.filters import Choices, FilterForm, SearchField


class QueueFilter(FilterForm):
    """The filters of the queue. The search finds numbers and names of claims, customers and partners."""

    search = SearchField()
    program = forms.ChoiceField(
        label=_("Programme"), choices=[("", _("All programmes")), *Program.choices], required=False, widget=Choices
    )
    status = forms.ChoiceField(
        label=_("Status"),
        choices=[("", _("All statuses")), *(one for one in ClaimStatus.choices if one[0] != ClaimStatus.DRAFT)],
        required=False,
        widget=Choices,
    )

    def clean_search(self) -> str:
        text: str = self.cleaned_data["search"]
        self.has_time_limit = bool(text)  # only a search may read the rows of all organisations
        return text

    def apply(self, claims: QuerySet[Claim], actor: Actor) -> QuerySet[Claim]:
        given: dict[str, Any] = self.cleaned_data
        for name in ("program", "status"):
            if given[name]:
                claims = claims.filter(**{name: given[name]})
        if text := given["search"]:
            claims = search(claims, text, names=True)
        return claims


class StartForm(forms.Form):
    """The version that the page showed."""

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class DecideForm(StartForm):
    """What the reviewer found missing, and what follows from it. `reasons` are those that may be given."""

    ASK, APPROVE, REJECT = "ask", "approve", "reject"

    decision = forms.ChoiceField(choices=[(one, one) for one in (ASK, APPROVE, REJECT)])
    reasons = forms.MultipleChoiceField(label=_("What is missing"), required=False)
    note = forms.CharField(
        label=_("In your own words"),
        help_text=_("The partner can read this. The customer cannot."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    disclosed = forms.BooleanField(label=_("The proof has the disclosure for the public sector"), required=False)

    def __init__(self, reasons: Iterable[Reason], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.MultipleChoiceField, self.fields["reasons"]).choices = [(one, one.label) for one in reasons]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        decision, reasons = given.get("decision"), given.get("reasons")
        if decision in (self.ASK, self.REJECT) and reasons == []:
            self.add_error("reasons", forms.ValidationError(_("Choose at least one reason."), code="reason_missing"))
        if decision == self.APPROVE and reasons:
            self.add_error(
                "reasons",
                _("Something is missing. Take the marks away to approve the claim, or ask the partner for it."),
            )
        return given


class AssignForm(forms.Form):
    """Who gets the claim."""

    reviewer = forms.TypedChoiceField(label=_("Reviewer"), coerce=int)

    def __init__(self, members: Iterable[Membership], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["reviewer"]).choices = [(one.user_id, str(one.user)) for one in members]


class StaffCommentForm(forms.Form):
    """A comment of staff on a claim."""

    text = forms.CharField(
        label=_("Comment"),
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Enter a comment.")},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    internal = forms.BooleanField(
        label=_("Only for platform staff"), help_text=_("Otherwise the partner can read this too."), required=False
    )


class InterestForm(forms.Form):
    """An organisation by its number, why, and the reviewer if it is not the one who enters it."""

    number = forms.CharField(
        label=_("MPN ID or tenant ID"),
        help_text=_("Of the partner or customer. For a whole company, enter the MPN ID of its global account."),
        max_length=50,
        error_messages={"required": _("Enter an MPN ID or a tenant ID.")},
    )
    reviewer = forms.TypedChoiceField(label=_("Reviewer"), coerce=int, required=False, empty_value=None)
    note = forms.CharField(
        label=_("Why"),
        help_text=_("Only platform staff can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, members: Iterable[Membership] | None, *args: Any, **kwargs: Any) -> None:
        """Make the form; `members` are the reviewers to choose from, None for who marks their own interests."""
        super().__init__(*args, **kwargs)
        if members is None:
            del self.fields["reviewer"]
        else:
            cast(forms.ChoiceField, self.fields["reviewer"]).choices = [
                ("", _("Choose a reviewer")),
                *((one.user_id, str(one.user)) for one in members),
            ]
