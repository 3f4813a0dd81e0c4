"""What is typed when a partner invites a customer or activates a subscription, and what the customer answers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from itertools import chain
from typing import Any, cast

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.actions.inviting import MOST
from associations.forms import DAY, NOTE_LENGTH, IdsField
from associations.models import Invitation
from associations.reading.inviting import State, in_state
from por.accounts.models import Actor
from por.accounts.rules import Kind as OrganisationKind
from por.directory.models import Partner
from por.filters import FilterForm, SearchField


class PastedIds(forms.CharField):
    """GUIDs as people paste them: between blanks, commas or lines, each once."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"})

    def clean(self, value: Any) -> list[uuid.UUID]:
        found: dict[uuid.UUID, None] = {}
        for text in re.split(r"[\s,;]+", super().clean(value)):
            if not text:
                continue
            try:
                found[uuid.UUID(text)] = None
            except ValueError:
                sentence = _("“%(text)s” is not a subscription ID. Check the ID.") % {"text": text[:40]}
                raise forms.ValidationError(sentence, code="invalid") from None
        return list(found)


class InviteForm(forms.Form):
    """Which customer, for which of its subscriptions: chosen from those the partner sees, or pasted."""

    tenant_id = forms.UUIDField(
        label=_("Customer’s tenant ID"),
        help_text=_("Ask the customer for this ID. They can find it in their portal."),
        error_messages={
            "required": _("Enter the customer’s tenant ID."),
            "invalid": _(
                "A tenant ID has 32 characters in five groups, for example 7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11."
            ),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    subscription = IdsField(required=False)
    subscription_ids = PastedIds(
        label=_("Subscription IDs"),
        help_text=_("Enter one ID per line. Ask the customer for the IDs."),
        required=False,
        max_length=4000,
    )
    message = forms.CharField(
        label=_("Message"),
        help_text=_("The customer can read this in the email and next to your invitation."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and not 0 < len(self.wanted) <= MOST:
            self.add_error("subscription_ids", _("Choose between 1 and %(most)s subscriptions.") % {"most": MOST})
        return given

    @property
    def wanted(self) -> list[uuid.UUID]:
        """All of them, once the form has been looked at."""
        found = (self.cleaned_data.get(name, ()) for name in ("subscription", "subscription_ids"))
        return list(dict.fromkeys(chain.from_iterable(found)))


class InvitationFilter(FilterForm):
    """The filters of a list of invitations, for one reader."""

    has_time_limit = True

    search = SearchField()
    status = forms.ChoiceField(label=_("Status"), required=False)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_partner = actor.kind == OrganisationKind.PARTNER
        states = [(value, label) for value, label in State.choices if value != State.REPORTED or not is_partner]
        cast(forms.ChoiceField, self.fields["status"]).choices = [("", _("All statuses")), *states]

    def apply(self, invitations: QuerySet[Invitation], actor: Actor) -> QuerySet[Invitation]:
        given: dict[str, Any] = self.cleaned_data
        if given["status"]:
            invitations = in_state(actor, invitations, given["status"])
        if text := given["search"]:
            other = "customer" if actor.kind == OrganisationKind.PARTNER else "partner"
            invitations = invitations.filter(
                Q(**{f"{other}__organisation__name__icontains": text}) | Q(**{f"{other}__organisation__number": text})
            )
        return invitations


class AcceptForm(forms.Form):
    """Which of the invited subscriptions the customer accepts for."""

    subscription_ids = IdsField(
        error_messages={"required": _("Choose at least one subscription, or decline the invitation.")}
    )


class DeclineForm(forms.Form):
    """Why the customer declines, if it wants to say so."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The partner can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class ReportForm(forms.Form):
    """What is improper about an invitation, if the customer wants to say so."""

    reason = forms.CharField(
        label=_("What is wrong with the invitation?"),
        help_text=_("Only platform staff can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class ActivateForm(forms.Form):
    """Which subscription, by which of the partner's own locations, and who of the customer agreed to it."""

    subscription_id = forms.UUIDField(
        label=_("Subscription ID"),
        help_text=_("Enter the ID of a subscription from Open licensing. You can find it on the licence confirmation."),
        error_messages={
            "required": _("Enter the subscription ID."),
            "invalid": _(
                "A subscription ID has 32 characters in five groups, for example 7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11."
            ),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
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

    def __init__(self, locations: Iterable[Partner], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            (one.mpn_id, _("%(name)s, MPN ID %(mpn_id)s") % {"name": one.organisation.name, "mpn_id": one.mpn_id})
            for one in locations
        ]
        cast(forms.ChoiceField, self.fields["mpn_id"]).choices = choices
        self.fields["consent"].initial = timezone.now().date()
