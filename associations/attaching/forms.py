"""The forms of attaching and removing a partner, of undo and of activation."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.forms import OneId
from associations.record.rules import NOTE_LENGTH
from por.directory.actions import MESSAGES
from por.directory.models import Partner
from por.errors import Refused
from por.web.filters import DAY


class CheckForm(forms.Form):
    """Step one of attaching: the partner's MPN ID as typed. Check ID decides whether it is well formed."""

    mpn_id = forms.CharField(
        label=_("MPN ID (Partner ID)"),
        help_text=_(
            "Your partner gives you this number. It usually has 6 or 7 digits, and is also called Partner ID, "
            "PartnerOne ID or location ID."
        ),
        max_length=40,
        strip=False,
        error_messages={"required": _("Enter your partner’s MPN ID."), "max_length": MESSAGES["mpn_id_malformed"]},
        widget=forms.TextInput(
            attrs={"class": "input big", "inputmode": "numeric", "autocomplete": "off", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, is_first: bool = False, **kwargs: Any) -> None:
        """Make the form; `is_first`: the ID is the first thing to do on the page, so its field gets the focus."""
        super().__init__(*args, **kwargs)
        if is_first:
            self.fields["mpn_id"].widget.attrs["autofocus"] = True


class IdsField(forms.Field):
    """GUIDs, each once, in the order they were sent."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: list[str] | None) -> list[uuid.UUID]:
        try:
            return list(dict.fromkeys(uuid.UUID(text) for text in value or []))
        except ValueError:
            raise forms.ValidationError(_("This is not a valid subscription ID."), code="invalid") from None


class SeveralForm(forms.Form):
    """The subscriptions that were chosen in a list."""

    MOST = 50  # as many as a page of the list has

    subscription = IdsField(required=False)

    def clean_subscription(self) -> list[uuid.UUID]:
        ids: list[uuid.UUID] = self.cleaned_data["subscription"]
        if len(ids) > self.MOST:
            message = _("Select at most %(most)s subscriptions at a time.") % {"most": self.MOST}
            raise forms.ValidationError(message, code="too_many")
        return ids


class AttachForm(forms.Form):
    """Step two of attaching: the checked ID and the version of the subscription as shown, with a start and a note.

    `switch` is the choice to replace another partner of record now, instead of asking both first.
    """

    mpn_id = forms.CharField(max_length=40, widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    began_on = forms.DateField(
        label=_("Working with you since"),
        help_text=_(
            "Leave this empty to start now. You can enter a date up to 12 months ago, but not before "
            "the subscription started."
        ),
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    note = forms.CharField(
        label=_("Note"),
        help_text=_("We save the note in the history. The partner can read it."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    switch = forms.BooleanField(required=False, widget=forms.HiddenInput)


class RemoveForm(forms.Form):
    """Why a partner is removed, if the customer wants to give a reason: from the list, in its own words, or both."""

    REASONS = {
        "project_ended": _("The project has ended."),
        "other_partner": _("Another partner does this work now."),
        "own_staff": _("We do this work ourselves now."),
        "mistake": _("This partner was attached by mistake."),
    }

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.ChoiceField(
        label=_("Reason"), choices=[("", _("No reason given")), *REASONS.items()], required=False
    )
    text = forms.CharField(
        label=_("In your own words"),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def full_reason(self) -> str:
        """Return the reason as the partner will read it, in the words the customer saw."""
        given = self.cleaned_data
        return " ".join(filter(None, [str(self.REASONS.get(given["reason"], "")), given["text"].strip()]))


class StartForm(forms.Form):
    """Another start of the partner of record: the first day, and the version of the subscription as shown."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    began_on = forms.DateField(
        label=_("Partner of record since"),
        help_text=_("A date up to 12 months ago, but not before the subscription started. The partner is told."),
        input_formats=["%Y-%m-%d"],
        error_messages={
            "required": _("Enter the start date."),
            "invalid": _("Enter a date as year-month-day, for example 2026-03-31."),
        },
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class ResignForm(forms.Form):
    """Why a partner resigns: the customer reads it."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The customer can read the reason."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class UndoForm(forms.Form):
    """Undo: the version of the subscription as shown."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)


class ActivateForm(forms.Form):
    """Activation: the subscription, one of the partner's own locations, and the consent of the customer."""

    subscription_id = OneId(
        label=_("Subscription ID"),
        help_text=_(
            "Enter the ID of a subscription from Open licensing. You can find it on the licence confirmation. Of a "
            "subscription that you can see here, the first eight characters are enough."
        ),
        error_messages={
            "required": _("Enter the subscription ID."),
            "invalid": _(
                "A subscription ID has 32 characters in five groups, for example 7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11."
            ),
        },
    )
    mpn_id = forms.ChoiceField(
        label=_("Your location"),
        help_text=_("This location becomes the partner of record."),
        error_messages={
            "required": _("Choose one of your locations."),
            "invalid_choice": _("Choose one of your own locations."),
        },
    )
    consent_name = forms.CharField(
        label=_("Name of the person at the customer who agreed"),
        max_length=200,
        error_messages={"required": _("Enter the name of the person who agreed.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    consent_email = forms.EmailField(
        label=_("Email address of that person"),
        max_length=254,
        error_messages={
            "required": _("Enter the email address of the person who agreed."),
            "invalid": _("Enter an email address, for example name@company.example."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    consent = forms.DateField(
        label=_("Date when they agreed"),
        input_formats=["%Y-%m-%d"],
        error_messages={
            "required": _("Enter the date when they agreed."),
            "invalid": _("Enter a date as year-month-day, for example 2026-03-31."),
        },
        widget=DAY,
    )

    def __init__(
        self,
        locations: Iterable[Partner],
        *args: Any,
        known: Callable[[], Sequence[uuid.UUID]] = list,
        **kwargs: Any,
    ) -> None:
        """Make the form; `known` returns the subscriptions that the partner sees, the beginnings of whose IDs do."""
        super().__init__(*args, **kwargs)
        cast(OneId, self.fields["subscription_id"]).known = known
        choices = [
            (one.mpn_id, _("%(name)s, MPN ID %(mpn_id)s") % {"name": one.organisation.name, "mpn_id": one.mpn_id})
            for one in locations
        ]
        cast(forms.ChoiceField, self.fields["mpn_id"]).choices = choices
        self.fields["consent"].initial = timezone.localdate()


class MoveForm(forms.Form):
    """Two locations of a company, and the subscriptions to move from the first to the second: some, or all."""

    from_mpn_id = forms.ChoiceField(label=_("From location"))
    to_mpn_id = forms.ChoiceField(label=_("To location"))
    subscription = IdsField(required=False)
    which = forms.ChoiceField(choices=[("some", ""), ("all", "")], required=False)

    def __init__(self, locations: Iterable[Partner], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            ("", _("Choose a location")),
            *(
                (one.mpn_id, _("%(name)s, MPN ID %(mpn_id)s") % {"name": one.organisation.name, "mpn_id": one.mpn_id})
                for one in locations
            ),
        ]
        for name in ("from_mpn_id", "to_mpn_id"):
            field = cast(forms.ChoiceField, self.fields[name])
            field.choices = choices
            field.error_messages["invalid_choice"] = str(_("Choose one of your own locations."))
            field.error_messages["required"] = str(_("Choose one of your locations."))

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("which") == "some" and not given.get("subscription") and "subscription" not in self.errors:
            self.add_error(None, _("Select at least one subscription, or move all of them."))
        return given

    @property
    def chosen(self) -> list[uuid.UUID] | None:
        """Return the chosen subscriptions; None for all."""
        ids: list[uuid.UUID] = self.cleaned_data["subscription"]
        return None if self.cleaned_data["which"] == "all" else ids

    def at_its_field(self, refused: Refused) -> Refused:
        """Return the refusal at a field that the page has."""
        field = "subscription" if refused.field == "subscription_ids" else refused.field
        return refused if field == refused.field else Refused(refused.code, refused.message, field=field)
